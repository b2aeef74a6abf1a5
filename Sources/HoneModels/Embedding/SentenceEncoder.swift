import HoneFormats
import HoneText
import HoneTorch

/// Turns texts into vectors, as the model's folder says: the computation of sentence-transformers.
///
///     let encoder = try SentenceEncoder(BaseModel(folder: "models/all-MiniLM-L6-v2"))
///     let vectors = try encoder.vectors(["a cat", "a dog"])        // [2, 384]
public struct SentenceEncoder {
    /// What happens to a text.
    public let layout: SentenceLayout
    /// The length of the vectors.
    public let width: Int
    private let model: BaseModel
    private let tokenizer: Tokenizer
    private let transformer: Transformer
    /// The weights of the linear maps, in order.
    private let dense: [(weight: Tensor, bias: Tensor?)]

    /// An encoder for a model's folder.
    ///
    /// - Parameters:
    ///   - transformer: the model with an adapter attached; the base model where absent.
    ///   - promptName: the name of a prompt of the folder that is put before every text; the folder's default where absent.
    /// - Throws: `HoneError` where the folder is damaged or asks for something not supported, and for a decoder whose folder does not
    ///   say how its states become one vector.
    public init(_ model: BaseModel, transformer: Transformer? = nil, promptName: String? = nil) throws {
        var layout = try SentenceLayout(folder: model.folder)
        guard !model.configuration.isCausal || SentenceLayout.isStated(in: model.folder) else {
            throw HoneError(
                .mismatch, "this model writes texts, and its folder does not say how it makes vectors (modules.json)",
                file: model.folder)
        }
        if let promptName {
            guard let prompt = layout.prompts[promptName] else {
                let known = layout.prompts.keys.sorted().joined(separator: ", ")
                throw HoneError(
                    .usage, "the model has no prompt `\(promptName)`" + (known.isEmpty ? "" : "; it has \(known)"),
                    item: "--prompt-name")
            }
            layout.prompt = prompt
        }
        self.layout = layout
        self.model = model
        tokenizer = try model.tokenizer
        self.transformer = transformer ?? model.transformer
        var width = layout.pooling.count * model.configuration.width
        var dense: [(weight: Tensor, bias: Tensor?)] = []
        for case .dense(let folder, let inputs, let outputs, let hasBias, _) in layout.steps {
            guard inputs == width else {
                throw HoneError(
                    .mismatch, "takes \(inputs) numbers, what comes before gives \(width)",
                    file: folder + "/config.json", item: "in_features")
            }
            dense.append(try SentenceEncoder.weights(folder, inputs: inputs, outputs: outputs, hasBias: hasBias))
            width = outputs
        }
        self.dense = dense
        self.width = width
    }

    private static func weights(_ folder: String, inputs: Int, outputs: Int, hasBias: Bool) throws -> (
        weight: Tensor, bias: Tensor?
    ) {
        let files = try WeightFolder.open(folder)
        func tensor(_ name: String, _ shape: [Int]) throws -> Tensor {
            guard let file = files.file(of: name) else {
                throw HoneError(.mismatch, "the weight is missing", file: folder, item: name)
            }
            let tensor = try TensorFiles.tensor(name, in: file)
            guard tensor.shape == shape, tensor.dtype.isFloatingPoint else {
                throw HoneError(
                    .mismatch, "has shape \(tensor.shape), the config asks for \(shape)", file: file.path, item: name)
            }
            return try tensor.to(.float32)
        }
        return (
            try tensor("linear.weight", [outputs, inputs]), hasBias ? try tensor("linear.bias", [outputs]) : nil
        )
    }

    /// The most tokens of a text, special ones counted.
    public var maximumLength: Int {
        let own = transformer.configuration.maximumLength - transformer.attachments.addedPositions
        return min(layout.maximumLength ?? tokenizer.settings.maximumLength ?? own, own)
    }

