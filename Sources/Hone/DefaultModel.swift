import Foundation
import HoneFormats

/// Where models come from that are not given by their folder.
public enum DefaultModel {
    /// The name of the encoder that classification uses where no model is named.
    public static let name = "all-MiniLM-L6-v2"

    /// The folder of the default encoder: in `$HONE_MODELS`, beside the executable, or in `share/hone` above it.
    ///
    /// - Throws: `HoneError` that says where it was looked for.
    public static func folder() throws -> String {
        var places: [String] = []
        if let chosen = ProcessInfo.processInfo.environment["HONE_MODELS"] { places.append(chosen) }
        if let executable = executableFolder {
            places.append(executable + "/hone-models")
            places.append(executable + "/../share/hone/models")
        }
        for place in places {
            let folder = place + "/" + name
            if FileStatus.exists(folder + "/config.json") { return folder }
        }
        throw HoneError(
            .fileSystem,
            "the default model \(name) is not installed (looked in \(places.joined(separator: ", "))); run `make`, or name "
                + "a model folder with --model")
    }

    /// The folder that a user names: the default encoder's for its name where there is no folder of that name, any other as it is.
    public static func folder(named path: String) throws -> String {
        path == name && !FileStatus.exists(path) ? try folder() : path
    }

    /// The folder of the running executable.
    static var executableFolder: String? {
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            return nil
        }
        return (path as NSString).deletingLastPathComponent
    }
}
