// swift-tools-version: 6.1
import PackageDescription

// libtorch is found through the pkg-config file that `Scripts/set-up` writes, so no unsafe flags are needed and other
// packages can depend on Hone. `make` sets PKG_CONFIG_PATH; by hand: export PKG_CONFIG_PATH=$PWD/.setup/pkgconfig

/// Each dependency, with its reason.
let dependencies: [Package.Dependency] = [
    // The command line: parsing, help pages, completions.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    // SHA-256 of checkpoints, adapters and base models.
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    // YAML 1.2 of task.yaml, through libYAML.
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
]

let package = Package(
    name: "Hone",
    products: [
        .library(name: "HoneFormats", targets: ["HoneFormats"])
    ],
    dependencies: dependencies,
    targets: [
        .target(name: "HoneFormats", dependencies: [.product(name: "Crypto", package: "swift-crypto")]),
        .testTarget(name: "HoneFormatsTests", dependencies: ["HoneFormats"], exclude: ["Fixtures"]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx20
)

// One place for the settings of every Swift target, so that none is forgotten.
for target in package.targets where [.regular, .executable, .test].contains(target.type) && target.name != "CHoneTorch" {
    target.swiftSettings = (target.swiftSettings ?? []) + [.enableUpcomingFeature("ExistentialAny")]
}
