import HoneFormats

/// What people name as a model that is none.
enum ForeignModelFile {
    /// What to say of a path without a `config.json`; `nil` for a folder, or where nothing is.
    static func problem(_ path: String) -> HoneError? {
        guard FileStatus.exists(path), !FileStatus.isFolder(path) else { return nil }
        do {
            _ = try SafetensorsFile(path: path)
            return HoneError(
                .usage, "this is a file of weights; name its folder, which also has config.json and tokenizer.json",
                file: path)
        } catch {
            return error as? HoneError
        }
    }
}
