// swift-tools-version: 6.1
import PackageDescription

// libtorch is found through the pkg-config file that `Scripts/set-up` writes, so no unsafe flags are needed and other
// packages can depend on Hone. `make` sets PKG_CONFIG_PATH; by hand: export PKG_CONFIG_PATH=$PWD/.setup/pkgconfig

/// Each dependency, with its reason.
let dependencies: [Package.Dependency] = [
    // The command line: parsing, help pages, completions.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    // YAML 1.2 of task.yaml, through libYAML.
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
]

let package = Package(
    name: "Hone",
    products: [
        .library(name: "HoneFormats", targets: ["HoneFormats"]),
        .library(name: "HoneTorch", targets: ["HoneTorch"]),
        .library(name: "HoneImages", targets: ["HoneImages"]),
        .library(name: "HoneHub", targets: ["HoneHub"]),
        .library(name: "HoneText", targets: ["HoneText"]),
        .library(name: "HoneModels", targets: ["HoneModels"]),
        .library(name: "HoneTasks", targets: ["HoneTasks"]),
        .library(name: "HoneMethods", targets: ["HoneMethods"]),
        .library(name: "HoneTraining", targets: ["HoneTraining"]),
        .library(name: "HoneEvaluation", targets: ["HoneEvaluation"]),
        .library(name: "HoneReports", targets: ["HoneReports"]),
        .library(name: "Hone", targets: ["Hone"]),
        .library(name: "HoneTesting", targets: ["HoneTesting"]),
        .executable(name: "hone", targets: ["HoneCommand"]),
    ],
    dependencies: dependencies,
    targets: [
        .systemLibrary(name: "CLibtorch", pkgConfig: "hone-libtorch"),
        .target(name: "CHoneTorch", dependencies: ["CLibtorch"], linkerSettings: [.linkedLibrary("stdc++")]),
        .target(name: "CHoneDigest"),
        .target(name: "HoneFormats", dependencies: ["CHoneDigest"]),
        .target(name: "HoneTorch", dependencies: ["CHoneTorch", "HoneFormats"]),
        // Downloads through libcurl, loaded at run time: wherever Swift is, it is too.
        .target(name: "CHoneTransfer", linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
        .target(name: "HoneHub", dependencies: ["CHoneTransfer", "HoneFormats"]),
        // PNG and JPEG files through libpng and libjpeg-turbo, loaded at run time: no Swift package for images is kept well enough, and
        // these two read what hostile files hold every day. `Scripts/set-up` fetches them out of Pillow's wheel, so that samples are
        // the reference's; an installed libjpeg.so.62 and libpng16.so.16 do as well.
        .target(name: "CHoneImages", linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
        .target(name: "HoneImages", dependencies: ["CHoneImages", "HoneFormats"]),
        .target(name: "HoneText", dependencies: ["HoneFormats"]),
        .target(name: "HoneModels", dependencies: ["HoneFormats", "HoneTorch", "HoneHub", "HoneImages", "HoneText"]),
        .target(name: "HoneTasks", dependencies: ["HoneFormats", .product(name: "Yams", package: "Yams")]),
        .target(
            name: "HoneMethods", dependencies: ["HoneFormats", "HoneTorch", "HoneText", "HoneModels", "HoneTasks"]),
        .target(name: "HoneTraining", dependencies: ["HoneFormats", "HoneTorch", "HoneModels", "HoneMethods"]),
        .target(name: "HoneEvaluation", dependencies: ["HoneFormats"]),
        .target(name: "HoneReports", dependencies: ["HoneFormats", "HoneEvaluation"]),
        .target(
            name: "Hone",
            dependencies: [
                "HoneFormats", "HoneTorch", "HoneHub", "HoneText", "HoneModels", "HoneTasks", "HoneMethods",
                "HoneTraining",
                "HoneEvaluation", "HoneReports",
            ]),
        .target(
            name: "HoneTesting",
            dependencies: [
                "HoneFormats", "HoneTorch", "HoneText", "HoneModels", "HoneTasks", "HoneMethods", "HoneTraining",
            ]),
        .target(name: "CHoneStart"),
        .executableTarget(
            name: "HoneCommand",
            dependencies: [
                "CHoneStart", "Hone", "HoneFormats", "HoneTorch", "HoneHub", "HoneText", "HoneModels", "HoneTasks",
                "HoneMethods", "HoneTraining", "HoneEvaluation", "HoneReports",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .testTarget(name: "HoneFormatsTests", dependencies: ["HoneFormats"], exclude: ["Fixtures"]),
        .testTarget(name: "HoneTorchTests", dependencies: ["HoneTorch"]),
        .testTarget(name: "HoneHubTests", dependencies: ["HoneHub"]),
        .testTarget(
            name: "HoneImagesTests", dependencies: ["HoneImages", "HoneFormats", "HoneTesting"], exclude: ["Fixtures"]),
        .testTarget(
            name: "HoneTextTests", dependencies: ["HoneText", "HoneFormats", "HoneTesting"], exclude: ["Fixtures"]),
        .testTarget(
            name: "HoneModelsTests", dependencies: ["HoneModels", "HoneMethods", "HoneTesting"], exclude: ["Fixtures"]),
        .testTarget(name: "HoneTasksTests", dependencies: ["HoneTasks"]),
        .testTarget(
            name: "HoneMethodsTests", dependencies: ["HoneMethods", "HoneTraining", "HoneTesting"],
            exclude: ["Fixtures"]),
        .testTarget(name: "HoneTrainingTests", dependencies: ["HoneTraining", "HoneTesting"], exclude: ["Fixtures"]),
        .testTarget(name: "HoneEvaluationTests", dependencies: ["HoneEvaluation"], exclude: ["Fixtures"]),
        .testTarget(name: "HoneReportsTests", dependencies: ["HoneReports"]),
        .testTarget(
            name: "HoneCommandTests",
            dependencies: ["Hone", "HoneFormats", "HoneMethods", "HoneModels", "HoneCommand", "HoneTesting"],
            exclude: ["Fixtures"]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx20
)

// One place for the settings of every Swift target, so that none is forgotten.
for target in package.targets where [.regular, .executable, .test].contains(target.type) && target.name != "CHoneTorch"
{
    target.swiftSettings = (target.swiftSettings ?? []) + [.enableUpcomingFeature("ExistentialAny")]
}
