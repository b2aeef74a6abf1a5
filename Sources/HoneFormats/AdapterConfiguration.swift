/// The configuration of an adapter (`adapter_config.json`) in the layout of Hugging Face's PEFT.
///
/// Reading refuses what would silently compute something else than PEFT does; fields without a meaning here are kept in
/// `other` and written again.
public struct AdapterConfiguration: Hashable, Sendable {
    /// What the adapter consists of.
    public enum Method: Hashable, Sendable {
        /// Low-rank updates of linear maps (`LORA`), with DoRA and rank-stabilised scaling.
        case lora(LoRAConfiguration)
        /// Low-rank updates whose ranks are allotted in training (`ADALORA`).
        case adaLoRA(AdaLoRAConfiguration)
        /// Trained vectors before the input (`PROMPT_TUNING`).
        case promptTuning(PromptTuningConfiguration)
        /// Skills that tasks mix (`POLY`).
        case poly(PolyConfiguration)
        /// Trained keys and values before those of the input, in every layer (`PREFIX_TUNING`).
        case prefixTuning(PrefixTuningConfiguration)
        /// Trained factors of what linear maps give or are given (`IA3`).
        case ia3(IA3Configuration)
        /// Trained norms (`LN_TUNING`).
        case layerNormTuning(LayerNormTuningConfiguration)

        /// The name in the field `peft_type`.
        public var peftType: String {
            switch self {
            case .lora: "LORA"
            case .adaLoRA: "ADALORA"
            case .promptTuning: "PROMPT_TUNING"
            case .poly: "POLY"
            case .prefixTuning: "PREFIX_TUNING"
            case .ia3: "IA3"
            case .layerNormTuning: "LN_TUNING"
            }
        }
    }

    /// What the adapted model is for: PEFT's `task_type`.
    public enum TaskType: String, Hashable, Sendable, CaseIterable {
        /// One label for a text.
        case sequenceClassification = "SEQ_CLS"
        /// A text from a text, with an encoder and a decoder.
        case sequenceToSequence = "SEQ_2_SEQ_LM"
        /// The next token.
        case causalLanguageModel = "CAUSAL_LM"
        /// One label for each token.
        case tokenClassification = "TOKEN_CLS"
        /// A span of a text that answers a question.
        case questionAnswering = "QUESTION_ANS"
        /// Hidden states.
        case featureExtraction = "FEATURE_EXTRACTION"
    }

    /// The name of the configuration in an adapter's folder.
    public static let fileName = "adapter_config.json"
    /// The name of the tensors in an adapter's folder.
    public static let weightsFileName = "adapter_model.safetensors"

    /// What the adapter consists of, with its settings.
    public var method: Method
    /// What the adapted model is for; `nil` for a plain adapter.
    public var taskType: TaskType?
    /// The name or path of the base model, as whoever trained the adapter had it.
    public var baseModel: String?
    /// Fields that are kept and not understood, in the order of the file.
    public var other: JSONObject

    /// A configuration with all its parts.
    public init(
        method: Method, taskType: TaskType? = nil, baseModel: String? = nil, other: JSONObject = JSONObject()
    ) {
        self.method = method
        self.taskType = taskType
        self.baseModel = baseModel
        self.other = other
    }

    /// Reads the configuration of an adapter's folder.
    ///
    /// - Throws: `HoneError`: `.fileSystem` when it cannot be read, otherwise as `init(json:file:)`.
    public static func read(folder: String) throws -> AdapterConfiguration {
        let path = FolderPath.join(folder, fileName)
        return try AdapterConfiguration(json: try JSON.read(file: path), file: path)
    }

    /// Reads a configuration from JSON.
    ///
    /// - Parameters:
    ///   - json: the content of the file.
    ///   - file: the name to put into errors.
    /// - Throws: `HoneError` that names the field: `.badFile` for a value of the wrong kind or out of bounds,
    ///   `.unsupported` for a type of adapter, or a variant of one, that Hone does not compute.
    public init(json: JSON, file: String? = nil) throws {
        var fields = try JSONFields(json, file: file)
        guard let type = try fields.string("peft_type") else {
            throw fields.error("peft_type", "the field is missing: this is not the configuration of a PEFT adapter")
        }
        _ = try fields.bool("inference_mode")
        baseModel = try fields.string("base_model_name_or_path")
        taskType = try Self.taskType(&fields)
        guard let read = Self.readers.first(where: { $0.type == type })?.read else {
            let known = Self.readers.map(\.type).joined(separator: ", ")
            throw fields.error(
                "peft_type", "the adapter is of type \(SafetensorsHeader.quoted(type)); Hone reads \(known)",
                .unsupported)
        }
        method = try read(&fields)
        other = fields.rest
    }

    /// How each type is read; a new one is added here.
    private static let readers: [(type: String, read: @Sendable (inout JSONFields) throws -> Method)] = [
        ("LORA", { .lora(try LoRAConfiguration(&$0)) }),
        ("ADALORA", { .adaLoRA(try AdaLoRAConfiguration(&$0)) }),
        ("IA3", { .ia3(try IA3Configuration(&$0)) }),
        ("LN_TUNING", { .layerNormTuning(try LayerNormTuningConfiguration(&$0)) }),
        ("POLY", { .poly(try PolyConfiguration(&$0)) }),
        ("PROMPT_TUNING", { .promptTuning(try PromptTuningConfiguration(&$0)) }),
        ("PREFIX_TUNING", { .prefixTuning(try PrefixTuningConfiguration(&$0)) }),
    ]

    private static func taskType(_ fields: inout JSONFields) throws -> TaskType? {
        guard let name = try fields.string("task_type") else { return nil }
        guard let type = TaskType(rawValue: name) else {
            let known = TaskType.allCases.map(\.rawValue).joined(separator: ", ")
            throw fields.error("task_type", "\(SafetensorsHeader.quoted(name)) is none of \(known)")
        }
        return type
    }

    /// The configuration as JSON, as PEFT saves it: `inference_mode` is true. A field of `other` that this type knows
    /// itself is not taken from there.
    public var json: JSON {
        var object = other
        object["peft_type"] = .string(method.peftType)
        object["task_type"] = taskType.map { .string($0.rawValue) } ?? .null
        object["base_model_name_or_path"] = baseModel.map { .string($0) } ?? .null
        object["inference_mode"] = true
        switch method {
        case .lora(let configuration): configuration.write(to: &object)
        case .adaLoRA(let configuration): configuration.write(to: &object)
        case .promptTuning(let configuration): configuration.write(to: &object)
        case .poly(let configuration): configuration.write(to: &object)
        case .prefixTuning(let configuration): configuration.write(to: &object)
        case .ia3(let configuration): configuration.write(to: &object)
        case .layerNormTuning(let configuration): configuration.write(to: &object)
        }
        return .object(object)
    }

    /// Writes `adapter_config.json` into an existing folder, atomically: keys sorted, indented by two.
    ///
    /// - Throws: `HoneError`: `.fileSystem` when it cannot be written, otherwise as `init(json:file:)` for a configuration
    ///   that could not be read again.
    public func write(folder: String) throws {
        let path = FolderPath.join(folder, Self.fileName)
        let json = json
        _ = try AdapterConfiguration(json: json, file: path)
        try AtomicFile.write(json.text(pretty: true, sortedKeys: true), to: path)
    }
}
