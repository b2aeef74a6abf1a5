// swift-tools-version: 6.1
import PackageDescription

// What benchmarks need of Hone's library beyond its command. A package of its own, so that the product depends on none of it.
let package = Package(
    name: "HoneBenchmarks",
    dependencies: [
        .package(name: "Hone", path: ".."),
        // The command line, as in Hone itself.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: [
        .systemLibrary(name: "CLibtorchHeaders", pkgConfig: "hone-libtorch"),
        .target(
            name: "CAllocationCount", dependencies: ["CLibtorchHeaders"], linkerSettings: [.linkedLibrary("stdc++")]),
        .executableTarget(
            name: "HoneBenchmarks",
            dependencies: [
                "CAllocationCount", .product(name: "HoneTesting", package: "Hone"),
                .product(name: "HoneTraining", package: "Hone"), .product(name: "HoneMethods", package: "Hone"),
                .product(name: "HoneTasks", package: "Hone"), .product(name: "HoneModels", package: "Hone"),
                .product(name: "HoneTorch", package: "Hone"), .product(name: "HoneFormats", package: "Hone"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx20
)
