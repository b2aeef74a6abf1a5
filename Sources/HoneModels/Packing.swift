import HoneTorch

/// Runs of packed tokens that attention keeps apart.
struct Segments {
    /// Where they begin, and the number of tokens at the end, `int64`.
    let offsets: Tensor
    /// The segment that each goes on from and also sees, -1 for none, `int64`; absent where all are rows of their own.
    let parents: Tensor?
    /// What attention sees before each segment's tokens, where there are attached prefixes; its offsets count these too.
    var front: Front?

    /// Attached keys and values in front of every segment.
    struct Front {
        /// Which of a prefix's positions and then the tokens stands at each place that attention sees, `int64`.
        let order: Tensor
        /// Where the tokens stand among those, `int64`.
        let own: Tensor

        /// For so many positions in front of rows of such lengths.
        init(prefixLength: Int, lengths: [Int]) throws {
            var (order, own): ([Int], [Int]) = ([], [])
            var start = prefixLength
            for length in lengths {
                order += 0..<prefixLength
                own += order.count..<order.count + length
                order += start..<start + length
                start += length
            }
            self.order = try Tensor(order)
            self.own = try Tensor(own)
        }
    }
}

/// A padded batch as one row of tokens without padding: linear maps and norms see real tokens only, and those that several rows
/// have in common once; attention keeps the rows apart.
struct Packing {
    /// All tokens as one row; images, and tokens behind prompts, as they were given.
    let batch: TokenBatch
    /// The rows, or the tree of them.
    let segments: Segments
    private let rowCount: Int
    /// How many positions attached prompts take in front of each row.
    private let promptLength: Int
    private let length: Int
    private let lengths: [Int]
    private let tree: PrefixTree?
    private let promptEnds: [Int?]
    /// Where each token stands in the flattened padded batch; `nil` where nothing is padded or the tokens are a tree's.
    private let places: Tensor?

    /// Packs a batch, where the model computes every token by itself but for attention; gives `nil` where rows have to
    /// stay apart: with a cache, windows, or something attached that looks at whole rows.
    ///
    /// - Parameters:
    ///   - promptLength: how many positions attached prompts take in front of each row.
    ///   - prefixLength: how many keys and values attached prefixes put in front of those.
    init?(
        _ given: TokenBatch, configuration: TransformerConfiguration, attachments: Attachments, promptLength: Int,
        prefixLength: Int, cache: KeyValueCache?, dtype: DType, on device: Device
    ) throws {
        guard device == .cpu, dtype == .float32 || dtype == .bfloat16, given.side == .right, cache == nil,
            Packing.fits(configuration, length: prefixLength + promptLength + given.length),
            attachments.states.values.allSatisfy({ $0.allSatisfy { $0.actsOnTokens } }),
            attachments.linear.values.allSatisfy({ $0.allSatisfy { $0.actsOnTokens } })
        else { return nil }
        rowCount = given.rowCount
        self.promptLength = promptLength
        length = promptLength + given.length
        lengths = given.lengths.map { promptLength + $0 }
        promptEnds = given.promptEnds(behindOthers: false).map { $0.map { promptLength + $0 } }
        let shares = given.typeIds == nil && Packing.shares(configuration, attachments)
        let marks = shares && attachments.looksAtPromptEnds
        tree = shares ? PrefixTree(marks ? Packing.marking(promptEnds, in: given.rows) : given.rows) : nil
        if let tree {
            segments = try Segments(offsets: Tensor(tree.offsets), parents: Tensor(tree.parents))
            places = nil
            let tokens = tree.tokens.map { $0 < 0 ? Packing.marked($0) : $0 }
            batch = try TokenBatch(
                packed: Tensor(tokens, shape: [1, tokens.count]), typeIds: nil, count: tokens.count)
            return
        }
        var starts = [0]
        for length in lengths { starts.append(starts[starts.count - 1] + prefixLength + length) }
        let front = prefixLength > 0 ? try Segments.Front(prefixLength: prefixLength, lengths: lengths) : nil
        segments = Segments(offsets: try Tensor(starts), parents: nil, front: front)
        if given.valid == nil {
            places = nil
        } else {
            let length = length
            places = try Tensor(
                lengths.enumerated().flatMap { row, count in (0..<count).map { row * length + $0 } })
        }
        if given.pixels != nil || promptLength > 0 {
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

    /// States that the batch was embedded to, `[rows, length, width]` or of the tokens, as `[1, tokens, width]`.
    func entering(_ states: Tensor) throws -> Tensor {
        let flat = try states.reshaped([-1, states.size(-1)])
        guard promptLength > 0, let places else { return try flat.unsqueezed(0) }
        return try flat.selecting(places).unsqueezed(0)
    }

    /// States `[1, tokens, width]` as `[rows, length, width]`, prompts in front, zero in the padding.
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

    /// Where places of the flattened padded batch, without prompts, stand among the packed tokens.
    func slots(of wanted: [Int]) -> [Int] {
        var rows: [Int: [Int]] = [:]
        var starts = [0]
        for length in lengths { starts.append(starts[starts.count - 1] + length) }
        return wanted.map { place in
            let (row, position) = place.quotientAndRemainder(dividingBy: length - promptLength)
            precondition(promptLength + position < lengths[row], "there is no token at this place")
            guard let tree else { return starts[row] + promptLength + position }
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
        if let front = segments.front {
            (parts, angles) = try putting(parts, angles, behind: front)
        }
        var mixed = try parts[0].segmentAttention(
            keys: parts[1], values: parts[2], offsets: segments.offsets, parents: segments.parents, angles: angles,
            width: width, isCausal: isCausal, scale: scale ?? 1 / Double(width).squareRoot())
        if let front = segments.front { mixed = try mixed.selecting(front.own) }
        return try byHead(mixed)
    }

    /// Queries, keys, values and angles with those of attached prefixes before each row's: nothing asks there, and keys have been
    /// turned already.
    private func putting(
        _ parts: [Tensor], _ angles: (cosine: Tensor, sine: Tensor)?, behind front: Segments.Front
    ) throws -> ([Tensor], (cosine: Tensor, sine: Tensor)?) {
        let prefixes = attachments.prefixes[configuration.prefix + "layers.\(index).attention"] ?? []
        let length = prefixes.reduce(0) { $0 + $1.length }
        func ordered(_ first: Tensor, _ tokens: Tensor) throws -> Tensor {
            try Tensor.concatenated([first, tokens]).selecting(front.order)
        }
        func flat(_ part: (KeyValuePrefix) -> Tensor) throws -> Tensor {
            let joined = try Tensor.concatenated(prefixes.map(part)).reshaped([length, -1])
            return try joined.to(parts[1].dtype).to(parts[1].device)
        }
        let all = try [
            ordered(.zeros([length, parts[0].size(1)], parts[0].dtype), parts[0]), ordered(flat(\.keys), parts[1]),
            ordered(flat(\.values), parts[2]),
        ]
        let turned = try angles.map { given in
            let shape = [length, given.cosine.size(1)]
            return try (
                cosine: ordered(.full(shape, 1).to(given.cosine.dtype), given.cosine),
                sine: ordered(.zeros(shape, given.sine.dtype), given.sine)
            )
        }
        return (all, turned)
    }
}
