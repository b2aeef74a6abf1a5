import HoneFormats

/// T5 (Raffel et al. 2020), T5 v1.1 and FLAN-T5 (Chung et al. 2022): encoder and decoder with norms without centring before
/// the sublayers, biases of distances instead of positions, and attention scores that are not scaled.
///
/// The first T5 has a plain feed-forward sublayer and scores tokens by their embeddings; the later ones are gated and have a
/// head of their own.
public enum T5: ModelFamily {
    /// `t5`
    public static let modelTypes = ["t5"]
    /// `transformer.`, as models with a head for classes have it.
    public static let prefix = "transformer."
    /// The usual model carries no prefix.
    public static let prefixesAdapters = false

    /// Reads a T5 config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        try config.refuseOtherWeights()
        try config.require("is_encoder_decoder", toBe: [true])
        try config.require("is_decoder", toBe: [false])
        let width = try config.size("d_model")
        var made = TransformerConfiguration(
            vocabularySize: try config.size("vocab_size"), width: width,
            layerCount: try config.size("num_layers", upTo: 1024), headCount: try config.size("num_heads", upTo: 4096),
            headWidth: try config.size("d_kv", upTo: 65536), innerWidth: try config.size("d_ff"),
            maximumLength: try config.size("n_positions", default: 512))
        made.norm = .rootMeanSquare
        made.normEpsilon = try config.number("layer_norm_epsilon", default: 1e-6)
        made.positions = .none
        made.attentionScale = 1
        made.relativeBias = try relativeBias(config)
        (made.activation, made.isGated) = try feedForward(config)
        made.attentionInputBias = false
        made.attentionOutputBias = false
        made.feedForwardBias = false
        made.hasLanguageHead = true
        // Later versions of transformers write that every head is tied, whatever the file holds, and say in a field of its own
        // whether the head's input is scaled.
        let isTied = try config.flag("tie_word_embeddings", default: true)
        made.scalesHeadInput = try config.flag("scale_decoder_outputs", default: isTied)
        let hasHead = config.weightNames.contains("lm_head.weight")
        made.tiesHead = hasHead || config.weightNames.isEmpty ? isTied && made.scalesHeadInput : true
        guard
            let start = try config.token("decoder_start_token_id", of: made.vocabularySize)
                ?? config.token("pad_token_id", of: made.vocabularySize)
        else { throw config.refused("decoder_start_token_id", "the field is missing") }
        made.decoder = .init(
            layerCount: try config.size("num_decoder_layers", default: made.layerCount, upTo: 1024),
            headCount: made.headCount, headWidth: made.headWidth, innerWidth: made.innerWidth, startId: start)
        return made
    }

    private static func relativeBias(_ config: ConfigReader) throws -> TransformerConfiguration.RelativeBias {
        let buckets = try config.size("relative_attention_num_buckets", default: 32, upTo: 65536)
        guard buckets % 2 == 0, buckets >= 4 else {
            throw config.refused("relative_attention_num_buckets", "must be an even number from 4 on")
        }
        let distance = try config.size("relative_attention_max_distance", default: 128)
        guard distance > buckets / 2 else {
            throw config.refused("relative_attention_max_distance", "must be above half of the \(buckets) buckets")
        }
        return .init(buckets: buckets, maximumDistance: distance)
    }

    /// `relu`, or `gated-gelu`, which stands for the gelu by its tanh approximation.
    private static func feedForward(_ config: ConfigReader) throws -> (TransformerConfiguration.Activation, Bool) {
        let field = "feed_forward_proj"
        let whole = config.json[field]?.string ?? "relu"
        if whole == "gated-gelu" { return (.geluTanh, true) }
        let name = whole.hasPrefix("gated-") ? String(whole.dropFirst(6)) : whole
        let reader = ConfigReader([field: .string(name)], file: config.file)
        return (try reader.activation(field, default: name), name != whole)
    }

    /// The names of T5's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        var names = WeightNames()
        func add(_ name: String, _ source: String) { names.add(name, source, hasBias: false) }
        add("embeddings.tokens", "shared")
        func addAttention(_ own: String, _ other: String) {
            for (part, letter) in [("query", "q"), ("key", "k"), ("value", "v"), ("output", "o")] {
                add(own + "." + part, other + "." + letter)
            }
        }
        for stack in configuration.stacks {
            add(
                stack.prefix + "embeddings.relativePositions",
                stack.prefix + "block.0.layer.0.SelfAttention.relative_attention_bias")
            for layer in 0..<stack.layerCount {
                let own = stack.prefix + "layers.\(layer)."
                let other = stack.prefix + "block.\(layer).layer."
                addAttention(own + "attention", other + "0.SelfAttention")
                add(own + "attention.norm", other + "0.layer_norm")
                if stack.hasCrossAttention {
                    addAttention(own + "crossAttention", other + "1.EncDecAttention")
                    add(own + "crossAttention.norm", other + "1.layer_norm")
                }
                let last = other + (stack.hasCrossAttention ? "2" : "1")
                if stack.isGated { add(own + "mlp.gate", last + ".DenseReluDense.wi_0") }
                add(own + "mlp.up", last + ".DenseReluDense." + (stack.isGated ? "wi_1" : "wi"))
                add(own + "mlp.down", last + ".DenseReluDense.wo")
                add(own + "mlp.norm", last + ".layer_norm")
            }
            add(stack.prefix + "norm", stack.prefix + "final_layer_norm")
        }
        names.addHead("lm_head.weight", of: configuration)
        return names.all
    }

    /// Copies of the token embedding, a table of distances that older files have and nothing reads, heads of other tasks.
    public static func ignores(_ source: String) -> Bool {
        ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"].contains(source)
            || source == "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
            || source.hasPrefix("classification_head.")
    }
}
