import Foundation
import HoneFormats

/// The files beside `tokenizer.json` in a model folder, and which tokens they describe.
///
/// What counts is what counts in transformers 5: `special_tokens_map.json` overrides `tokenizer_config.json`, but is not read
/// at all where that has `added_tokens_decoder`; and `add_bos_token` and `add_eos_token` mean nothing beside a
/// `tokenizer.json`, whose post-processor decides.
struct TokenizerFolder {
    /// `tokenizer_config.json`
    let config: JSON?
    /// `config.json`
    let model: JSON?
    /// The files that say which tokens have which role; the first that knows one decides.
    private let sources: [JSON]

    /// A token that is described outside `tokenizer.json`.
    struct Token {
        var content: String
        /// How it is found; `nil` where only its name is given.
        var flags: JSON?
        var isSpecial: Bool
    }

    static let roles = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"]

    init(_ folder: String) throws {
        func read(_ name: String) throws -> JSON? {
            let path = folder + "/" + name
            guard FileManager.default.fileExists(atPath: path) else { return nil }
            let value = try JSON.read(file: path)
            guard value.object != nil else {
                throw HoneError(.badFile, "should hold an object, found \(value.kind)", file: path)
            }
            return value
        }
        config = try read("tokenizer_config.json")
        model = try read("config.json")
        let map = config?["added_tokens_decoder"] == nil ? try read("special_tokens_map.json") : nil
        sources = [map, config].compactMap { $0 }
    }

    /// The text of the token of a role: `bos`, `pad` and so on. `nil` where no file says anything, or `null`.
    func token(_ role: String) -> String? {
        // A token is a string, or an object that describes it.
        for source in sources {
            if let value = source["\(role)_token"] { return value.string ?? value["content"]?.string }
        }
        return nil
    }

    /// All tokens that the files describe.
    var tokens: [Token] {
        var tokens: [Token] = []
        for (_, value) in (config?["added_tokens_decoder"]?.object?.pairs ?? []) {
            guard let content = value["content"]?.string else { continue }
            tokens.append(Token(content: content, flags: value, isSpecial: value["special"]?.bool ?? false))
        }
        for role in Self.roles {
            if let content = token(role) { tokens.append(Token(content: content, flags: nil, isSpecial: true)) }
        }
        for source in sources {
            for list in ["additional_special_tokens", "extra_special_tokens"] {
                for value in source[list]?.array ?? [] {
                    guard let content = value.string ?? value["content"]?.string else { continue }
                    tokens.append(Token(content: content, flags: nil, isSpecial: true))
                }
            }
        }
        return tokens
    }
}
