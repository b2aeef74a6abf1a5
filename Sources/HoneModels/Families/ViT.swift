import HoneFormats

/// ViT (Dosovitskiy et al. 2021): an encoder of image patches with norms before the sublayers.
public enum ViT: ModelFamily {
    /// `vit`
    public static let modelTypes = ["vit"]
    /// `vit.`
    public static let prefix = "vit."
    /// Adapters are made for the classifier of images, whose modules carry the prefix.
    public static let prefixesAdapters = true

    /// Reads a ViT config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        try config.visionTransformer(hasDistillationToken: false)
    }

    /// The names of ViT's weights, as files have them.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        var names = WeightNames()
        names.add("embeddings.patches", "embeddings.patch_embeddings.projection")
        names.add(batched: "embeddings.class.weight", "embeddings.cls_token")
        if configuration.patches?.hasDistillationToken == true {
            names.add(batched: "embeddings.distillation.weight", "embeddings.distillation_token")
        }
        names.add(batched: "embeddings.positions.weight", "embeddings.position_embeddings")
        for layer in 0..<configuration.layerCount {
            let (own, other) = ("layers.\(layer).", "encoder.layer.\(layer).")
            names.addMaps(
                [
                    "attention.query": "attention.attention.query", "attention.key": "attention.attention.key",
                    "attention.value": "attention.attention.value", "attention.output": "attention.output.dense",
                    "mlp.up": "intermediate.dense", "mlp.down": "output.dense",
                ], of: configuration, own: own, other: other)
            names.add(own + "attention.norm", other + "layernorm_before")
            names.add(own + "mlp.norm", other + "layernorm_after")
        }
        names.add("norm", "layernorm")
        return names.all
    }

    /// The reference's modules have had other names since its fifth version; files keep theirs.
    public static func module(ofFile name: String) -> String {
        let names = [
            ("encoder.layer.", "layers."), ("attention.attention.query", "attention.q_proj"),
            ("attention.attention.key", "attention.k_proj"), ("attention.attention.value", "attention.v_proj"),
            ("attention.output.dense", "attention.o_proj"), ("intermediate.dense", "mlp.fc1"),
            ("output.dense", "mlp.fc2"),
        ]
        return names.reduce(name) { $0.replacing($1.0, with: $1.1) }
    }

    /// The pooler, the heads of classifiers, and what pre-training with hidden patches leaves.
    public static func ignores(_ source: String) -> Bool {
        source == "embeddings.mask_token"
            || ["pooler.", "classifier.", "cls_classifier.", "distillation_classifier.", "decoder."]
                .contains { source.hasPrefix($0) }
    }
}

extension ConfigReader {
    /// Reads the config of a ViT, or of a DeiT, which has the same fields.
    func visionTransformer(hasDistillationToken: Bool) throws -> TransformerConfiguration {
        try refuseOtherWeights()
        let image = try extent("image_size", default: 224, upTo: 1 << 14)
        let patch = try extent("patch_size", default: 16, upTo: 1 << 14)
        guard patch.height <= image.height, patch.width <= image.width else {
            throw refused("patch_size", "a patch is larger than the image")
        }
        var patches = TransformerConfiguration.Patches(
            channels: try size("num_channels", default: 3, upTo: 4096), imageHeight: image.height,
            imageWidth: image.width, patchHeight: patch.height, patchWidth: patch.width)
        patches.hasDistillationToken = hasDistillationToken
        var made = TransformerConfiguration(
            vocabularySize: 0, width: try size("hidden_size", default: 768),
            layerCount: try size("num_hidden_layers", default: 12, upTo: 1024),
            headCount: try size("num_attention_heads", default: 12, upTo: 4096),
            innerWidth: try size("intermediate_size", default: 3072), maximumLength: patches.length)
        try checkWidth(made, headCountField: "num_attention_heads")
        made.patches = patches
        made.normEpsilon = try number("layer_norm_eps", default: 1e-12)
        made.activation = try activation("hidden_act", default: "gelu")
        made.attentionInputBias = try flag("qkv_bias", default: true)
        return made
    }

    /// A height and a width: one number for both, or a list of two.
    private func extent(_ field: String, default value: Int, upTo bound: Int) throws -> (height: Int, width: Int) {
        guard case .array(let pair) = json[field] else {
            let side = try size(field, default: value, upTo: bound)
            return (side, side)
        }
        guard pair.count == 2, let height = pair[0].integer, let width = pair[1].integer,
            (1...bound).contains(height), (1...bound).contains(width)
        else { throw refused(field, "must be a whole number from 1 to \(bound), or two of them") }
        return (height, width)
    }
}
