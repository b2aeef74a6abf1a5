import HoneTorch

/// What one transformer is made of: the switches in which the model families differ.
///
/// A family reads a Hugging Face `config.json` into one of these; everything else in Hone looks only at this. Weights go
/// by Hone's own names, which are also the paths of sites:
///
/// | name | shape |
/// |---|---|
/// | `embeddings.tokens.weight` | `[vocabularySize, tokenWidth]` |
/// | `embeddings.patches.weight`, `.bias` | `[width, channels, patchHeight, patchWidth]`, `[width]`, in place of tokens |
/// | `embeddings.class.weight` | `[1, width]`, before the patches; also `embeddings.distillation.weight` |
/// | `embeddings.projection.weight` | `[width, tokenWidth]`, where the two differ |
/// | `embeddings.positions.weight` | `[positionOffset + maximumLength, width]`, learned positions only |
/// | `embeddings.relativePositions.weight` | `[buckets, headCount]`, where distances have a bias |
/// | `embeddings.types.weight` | `[tokenTypeCount, width]` |
/// | `embeddings.norm.weight`, `.bias` | `[width]` |
/// | `layers.N.attention.query.weight`, `.bias` | `[headCount · headWidth, width]`; also `key`, `value` |
/// | `layers.N.attention.query.norm.weight` | `[headWidth]`, where heads are normalised; also `key.norm` |
/// | `layers.N.attention.input.weight`, `.bias` | query, key and value in one, where they are joined |
/// | `layers.N.attention.output.weight`, `.bias` | `[width, headCount · headWidth]` |
/// | `layers.N.attention.norm.weight`, `.bias` | `[width]` |
/// | `layers.N.mlp.up.weight`, `.bias` | `[innerWidth, width]`; also `gate` |
/// | `layers.N.mlp.down.weight`, `.bias` | `[width, innerWidth]` |
/// | `layers.N.mlp.norm.weight`, `.bias` | `[width]` |
/// | `norm.weight`, `.bias` | `[width]`, where norms come before the sublayers |
/// | `head.projection.weight` | `[tokenWidth, width]`, where the two differ |
/// | `head.weight` | `[vocabularySize, tokenWidth]`, where it is not the token embedding |
/// | `head.offset` | `[1, vocabularySize]`, a constant added to the scores, which no method trains |
///
/// A model of an encoder and a decoder has two stacks: both share `embeddings.tokens.weight`, and every other name of a
/// stack stands behind `encoder.` or `decoder.`. The decoder's layers have these besides:
///
/// | name | shape |
/// |---|---|
/// | `decoder.layers.N.crossAttention.query.weight`, `.bias` | as those of `attention`; also `key`, `value`, `output` |
/// | `decoder.layers.N.crossAttention.norm.weight`, `.bias` | `[width]` |
public struct TransformerConfiguration: Hashable, Sendable {
    /// How activations are normalised.
    public enum Norm: Hashable, Sendable {
        /// Layer normalisation with weight and bias.
        case layer
        /// Root-mean-square normalisation with a weight.
        case rootMeanSquare
    }

    /// Where a sublayer's norm stands.
    public enum NormPlace: Hashable, Sendable {
        /// On the sublayer's input (GPT-2, Llama); there is a last norm after all layers.
        case before
        /// On the sum of the sublayer's output and its input (BERT).
        case after
    }

    /// How a token knows its place.
    public enum Positions: Hashable, Sendable {
        /// A learned vector a position, added to the token's.
        case learned
        /// Queries and keys turned by an angle that grows with the position (Su et al. 2021), in two halves.
        case rotary(RotaryPositions)
        /// Not by its vectors; only attention may know, through a bias of distances.
        case none
    }

    /// A learned bias of attention scores for the distance from query to key, one a head and bucket of distances, the same
    /// in all layers (Raffel et al. 2020, section 2.1).
    public struct RelativeBias: Hashable, Sendable {
        /// How many buckets of distances there are.
        public var buckets: Int
        /// From this distance on, all fall into the last bucket.
        public var maximumDistance: Int

        /// A bias of so many buckets.
        public init(buckets: Int, maximumDistance: Int) {
            self.buckets = buckets
            self.maximumDistance = maximumDistance
        }
    }

