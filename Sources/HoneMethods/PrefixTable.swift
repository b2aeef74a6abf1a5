import HoneFormats
import HoneModels
import HoneTorch

/// Where the numbers of a table `[length, 2 · layers · heads · headWidth]` of keys and values belong in a model.
struct PrefixTable {
    /// PEFT's name of a table.
    static let embeddings = "prompt_embeddings"

    /// What stands before the names of its tensors.
    let name: String
    /// Whose keys and values it holds, `2 · layers` of them.
    let layers: Int
    /// How many heads have keys of their own.
    let heads: Int
    /// The length of a head's vectors.
    let headWidth: Int
    /// The attention sublayers, each with the places of its keys and of its values among those of the table.
    let sites: [(path: String, keys: Int, values: Int)]

    /// The numbers of one layer's keys at one position.
    var width: Int { heads * headWidth }
    /// The numbers of one position.
    var rowLength: Int { 2 * layers * width }

    private init(_ name: String, _ stack: TransformerConfiguration, sublayer: String) {
        self.name = name
        layers = stack.layerCount
        heads = sublayer == "attention" ? stack.keyValueHeadCount : stack.headCount
        headWidth = stack.headWidth
        sites = (0..<stack.layerCount).map { (stack.prefix + "layers.\($0).\(sublayer)", 2 * $0, 2 * $0 + 1) }
    }

    /// PEFT's table of an encoder-decoder. It holds keys and values for as many layers as the encoder has, repeats them, and gives
    /// four to each layer of the decoder, which uses the first two: layers that lie half the encoder's apart share them.
    private init(sharedBy decoder: TransformerConfiguration, layers: Int) {
        name = ""
        self.layers = layers
        heads = decoder.headCount
        headWidth = decoder.headWidth
        sites = (0..<decoder.layerCount).map {
            (decoder.prefix + "layers.\($0).attention", 4 * $0 % (2 * layers), (4 * $0 + 1) % (2 * layers))
        }
    }

    /// The tables of a model.
    ///
    /// - Parameter isPEFT: whether an encoder-decoder has PEFT's table.
    /// - Throws: `HoneError` with code `.mismatch` where PEFT has no table for the model.
    static func tables(of model: TransformerConfiguration, isPEFT: Bool) throws -> [PrefixTable] {
        let stacks = model.stacks
        guard stacks.count == 2 else {
            if isPEFT, !model.prefix.isEmpty {
                throw HoneError(
                    .mismatch, "in PEFT's layout an encoder has no prefix; use the native one", item: "prefix layout")
            }
            return [PrefixTable("", model, sublayer: "attention")]
        }
        let (encoder, decoder) = (stacks[0], stacks[1])
        guard isPEFT else {
            return [
                PrefixTable("encoder.", encoder, sublayer: "attention"),
                PrefixTable("decoder.", decoder, sublayer: "attention"),
                PrefixTable("decoder.cross.", decoder, sublayer: "crossAttention"),
            ]
        }
        guard decoder.layerCount <= encoder.layerCount, decoder.headCount == encoder.headCount,
            decoder.headWidth * decoder.headCount == model.width
        else {
            throw HoneError(
                .mismatch,
                "PEFT has no prefixes for this model: they fit where the decoder has no more layers than the encoder, as many "
                    + "heads, and heads that fill the model's width; use the native layout", item: "prefix layout")
        }
        return [PrefixTable(sharedBy: decoder, layers: encoder.layerCount)]
    }

    /// The prefixes that a table holds.
    ///
    /// - Parameter table: `[length, rowLength]`.
    func prefixes(_ table: Tensor) throws -> [(path: String, prefix: KeyValuePrefix)] {
        let parts = try table.reshaped([table.size(0), 2 * layers, heads, headWidth])
        return try sites.map { path, keys, values in
            (
                path,
                KeyValuePrefix(
                    keys: try parts.at(keys, dimension: 1), values: try parts.at(values, dimension: 1))
            )
        }
    }
}
