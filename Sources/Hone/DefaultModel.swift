import Foundation
import HoneFormats
import HoneHub

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

    /// The model that a text means (a folder, or a name on the Hub), or the default encoder where there is no text or it is
    /// that encoder's name.
    ///
    /// - Parameter hub: downloads what is not there; one of the environment where it is not given.
    /// - Throws: as `ModelLocation.named(_:hub:)` and `folder()`.
    public static func location(_ text: String?, hub: HubClient? = nil) throws -> ModelLocation {
        guard let text, text != name || FileStatus.exists(text) else { return ModelLocation(folder: try folder()) }
        return try ModelLocation.named(text) { try hub ?? HubClient() }
    }

    /// The folder of the running executable.
    static var executableFolder: String? {
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            return nil
        }
        return (path as NSString).deletingLastPathComponent
    }
}