    /// What a decoder beside an encoder has of its own; in all else it is as the encoder, but causal and with attention to
    /// the encoder's states.
    public struct Decoder: Hashable, Sendable {
        /// How many layers it has.
        public var layerCount: Int
        /// How many attention heads a layer has.
        public var headCount: Int
        /// The length of a head's vectors.
        public var headWidth: Int
        /// The width inside the feed-forward sublayer.
        public var innerWidth: Int
        /// The token that every decoded sequence starts from; it is not part of the result.
        public var startId: Int
        /// The token that every generated sequence begins with, where the model is made for one.
        public var firstId: Int?

        /// A decoder of the given sizes.
        public init(layerCount: Int, headCount: Int, headWidth: Int, innerWidth: Int, startId: Int) {
            self.layerCount = layerCount
            self.headCount = headCount
            self.headWidth = headWidth
            self.innerWidth = innerWidth
            self.startId = startId
        }
    }

    /// How a layer makes queries, keys and values.
    public enum AttentionInput: Hashable, Sendable {
        /// By three maps.
        case separate
        /// By one map: all queries, then all keys, then all values (GPT-2).
        case joined
        /// By one map: of each head its query, key and value (GPT-NeoX).
        case joinedByHead
    }

    /// Images as tokens: cut into patches that do not overlap, each brought to the model's width by one linear map
    /// (Dosovitskiy et al. 2021, section 3.1). A learned token stands before them, whose state stands for the image.
    public struct Patches: Hashable, Sendable {
        /// How many numbers a pixel has: 3 for colours, 1 for grey.
        public var channels: Int
        /// The height of images in pixels.
        public var imageHeight: Int
        /// The width of images in pixels.
        public var imageWidth: Int
        /// The height of a patch in pixels.
        public var patchHeight: Int
        /// The width of a patch in pixels.
        public var patchWidth: Int
        /// Whether a second learned token stands after the first, as models have it that were taught by another model
        /// (Touvron et al. 2021, section 4).
        public var hasDistillationToken = false

        /// How many patches stand one below the other, and side by side; what is left over at the edges is not seen.
        public var grid: (rows: Int, columns: Int) { (imageHeight / patchHeight, imageWidth / patchWidth) }
        /// How many learned tokens stand before the patches.
        public var leading: Int { hasDistillationToken ? 2 : 1 }
        /// How many tokens an image has.
        public var length: Int { leading + grid.rows * grid.columns }

        /// Patches of the given sizes.
        public init(channels: Int, imageHeight: Int, imageWidth: Int, patchHeight: Int, patchWidth: Int) {
            self.channels = channels
            self.imageHeight = imageHeight
            self.imageWidth = imageWidth
            self.patchHeight = patchHeight
            self.patchWidth = patchWidth
        }
    }

    /// Layers in which a position sees only those that are near (Beltagy et al. 2020).
    public struct Window: Hashable, Sendable {
        /// How many positions are seen, itself included.
        public var size: Int
        /// The layers, counted from 0.
        public var layers: Set<Int>
    }

