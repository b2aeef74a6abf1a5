import HoneTorch

/// Runs of packed tokens that attention keeps apart.
struct Segments {
    /// Where they begin, and the number of tokens at the end, `int64`.
    let offsets: Tensor
    /// The segment that each goes on from and also sees, -1 for none, `int64`; absent where all are rows of their own.
    let parents: Tensor?
}

/// A padded batch as one row of tokens without padding: linear maps and norms see real tokens only, and those that several rows
/// have in common once; attention keeps the rows apart.
struct Packing {
    /// All tokens as one row; images as they are.
    let batch: TokenBatch
    /// The rows, or the tree of them.
    let segments: Segments
    private let rowCount: Int
    private let length: Int
    private let lengths: [Int]
    private let tree: PrefixTree?
    private let promptEnds: [Int?]
    /// Where each token stands in the flattened padded batch; `nil` where nothing is padded or the tokens are a tree's.
    private let places: Tensor?

    /// Packs a batch, where the model computes every token by itself but for attention; gives `nil` where rows have to
    /// stay apart: with a cache, prompts, windows, or something attached that looks at whole rows.
    init?(
        _ given: TokenBatch, configuration: TransformerConfiguration, attachments: Attachments, cache: KeyValueCache?,
        dtype: DType, on device: Device
    ) throws {
        guard device == .cpu, dtype == .float32 || dtype == .bfloat16, given.side == .right, cache == nil,
            Packing.fits(configuration, length: given.length), attachments.prompts.isEmpty,
            attachments.states.values.allSatisfy({ $0.allSatisfy { $0.actsOnTokens } }),
            attachments.linear.values.allSatisfy({ $0.allSatisfy { $0.actsOnTokens } })
        else { return nil }
        rowCount = given.rowCount
        length = given.length
        lengths = given.lengths
        promptEnds = given.promptEnds(behindOthers: false)
        let rows = attachments.looksAtPromptEnds ? Packing.marking(promptEnds, in: given.rows) : given.rows
        tree = given.typeIds == nil && Packing.shares(configuration, attachments) ? PrefixTree(rows) : nil
        if let tree {
            segments = try Segments(offsets: Tensor(tree.offsets), parents: Tensor(tree.parents))
            places = nil
            let tokens = tree.tokens.map { $0 < 0 ? Packing.marked($0) : $0 }
            batch = try TokenBatch(
                packed: Tensor(tokens, shape: [1, tokens.count]), typeIds: nil, count: tokens.count)
            return
        }
        var starts = [0]
        for length in given.lengths { starts.append(starts[starts.count - 1] + length) }
        segments = Segments(offsets: try Tensor(starts), parents: nil)
        if given.valid == nil {
            places = nil
        } else {
            let length = length
            places = try Tensor(
                given.lengths.enumerated().flatMap { row, count in (0..<count).map { row * length + $0 } })
        }
        if given.pixels != nil {
            batch = given
            return
        }
        let count = given.tokenCount
        let places = places
        func packed(_ tensor: Tensor) throws -> Tensor {
            let flat = try tensor.reshaped([-1])
            return try (places.map { try flat.selecting($0) } ?? flat).reshaped([1, count])
        }
        batch = try TokenBatch(
            packed: packed(given.ids), typeIds: given.typeIds.map { try packed($0) }, count: count)
    }

    /// Which of the rows' tokens, counted one row after the other, each packed token is; absent where they are the same.
    var origins: [Int]? {
        guard let tree else { return nil }
        var origins = [Int](repeating: 0, count: tree.tokens.count)
        var start = 0
        for (row, count) in lengths.enumerated() {
            for (position, place) in tree.places(ofRow: row, count: count).enumerated() {
                origins[place] = start + position
            }
            start += count
        }
        return origins
    }

    /// Where the rows are, and where their prompts end; in a tree, in which rows have tokens in common, only the latter.
    var layout: RowLayout {
        var start = 0
        let ends = promptEnds.enumerated().map { row, end -> Int? in
            defer { start += lengths[row] }
            return end.map { tree?.places(ofRow: row, count: $0 + 1).last ?? start + $0 }
        }
        return RowLayout(packed: lengths, promptEnds: ends)
    }

    /// Rows in which the last token of each prompt is another than the same token elsewhere, so that it is shared only with rows
    /// whose prompts end there too.
    private static func marking(_ ends: [Int?], in rows: [[Int]]) -> [[Int]] {
        zip(rows, ends).map { row, end in
            guard let end else { return row }
            var row = row
            row[end] = marked(row[end])
            return row
        }
    }

    /// A token as a prompt's last; of such a one, the token.
    private static func marked(_ token: Int) -> Int { -1 - token }

    /// Whether a model of this configuration can be computed in this way.
    private static func fits(_ configuration: TransformerConfiguration, length: Int) -> Bool {
        guard !configuration.computesExactly, configuration.relativeBias == nil, configuration.headWidth <= 256 else {
            return false
        }
        // A window that reaches back to the beginning is none.
        if let window = configuration.window, window.size < length { return false }
        switch configuration.positions {
        case .learned, .rotary, .none: return true
        }
    }

