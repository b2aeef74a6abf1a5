import HoneFormats
import HoneModels
import HoneTorch

/// Models of a few thousand seeded random weights, one of each kind that a method may meet.
///
/// They are written to disk as Hugging Face would and read back through `BaseModel`, so that a test of a method is also
/// one of loading:
///
///     let scratch = try TemporaryFolder()
///     let model = try TinyModel.llama.load(in: scratch)
public enum TinyModel: String, CaseIterable, Sendable {
    /// An encoder of BERT's family with a WordPiece tokenizer.
    case bert
    /// An encoder of RoBERTa's family: positions count from the padding token's number on.
    case roberta
    /// A decoder of Llama's family: grouped heads, rotary positions, no biases, the head tied to the embeddings.
    case llama
    /// As `llama`, with a head of its own.
    case untiedLlama
    /// A decoder of GPT-2's family: one fused map for query, key and value, stored transposed.
    case gpt2
    /// An encoder-decoder of BART's family: learned positions, norms after the sublayers, biases everywhere.
    case bart
    /// A decoder of Qwen3's family: heads of a width of their own with norms, and a window in one of its layers.
    case qwen3
    /// A decoder of OPT's family: positions from the third row of their table, tokens narrower than the model.
    case opt
    /// A decoder of GPT-NeoX's family: sublayers side by side, one map of all heads, positions that turn half a head.
    case neox
    /// An encoder of DeiT's family: grey images of eight by eight pixels, four patches, two learned tokens before them.
    case deit

    /// Whether it reads images instead of text.
    public var readsImages: Bool { self == .deit }

    private var family: any ModelFamily.Type {
        switch self {
        case .bert: BERT.self
        case .roberta: RoBERTa.self
        case .llama, .untiedLlama: Llama.self
        case .gpt2: GPT2.self
        case .bart: BART.self
        case .qwen3: Qwen3.self
        case .opt: OPT.self
        case .neox: GPTNeoX.self
        case .deit: DeiT.self
        }
    }

    /// The `config.json` for a number of tokens.
    private func config(tokens: Int) -> JSON {
        switch self {
        case .bert:
            [
                "model_type": "bert", "vocab_size": .integer(tokens), "hidden_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 4, "intermediate_size": 32, "max_position_embeddings": 64,
                "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
            ]
        case .roberta:
            [
                "model_type": "roberta", "vocab_size": .integer(tokens), "hidden_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 4, "intermediate_size": 32, "max_position_embeddings": 64,
                "type_vocab_size": 1, "hidden_act": "gelu", "layer_norm_eps": 1e-5, "pad_token_id": 0,
            ]
        case .llama, .untiedLlama:
            [
                "model_type": "llama", "vocab_size": .integer(tokens), "hidden_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 32,
                "max_position_embeddings": 96, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
                "tie_word_embeddings": .bool(self == .llama),
            ]
        case .gpt2:
            [
                "model_type": "gpt2", "vocab_size": .integer(tokens), "n_embd": 16, "n_layer": 2, "n_head": 4,
                "n_inner": 32, "n_positions": 96, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
                "tie_word_embeddings": true,
            ]
        case .bart:
            [
                "model_type": "bart", "vocab_size": .integer(tokens), "d_model": 16, "encoder_layers": 2,
                "decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 2,
                "encoder_ffn_dim": 32, "decoder_ffn_dim": 24, "max_position_embeddings": 64,
                "activation_function": "gelu", "decoder_start_token_id": 0,
            ]
        case .qwen3:
            [
                "model_type": "qwen3", "vocab_size": .integer(tokens), "hidden_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6, "intermediate_size": 32,
                "max_position_embeddings": 96, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
                "use_sliding_window": true, "sliding_window": 3, "max_window_layers": 1, "tie_word_embeddings": true,
            ]
        case .opt:
            [
                "model_type": "opt", "vocab_size": .integer(tokens), "hidden_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 4, "ffn_dim": 32, "max_position_embeddings": 96, "activation_function": "relu",
                "word_embed_proj_dim": 12, "do_layer_norm_before": true, "tie_word_embeddings": false,
            ]
        case .neox:
            [
                "model_type": "gpt_neox", "vocab_size": .integer(tokens), "hidden_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 96,
                "hidden_act": "gelu", "layer_norm_eps": 1e-5, "rotary_pct": 0.5, "tie_word_embeddings": true,
            ]
        case .deit:
            [
                "model_type": "deit", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
                "intermediate_size": 32, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "image_size": 8,
                "patch_size": 4, "num_channels": 1,
            ]
        }
    }

