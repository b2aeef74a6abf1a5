import Foundation
import HoneFormats

/// What happens to a text between the encoder and its vector, as the files of sentence-transformers say: `modules.json`,
/// `sentence_bert_config.json`, `1_Pooling/config.json`, `2_Dense/config.json` and `config_sentence_transformers.json`.
public struct SentenceLayout: Hashable, Sendable {
    /// How token states become one vector; several are put one after the other.
    public enum Pooling: String, Hashable, Sendable, CaseIterable {
        /// The first token's state.
        case first = "cls"
        /// The largest value of each element over the tokens.
        case max
        /// The mean over the tokens.
        case mean
        /// The sum over the tokens, divided by the square root of their number.
        case meanOverRoot = "mean_sqrt_len_tokens"
        /// The mean over the tokens, the n-th weighted by n.
        case weightedMean = "weightedmean"
        /// The last token's state.
        case last = "lasttoken"
    }

    /// The function behind a linear map.
    public enum Activation: String, Hashable, Sendable, CaseIterable {
        case identity = "Identity"
        case tanh = "Tanh"
        case relu = "ReLU"
        case gelu = "GELU"
        case silu = "SiLU"
        case sigmoid = "Sigmoid"
    }

    /// What is done with the pooled vector.
    public enum Step: Hashable, Sendable {
        /// A linear map with a function behind it; its weights lie in the folder.
        case dense(folder: String, inputs: Int, outputs: Int, hasBias: Bool, activation: Activation)
        /// Scales the vector to length one.
        case normalize
    }

    /// How token states become one vector.
    public var pooling: [Pooling] = [.mean]
    /// What is done with the vector then, in order.
    public var steps: [Step] = []
    /// The most tokens of a text, special ones counted; the model's own limit where absent.
    public var maximumLength: Int?
    /// Whether texts are put into lower case first.
    public var lowercases = false
    /// What is put before every text; empty for nothing.
    public var prompt = ""
    /// What can be put before texts, by name.
    public var prompts: [String: String] = [:]
    /// Whether pooling sees the prompt's tokens.
    public var poolsPrompt = true

    /// The mean over the tokens, as it is: what is done where a folder says nothing.
    public init() {}

    /// Whether a model's folder says how texts become vectors.
    public static func isStated(in folder: String) -> Bool { FileStatus.exists(folder + "/modules.json") }

    /// Reads what a model's folder says; where it says nothing, the mean over the tokens.
    ///
    /// - Throws: `HoneError` that names the file and the field which is damaged, or asks for something not supported.
    public init(folder: String) throws {
        guard SentenceLayout.isStated(in: folder) else { return }
        let file = folder + "/modules.json"
        guard let modules = try JSON.read(file: file).array, (1...16).contains(modules.count) else {
            throw HoneError(.badFile, "must be a list of 1 to 16 modules", file: file)
        }
        var hasPooling = false
        for (place, module) in modules.enumerated() {
            guard let type = module["type"]?.string, let path = module["path"]?.string else {
                throw HoneError(.badFile, "module \(place) needs a type and a path", file: file)
            }
            try SentenceLayout.checkPath(path, file: file)
            let own = path.isEmpty ? folder : folder + "/" + path
            let kind = type.split(separator: ".").last.map(String.init) ?? type
            switch kind {
            case "Transformer" where place == 0:
                guard path.isEmpty else {
                    throw HoneError(
                        .unsupported, "the model must lie in the folder itself, not in \(path)", file: file,
                        item: "path")
                }
                try readLimits(folder: folder)
            case "Pooling" where place > 0 && !hasPooling && steps.isEmpty:
                try readPooling(own + "/config.json")
                hasPooling = true
            case "Dense" where hasPooling: try readDense(own)
            case "Normalize" where hasPooling: steps.append(.normalize)
            case "Dropout" where hasPooling: break
            default:
                throw HoneError(.unsupported, "the module \(type) is not supported at place \(place)", file: file)
            }
        }
        guard hasPooling else { throw HoneError(.unsupported, "a module for pooling is missing", file: file) }
        try readPrompts(folder + "/config_sentence_transformers.json")
    }