    /// The vectors of texts, `[texts, width]`, `float32`, in their order; the end of a text that is too long is cut off.
    ///
    /// Texts of similar length are computed together; a text's vector does not depend on which.
    public func vectors(_ texts: [String]) throws -> Tensor {
        let limit = maximumLength
        let rows = texts.map { text in
            let whole = layout.lowercases ? (layout.prompt + text).lowercased() : layout.prompt + text
            let ids = tokenizer.encoding(whole, maximumLength: limit).ids
            // An empty text of a tokenizer without special tokens still needs a position.
            return ids.isEmpty ? [tokenizer.bosId ?? tokenizer.eosId ?? tokenizer.padId ?? 0] : Array(ids.prefix(limit))
        }
        guard !rows.isEmpty else { return try Tensor.zeros([0, width]) }
        let hidden = layout.poolsPrompt ? 0 : promptLength
        let order = rows.indices.sorted { (rows[$0].count, $0) < (rows[$1].count, $1) }
        return try withoutGradients {
            var pieces: [Tensor] = []
            var back = [Int](repeating: 0, count: rows.count)
            var (start, done) = (0, 0)
            while start < order.count {
                var end = start + 1
                while end < order.count, end - start < 64, (end - start + 1) * rows[order[end]].count <= 8192 {
                    end += 1
                }
                let batch = try TokenBatch(
                    order[start..<end].map { rows[$0] }, padId: model.padId, on: transformer.device)
                let states = try transformer.states(batch).to(.float32)
                pieces.append(try finished(pooled(states, lengths: batch.lengths, hidden: hidden)))
                for index in order[start..<end] {
                    back[index] = done
                    done += 1
                }
                start = end
            }
            let all = try Tensor.concatenated(pieces)
            return try all.selecting(Tensor(back, on: all.device)).to(.cpu)
        }
    }

    /// How many tokens the prompt takes, those put before a text counted and those put behind it not.
    private var promptLength: Int {
        guard !layout.prompt.isEmpty else { return 0 }
        let ids = tokenizer.encoding(layout.prompt).ids
        let endsWithMark = ids.last.map { $0 == tokenizer.sepId || $0 == tokenizer.eosId } ?? false
        return ids.count - (endsWithMark ? 1 : 0)
    }

    /// One vector a row of states `[rows, length, width]`, padded on the right; the first `hidden` tokens are left out.
    private func pooled(_ states: Tensor, lengths: [Int], hidden: Int) throws -> Tensor {
        let (rows, length) = (states.size(0), states.size(1))
        let places = try Tensor.range(0, length, on: states.device).unsqueezed(0)
        let ends = try Tensor(lengths, shape: [rows, 1], on: states.device)
        // A row that is all prompt keeps its last token.
        let starts = lengths.map { min(hidden, $0 - 1) }
        let begins = try Tensor(starts, shape: [rows, 1], on: states.device)
        let seen = try places.less(ends).logicalAnd(places.greaterOrEqual(begins))
        let weights = try seen.to(.float32).unsqueezed(-1)
        let counts = try Tensor(zip(lengths, starts).map { Float($0 - $1) }, shape: [rows, 1], on: states.device)
        let row = try Tensor.range(0, rows, on: states.device)
        let vectors = try layout.pooling.map { mode -> Tensor in
            switch mode {
            case .first: return try states.indexed([row, begins.squeezed(1)])
            case .last: return try states.indexed([row, Tensor(lengths.map { $0 - 1 }, on: states.device)])
            case .max:
                return try states.filled(where: seen.logicalNot().unsqueezed(-1), with: -Double.infinity).max(1)
            case .mean: return try (states * weights).sum([1]) / counts
            case .meanOverRoot: return try (states * weights).sum([1]) / counts.sqrt()
            case .weightedMean:
                let numbered = try weights * (places.to(.float32).unsqueezed(-1) + 1)
                return try (states * numbered).sum([1]) / numbered.sum([1])
            }
        }
        return vectors.count == 1 ? vectors[0] : try Tensor.concatenated(vectors, dimension: 1)
    }

    /// What the layout does with pooled vectors.
    private func finished(_ vectors: Tensor) throws -> Tensor {
        var vectors = vectors
        var maps = dense[...]
        for step in layout.steps {
            switch step {
            case .normalize:
                vectors = try vectors / vectors.norm([1], keepDimensions: true).clamped(min: 1e-12)
            case .dense(_, _, _, _, let activation):
                guard let map = maps.popFirst() else { continue }
                let bias = try map.bias?.to(vectors.device)
                vectors = try activation.applied(to: vectors.linear(map.weight.to(vectors.device), bias: bias))
            }
        }
        return vectors
    }
}

extension SentenceLayout.Activation {
    fileprivate func applied(to input: Tensor) throws -> Tensor {
        switch self {
        case .identity: input
        case .tanh: try input.tanh()
        case .relu: try input.relu()
        case .gelu: try input.gelu()
        case .silu: try input.silu()
        case .sigmoid: try input.sigmoid()
        }
    }
}
