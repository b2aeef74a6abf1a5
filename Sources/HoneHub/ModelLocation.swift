import HoneFormats

/// Where a model lies on disk, and what it is on the Hub where it came from there.
public struct ModelLocation: Hashable, Sendable {
    /// The folder in Hugging Face layout.
    public var folder: String
    /// `owner/name`, for a model from the Hub.
    public var repository: String?
    /// The revision that was asked for, for a model from the Hub.
    public var revision: String?
    /// The commit that the revision meant, for a model from the Hub.
    public var commit: String?

    /// A location.
    public init(folder: String, repository: String? = nil, revision: String? = nil, commit: String? = nil) {
        self.folder = folder
        self.repository = repository
        self.revision = revision
        self.commit = commit
    }

    /// What people call the model: its name on the Hub, or the last part of its folder.
    public var name: String {
        if let repository { return repository }
        let parts = folder.split(separator: "/")
        return parts.last.map(String.init) ?? folder
    }

    /// The model that a text of the command line or a `task.yaml` means: a folder that exists, else a name on the Hub.
    ///
    /// A text that begins with `/`, `.` or `~` is always a folder.
    ///
    /// - Parameter hub: makes the client, where one is needed.
    /// - Throws: `HoneError` where it is neither; the errors of `HubClient.location(of:)`.
    public static func named(_ text: String, hub: () throws -> HubClient = { try HubClient() }) throws -> ModelLocation
    {
        if FileStatus.exists(text) { return ModelLocation(folder: text) }
        guard let first = text.first, !"/.~".contains(first), !text.hasSuffix("/") else {
            throw HoneError(
                .fileSystem,
                "there is no such folder; a model is a folder in Hugging Face layout (config.json, …) or a name "
                    + "on the Hub (owner/name)", file: text)
        }
        let reference: ModelReference
        do {
            reference = try ModelReference(text)
        } catch {
            throw HoneError(
                .usage,
                "there is no such folder, and no name on the Hub (owner/name or owner/name@revision) is written like that",
                file: text)
        }
        do {
            return try hub().location(of: reference)
        } catch let error as HoneError where !reference.repository.contains("/") {
            // A name without an owner is more often a mistyped folder than one of the few old models.
            throw HoneError(
                error.code, "there is no such folder, and as a model of the Hub: \(error.message)", file: text)
        }
    }
}