    /// How many tokens there are.
    public var vocabularySize: Int
    /// The length of a token's vector between layers.
    public var width: Int
    /// How many layers there are.
    public var layerCount: Int
    /// How many attention heads a layer has.
    public var headCount: Int
    /// How many key and value heads a layer has; each serves `headCount / keyValueHeadCount` query heads.
    public var keyValueHeadCount: Int
    /// The length of a head's vectors.
    public var headWidth: Int
    /// The width inside the feed-forward sublayer.
    public var innerWidth: Int
    /// The longest sequence the positions reach.
    public var maximumLength: Int
    /// The length of a token's vector in its table, where a map brings it to `width`; `width` where left out.
    public var tokenWidth: Int
    /// What images are cut into; absent in models of text.
    public var patches: Patches?
    /// How many token types there are; 0 for none.
    public var tokenTypeCount = 0
    /// Kind of norm.
    public var norm: Norm = .layer
    /// Place of the norms.
    public var normPlace: NormPlace = .before
    /// What a norm adds to the variance.
    public var normEpsilon: Double = 1e-5
    /// Whether the sum of the embeddings is normalised.
    public var normalisesEmbeddings = false
    /// Kind of positions.
    public var positions: Positions = .learned
    /// The row of the table that the first learned position has.
    public var positionOffset = 0
    /// The token that takes no position of its own, wherever it stands (RoBERTa's padding token).
    public var positionlessToken: Int?
    /// The function inside the feed-forward sublayer.
    public var activation: Activation = .gelu
    /// Whether the feed-forward sublayer multiplies by a gate: `down(activation(gate(x)) · up(x))`.
    public var isGated = false
    /// Whether a position sees only itself and what is before it.
    public var isCausal = false
    /// Whether attention and feed-forward sublayer both start from the layer's input (GPT-J, GPT-NeoX).
    public var isParallel = false
    /// How queries, keys and values are made.
    public var attentionInput: AttentionInput = .separate
    /// Whether each head's query and key are normalised before they are turned (Dehghani et al. 2023).
    public var normalisesHeads = false
    /// What scores are multiplied by; one over the square root of the heads' width where left out.
    public var attentionScale: Double?
    /// Whether scores are also divided by the layer's number, counted from 1.
    public var scalesByLayer = false
    /// The layers in which positions see only those that are near.
    public var window: Window?
    /// Whether query, key and value have biases.
    public var attentionInputBias = true
    /// Whether the attention's output has a bias.
    public var attentionOutputBias = true
    /// Whether `config.json` may say that attention's maps have biases, all or none, as `attention_bias`.
    public var mayHaveAttentionBiases = false
    /// Whether the feed-forward maps have biases.
    public var feedForwardBias = true
    /// Whether there is a language-model head.
    public var hasLanguageHead = false
    /// Whether the head is the token embedding.
    public var tiesHead = true
    /// Whether scores are of states divided by the square root of the width.
    public var scalesHeadInput = false
    /// Whether a constant is added to the scores of tokens.
    public var hasHeadOffset = false
    /// Whether token embeddings are multiplied by the square root of the width.
    public var scalesEmbeddings = false
    /// The bias of attention for distances, where there is one.
    public var relativeBias: RelativeBias?
    /// The decoder beside the encoder that the other switches describe; absent in a model of one stack.
    public var decoder: Decoder?
    /// What stands before the names of a stack: nothing in a model of one.
    public internal(set) var prefix = ""
    /// Whether layers also attend to the states of an encoder.
    public internal(set) var hasCrossAttention = false

    /// Whether only libtorch's own operators are used, row by row with padding: slower, and what fused kernels and packed
    /// rows are compared with. Its gradients can be differentiated again.
    public var computesExactly = false

    /// A configuration of the given sizes; the switches are set afterwards.
    public init(
        vocabularySize: Int, width: Int, layerCount: Int, headCount: Int, keyValueHeadCount: Int? = nil,
        headWidth: Int? = nil, innerWidth: Int, maximumLength: Int
    ) {
        self.vocabularySize = vocabularySize
        self.width = width
        self.layerCount = layerCount
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount ?? headCount
        self.headWidth = headWidth ?? (headCount > 0 ? width / headCount : 0)
        self.innerWidth = innerWidth
        self.maximumLength = maximumLength
        tokenWidth = width
    }

    /// The linear maps of one layer: name within the layer, outputs, inputs, whether it has a bias.
    public var linearMaps: [(name: String, outputs: Int, inputs: Int, hasBias: Bool)] {
        let queries = headCount * headWidth
        let keys = keyValueHeadCount * headWidth
        var maps: [(name: String, outputs: Int, inputs: Int, hasBias: Bool)] = []
        if attentionInput != .separate {
            maps.append(("attention.input", queries + 2 * keys, width, attentionInputBias))
        } else {
            maps.append(("attention.query", queries, width, attentionInputBias))
            maps.append(("attention.key", keys, width, attentionInputBias))
            maps.append(("attention.value", keys, width, attentionInputBias))
        }
        maps.append(("attention.output", width, queries, attentionOutputBias))
        if hasCrossAttention {
            for name in ["query", "key", "value"] {
                maps.append(("crossAttention." + name, queries, width, attentionInputBias))
            }
            maps.append(("crossAttention.output", width, queries, attentionOutputBias))
        }
        if isGated { maps.append(("mlp.gate", innerWidth, width, feedForwardBias)) }
        maps.append(("mlp.up", innerWidth, width, feedForwardBias))
        maps.append(("mlp.down", width, innerWidth, feedForwardBias))
        return maps
    }