    /// Whether equal beginnings of rows have equal states: where a token sees only what is before it, counts its position from the
    /// row's beginning, and nothing is drawn.
    static func shares(_ configuration: TransformerConfiguration, _ attachments: Attachments) -> Bool {
        configuration.isCausal && !configuration.computesExactly && configuration.positionlessToken == nil
            && attachments.prompts.isEmpty && attachments.prefixes.isEmpty
            && attachments.linear.values.allSatisfy { $0.allSatisfy { $0.actsOnTokens && $0.isDeterministic } }
            && attachments.states.values.allSatisfy { $0.allSatisfy { $0.actsOnTokens && $0.isDeterministic } }
    }

    /// Positions `[length]` or `[rows, length]` as one a token, `[tokens]`.
    func packed(_ positions: Tensor) throws -> Tensor {
        if let tree { return try Tensor(tree.positions) }
        let all =
            positions.rank == 1 ? try positions.unsqueezed(0).expanded([rowCount, length]) : positions
        let flat = try all.reshaped([-1])
        return try places.map { try flat.selecting($0) } ?? flat
    }

    /// States `[1, tokens, width]` as `[rows, length, width]`, zero in the padding.
    func unpacked(_ states: Tensor) throws -> Tensor {
        let width = states.size(-1)
        if let tree {
            var (from, to): ([Int], [Int]) = ([], [])
            for (row, count) in lengths.enumerated() {
                from += tree.places(ofRow: row, count: count)
                to += row * length..<row * length + count
            }
            return try Tensor.zeros([rowCount * length, width], states.dtype)
                .adding(states.reshaped([-1, width]).selecting(Tensor(from)), at: Tensor(to))
                .reshaped([rowCount, length, width])
        }
        guard let places else { return try states.reshaped([rowCount, length, width]) }
        return try Tensor.zeros([rowCount * length, width], states.dtype)
            .adding(states.reshaped([-1, width]), at: places).reshaped([rowCount, length, width])
    }

    /// Where places of the flattened padded batch stand among the packed tokens.
    func slots(of wanted: [Int]) -> [Int] {
        var rows: [Int: [Int]] = [:]
        var starts = [0]
        for length in lengths { starts.append(starts[starts.count - 1] + length) }
        return wanted.map { place in
            let (row, position) = place.quotientAndRemainder(dividingBy: length)
            precondition(position < lengths[row], "there is no token at this place")
            guard let tree else { return starts[row] + position }
            let own = rows[row] ?? tree.places(ofRow: row, count: lengths[row])
            rows[row] = own
            return own[position]
        }
    }
}

extension TransformerLayer {
    /// What heads give for packed states `[1, tokens, width]`: `[1, tokens, heads, headWidth]`.
    func packedHeads(_ input: Tensor, segments: Segments, isCausal: Bool, rotary: Rotary?) throws -> Tensor {
        let width = configuration.headWidth
        let tokens = input.size(1)
        var parts = try LinearMap.outputs(of: attentionInputs, input).map { try $0.reshaped([tokens, $0.size(-1)]) }
        switch configuration.attentionInput {
        case .separate: break
        case .joined:
            let own = configuration.headCount * width
            let shared = configuration.keyValueHeadCount * width
            parts = try [
                parts[0].narrowed(1, from: 0, length: own), parts[0].narrowed(1, from: own, length: shared),
                parts[0].narrowed(1, from: own + shared, length: shared),
            ]
        case .joinedByHead:
            let byHead = try parts[0].reshaped([tokens, configuration.headCount, 3, width])
            parts = try (0..<3).map { try byHead.at($0, dimension: 2).reshaped([tokens, -1]) }
        }
        func byHead(_ flat: Tensor) throws -> Tensor { try flat.reshaped([1, tokens, flat.size(1) / width, width]) }
        if let headNorms {
            parts[0] = try headNorms.query(byHead(parts[0])).reshaped([tokens, -1])
            parts[1] = try headNorms.key(byHead(parts[1])).reshaped([tokens, -1])
        }
        var angles: (cosine: Tensor, sine: Tensor)?
        if let rotary {
            if rotary.cosine.size(-1) == width {
                angles = (rotary.cosine, rotary.sine)
            } else {
                for part in 0..<2 {
                    parts[part] = try rotary(byHead(parts[part]).transpose(1, 2)).transpose(1, 2)
                        .reshaped([tokens, -1])
                }
            }
        }
        let mixed = try parts[0].segmentAttention(
            keys: parts[1], values: parts[2], offsets: segments.offsets, parents: segments.parents, angles: angles,
            width: width, isCausal: isCausal, scale: scale ?? 1 / Double(width).squareRoot())
        return try byHead(mixed)
    }
}