    /// Folders of modules lie within the model's.
    private static func checkPath(_ path: String, file: String) throws {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard path.isEmpty || (!path.utf8.contains(0) && parts.allSatisfy { !["", ".", ".."].contains($0) }) else {
            throw HoneError(.badFile, "a module's path must lie within the folder", file: file, item: "path")
        }
    }

    private mutating func readLimits(folder: String) throws {
        let file = folder + "/sentence_bert_config.json"
        guard FileStatus.exists(file) else { return }
        var fields = try JSONFields(JSON.read(file: file), file: file)
        if let length = fields.value("max_seq_length"), !length.isNull {
            guard let number = length.integer, (1...1 << 24).contains(number) else {
                throw fields.error("max_seq_length", "must be a whole number from 1 to \(1 << 24)")
            }
            maximumLength = number
        }
        lowercases = try fields.bool("do_lower_case") ?? false
    }

    private mutating func readPooling(_ file: String) throws {
        var fields = try JSONFields(JSON.read(file: file), file: file)
        poolsPrompt = try fields.bool("include_prompt") ?? true
        if let value = fields.value("pooling_mode"), !value.isNull {
            let names = value.array ?? [value]
            pooling = try names.map { name in
                guard let mode = name.string.flatMap(Pooling.init(rawValue:)) else {
                    throw fields.error(
                        "pooling_mode",
                        "\(name.text()) is not supported; supported are "
                            + Pooling.allCases.map(\.rawValue).joined(separator: ", "), .unsupported)
                }
                return mode
            }
            guard !pooling.isEmpty else { throw fields.error("pooling_mode", "must name a way of pooling") }
            return
        }
        // The older form: one flag each, in the order in which the vectors follow one another.
        let flags: [(name: String, mode: Pooling)] = [
            ("pooling_mode_cls_token", .first), ("pooling_mode_max_tokens", .max), ("pooling_mode_mean_tokens", .mean),
            ("pooling_mode_mean_sqrt_len_tokens", .meanOverRoot), ("pooling_mode_weightedmean_tokens", .weightedMean),
            ("pooling_mode_lasttoken", .last),
        ]
        let chosen = try flags.filter { try fields.bool($0.name) ?? false }.map(\.mode)
        pooling = chosen.isEmpty ? [.mean] : chosen
    }

    private mutating func readDense(_ folder: String) throws {
        let file = folder + "/config.json"
        var fields = try JSONFields(JSON.read(file: file), file: file)
        guard let inputs = try fields.integer("in_features", in: 1...1 << 24),
            let outputs = try fields.integer("out_features", in: 1...1 << 24)
        else { throw HoneError(.badFile, "in_features and out_features are needed", file: file) }
        let name = try fields.string("activation_function") ?? "Tanh"
        guard let activation = name.split(separator: ".").last.flatMap({ Activation(rawValue: String($0)) }) else {
            throw fields.error("activation_function", "the activation `\(name)` is not supported", .unsupported)
        }
        for field in ["module_input_name", "module_output_name"] {
            let value = try fields.string(field)
            guard value == nil || value == "sentence_embedding" else {
                throw fields.error(field, "`\(value ?? "")` is not supported", .unsupported)
            }
        }
        guard try fields.bool("use_residual") != true else {
            throw fields.error("use_residual", "a residual connection is not supported", .unsupported)
        }
        steps.append(
            .dense(
                folder: folder, inputs: inputs, outputs: outputs, hasBias: try fields.bool("bias") ?? true,
                activation: activation))
    }

    private mutating func readPrompts(_ file: String) throws {
        guard FileStatus.exists(file) else { return }
        let json = try JSON.read(file: file)
        for (name, text) in json["prompts"]?.object?.pairs ?? [] {
            guard let text = text.string else {
                throw HoneError(.badFile, "a prompt must be a text", file: file, item: "prompts.\(name)")
            }
            prompts[name] = text
        }
        guard let name = json["default_prompt_name"]?.string else { return }
        guard let text = prompts[name] else {
            throw HoneError(.badFile, "there is no prompt of that name", file: file, item: "default_prompt_name")
        }
        prompt = text
    }
}
