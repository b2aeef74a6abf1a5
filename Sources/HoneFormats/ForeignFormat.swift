import Foundation

/// Files that people take for safetensors, told by their first bytes and never by their name.
enum ForeignFormat {
    /// How to turn a pickle into safetensors.
    static func pickleAdvice(_ name: String) -> String {
        "Hone never reads pickle, because reading it can run code; if you trust its author, convert it in Python: "
            + "safetensors.torch.save_file(torch.load(\"\(name)\", weights_only=True), \"model.safetensors\")"
    }

    /// What this is instead of safetensors, and what to do; `nil` where that cannot be told.
    ///
    /// To be asked only when the file has proved not to be safetensors: the length of a small header can have the same
    /// bytes as the beginning of a pickle.
    static func error(start: [UInt8], file: String?) -> HoneError? {
        guard let message = message(start, name: file.map { ($0 as NSString).lastPathComponent } ?? "FILE") else {
            return nil
        }
        return HoneError(.badFile, message, file: file)
    }

    private static func message(_ start: [UInt8], name: String) -> String? {
        if start.starts(with: [0x50, 0x4B, 0x03, 0x04]) {
            return "this is a zip archive, as torch.save makes, with a pickle inside. \(pickleAdvice(name))"
        }
        if start.count >= 2, start[0] == 0x80, (2...5).contains(start[1]) {
            return "this is a pickle. \(pickleAdvice(name))"
        }
        if start.starts(with: "version ".utf8) {
            return "this is a Git LFS pointer, not the file itself; run git lfs pull in its repository"
        }
        if start.starts(with: "GGUF".utf8) {
            return "this is a GGUF file; get the model in safetensors format"
        }
        if start.starts(with: [0x89, 0x48, 0x44, 0x46]) {
            return "this is an HDF5 file, as Keras makes; get the model in safetensors format"
        }
        if start.first == UInt8(ascii: "<") {
            return "this is a web page, not a model; the download has failed, download it again"
        }
        return nil
    }
}