    /// Every weight that a model of this configuration has, with its shape, in the order of the forward pass.
    public var weightShapes: [(name: String, shape: [Int])] {
        var all: [(name: String, shape: [Int])] = []
        if let patches {
            all.append((inputWeight, [width, patches.channels, patches.patchHeight, patches.patchWidth]))
            all.append(("embeddings.patches.bias", [width]))
            all.append(("embeddings.class.weight", [1, width]))
            if patches.hasDistillationToken { all.append(("embeddings.distillation.weight", [1, width])) }
        } else {
            all.append((inputWeight, [vocabularySize, tokenWidth]))
        }
        for stack in stacks { all += stack.stackShapes.map { (stack.prefix + $0.name, $0.shape) } }
        if hasLanguageHead && tokenWidth != width { all.append(("head.projection.weight", [tokenWidth, width])) }
        if hasLanguageHead && !tiesHead { all.append(("head.weight", [vocabularySize, tokenWidth])) }
        if hasHeadOffset { all.append((TransformerConfiguration.headOffset, [1, vocabularySize])) }
        return all
    }

    /// The name of the weight that turns the input into vectors: every model has it, and the others lie where it lies.
    public var inputWeight: String { patches == nil ? "embeddings.tokens.weight" : "embeddings.patches.weight" }

    /// The weights of one stack, without its prefix.
    private var stackShapes: [(name: String, shape: [Int])] {
        var all: [(name: String, shape: [Int])] = []
        func addNorm(_ name: String) {
            all.append((name + ".weight", [width]))
            if norm == .layer { all.append((name + ".bias", [width])) }
        }
        if tokenWidth != width { all.append(("embeddings.projection.weight", [width, tokenWidth])) }
        if positions == .learned {
            all.append(("embeddings.positions.weight", [positionOffset + maximumLength, width]))
        }
        if let relativeBias {
            all.append(("embeddings.relativePositions.weight", [relativeBias.buckets, headCount]))
        }
        if tokenTypeCount > 0 { all.append(("embeddings.types.weight", [tokenTypeCount, width])) }
        if normalisesEmbeddings { addNorm("embeddings.norm") }
        for layer in 0..<layerCount {
            for map in linearMaps {
                all.append(("layers.\(layer).\(map.name).weight", [map.outputs, map.inputs]))
                if map.hasBias { all.append(("layers.\(layer).\(map.name).bias", [map.outputs])) }
            }
            if normalisesHeads {
                all.append(("layers.\(layer).attention.query.norm.weight", [headWidth]))
                all.append(("layers.\(layer).attention.key.norm.weight", [headWidth]))
            }
            addNorm("layers.\(layer).attention.norm")
            if hasCrossAttention { addNorm("layers.\(layer).crossAttention.norm") }
            addNorm("layers.\(layer).mlp.norm")
        }
        if normPlace == .before { addNorm("norm") }
        return all
    }

    /// How many numbers can be trained.
    public var parameterCount: Int {
        weightShapes.reduce(0) { $0 + ($1.name == TransformerConfiguration.headOffset ? 0 : $1.shape.reduce(1, *)) }
    }

    /// The name of the one weight that is a constant of the model: no method trains it.
    public static let headOffset = "head.offset"

    /// The stacks: the encoder's and the decoder's, or the only one. Each is a configuration of one stack.
    public var stacks: [TransformerConfiguration] {
        decoder == nil ? [self] : [encoderStack] + [decoderStack].compactMap { $0 }
    }

    /// The encoder alone, as a model without language-model head; the configuration itself in a model of one stack.
    public var encoderStack: TransformerConfiguration {
        guard decoder != nil else { return self }
        var stack = self
        stack.prefix = "encoder."
        stack.decoder = nil
        stack.hasLanguageHead = false
        stack.hasHeadOffset = false
        return stack
    }

    /// The decoder beside an encoder.
    var decoderStack: TransformerConfiguration? {
        guard let decoder else { return nil }
        var stack = self
        stack.prefix = "decoder."
        stack.decoder = nil
        stack.layerCount = decoder.layerCount
        stack.headCount = decoder.headCount
        stack.keyValueHeadCount = decoder.headCount
        stack.headWidth = decoder.headWidth
        stack.innerWidth = decoder.innerWidth
        stack.isCausal = true
        stack.hasCrossAttention = true
        return stack
    }
}