    /// Writes the model folder: `config.json`, `model.safetensors`, `tokenizer.json`, `tokenizer_config.json`;
    /// of a model of images `preprocessor_config.json` in place of the tokenizer.
    ///
    /// - Parameters:
    ///   - folder: exists already.
    ///   - seed: what the weights are drawn from.
    public func write(to folder: String, seed: UInt64 = 0) throws {
        let tokens = try writeInput(to: folder)
        // Three rows more than there are tokens, as models with a padded vocabulary have.
        let config = config(tokens: tokens + 3)
        let file = folder + "/config.json"
        try AtomicFile.write(config.text(pretty: true), to: file)
        let configuration = try family.configuration(ConfigReader(config, file: file))
        let shapes = Dictionary(uniqueKeysWithValues: configuration.weightShapes.map { ($0.name, $0.shape) })
        var tensors: [(name: String, tensor: Tensor)] = []
        for weight in family.weightNames(configuration) {
            let tensor = try TinyModel.weight(weight.name, shape: shapes[weight.name] ?? [], seed: seed)
            // Checkpoints of BERT and GPT-2 are bare, the others carry the prefix everywhere but on the head.
            let isBare = family == BERT.self || family == GPT2.self || weight.name == "head.weight"
            let name = (isBare ? "" : family.prefix) + weight.source
            tensors.append((name, try weight.toFile(tensor)))
        }
        try TensorFiles.write(tensors, metadata: ["format": "pt"], to: folder + "/model.safetensors")
    }

    /// Writes the tokenizer, or how images are prepared; gives the number of tokens.
    private func writeInput(to folder: String) throws -> Int {
        guard readsImages else {
            return try TinyTokenizer.write(to: folder, byteLevel: self != .bert && self != .roberta)
        }
        let preparation: JSON = [
            "image_processor_type": "DeiTImageProcessor", "size": 8, "do_center_crop": false, "image_mean": [0.5],
            "image_std": [0.25],
        ]
        try AtomicFile.write(preparation.text(pretty: true), to: folder + "/preprocessor_config.json")
        return 0
    }

    /// Writes the model into a folder of its own and reads it.
    public func load(in scratch: TemporaryFolder, seed: UInt64 = 0) throws -> BaseModel {
        let folder = try scratch.folder("\(rawValue)-\(seed)")
        try write(to: folder, seed: seed)
        return try BaseModel(folder: folder)
    }

    /// Weights large enough that every part of the model matters to the output, small enough that it stays smooth.
    private static func weight(_ name: String, shape: [Int], seed: UInt64) throws -> Tensor {
        var random = RandomStream(seed: seed, name: name)
        if name.hasSuffix("norm.weight") { return try random.normal(shape, mean: 1, standardDeviation: 0.1) }
        if name.hasSuffix(".bias") { return try random.normal(shape, standardDeviation: 0.1) }
        if name.hasPrefix("embeddings.tokens") { return try random.normal(shape, standardDeviation: 0.4) }
        if name.hasPrefix("embeddings.") { return try random.normal(shape, standardDeviation: 0.1) }
        return try random.normal(shape, standardDeviation: 1 / Double(shape.last ?? 1).squareRoot())
    }
}
