import HoneFormats
import HoneTorch

/// Where the rows of a batch stand in the states of one forward pass: padded `[rows, length, ...]`, or packed
/// `[1, tokens, ...]`.
public struct RowLayout: Hashable, Sendable {
    /// The dimension along which rows follow one another.
    let dimension: Int
    /// Where each row begins along it, and the end.
    let starts: [Int]
    /// Where the last token of each row's prompt stands among all positions of all rows, one row after the other; `nil` for a
    /// row whose prompt does not end in this pass.
    public let promptEnds: [Int?]

    /// Padded rows.
    init(rowCount: Int, promptEnds: [Int?]) {
        dimension = 0
        starts = Array(0...rowCount)
        self.promptEnds = promptEnds
    }

    /// Rows without padding, one after the other.
    init(packed lengths: [Int], promptEnds: [Int?]) {
        dimension = 1
        starts = lengths.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }
        self.promptEnds = promptEnds
    }

    private init(dimension: Int, starts: [Int], promptEnds: [Int?]) {
        self.dimension = dimension
        self.starts = starts
        self.promptEnds = promptEnds
    }

    var rowCount: Int { starts.count - 1 }

    /// Successive rows as a layout of their own.
    ///
    /// - Parameter length: how many positions there are for one step along the layout's dimension.
    func part(_ rows: Range<Int>, length: Int) -> RowLayout {
        let first = starts[rows.lowerBound]
        return RowLayout(
            dimension: dimension, starts: starts[rows.lowerBound...rows.upperBound].map { $0 - first },
            promptEnds: promptEnds[rows].map { $0.map { $0 - first * length } })
    }
}

extension Attachments {
    /// Attachments for a batch whose rows have attachments of their own: several adapters over one base in one forward pass.
    ///
    /// Products with the base's weights are made once for all rows; a row gives what it gives alone.
    ///
    /// - Parameter groups: successive rows and what they have attached, in the order of the batch.
    /// - Throws: `HoneError` with code `.unsupported` where a group replaces weights or puts vectors before its rows.
    public static func byRows(_ groups: [(rowCount: Int, attachments: Attachments)]) throws -> Attachments {
        guard groups.allSatisfy({ $0.attachments.suitsRowGroups }) else {
            throw HoneError(
                .unsupported, "what replaces weights or puts vectors before rows cannot differ from row to row")
        }
        let rowCounts = groups.map(\.rowCount)
        var all = Attachments()
        all.looksAtRows = true
        for path in Set(groups.flatMap(\.attachments.linear.keys)) {
            let own = groups.map { $0.attachments.linear[path] ?? [] }
            all.linear[path] = [GroupedLinear(rowCounts: rowCounts, groups: own)]
        }
        for path in Set(groups.flatMap(\.attachments.states.keys)) {
            let own = groups.map { $0.attachments.states[path] ?? [] }
            all.states[path] = [GroupedState(rowCounts: rowCounts, groups: own)]
        }
        return all
    }

    /// Whether rows of one batch can have these attachments beside others.
    public var suitsRowGroups: Bool { weights.isEmpty && !standsBeforeRows }

    /// The same attachments for one forward pass.
    func bound(to layout: RowLayout) throws -> Attachments {
        var copy = self
        copy.linear = try linear.mapValues { try $0.map { try $0.bound(to: layout) } }
        copy.states = try states.mapValues { try $0.map { try $0.bound(to: layout) } }
        return copy
    }
}

/// The sums of row counts: where groups begin, in rows.
private func bounds(_ rowCounts: [Int], rows: Int) throws -> [Int] {
    let bounds = rowCounts.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }
    guard bounds.last == rows else {
        throw HoneError(.mismatch, "attachments for \(bounds.last ?? 0) rows cannot be used on \(rows)")
    }
    return bounds
}

/// What groups of successive rows have attached to a linear map.
private struct GroupedLinear: LinearAttachment {
    let rowCounts: [Int]
    let groups: [[any LinearAttachment]]
    /// Where the groups begin along the layout's dimension, and the end.
    var starts: [Int] = []
    var layout: RowLayout?

    init(rowCounts: [Int], groups: [[any LinearAttachment]]) {
        self.rowCounts = rowCounts
        self.groups = groups
    }

    var actsOnTokens: Bool { groups.allSatisfy { $0.allSatisfy(\.actsOnTokens) } }

    var changesInput: Bool { groups.contains { $0.contains(where: \.changesInput) } }

    func entering(_ input: Tensor) throws -> Tensor {
        try byGroup { own, slice in try own.reduce(slice(input)) { $1.changesInput ? try $1.entering($0) : $0 } }
    }

    func bound(to layout: RowLayout) throws -> any LinearAttachment {
        var copy = self
        copy.starts = try bounds(rowCounts, rows: layout.rowCount).map { layout.starts[$0] }
        copy.layout = layout
        return copy
    }

    func segmentedUpdates(of input: Tensor) -> SegmentedUpdates? {
        guard let layout, groups.allSatisfy({ $0.count <= 1 && $0.allSatisfy { $0.lowRankUpdate != nil } }) else {
            return nil
        }
        let tokens = layout.dimension == 0 ? input.shape.dropFirst().dropLast().reduce(1, *) : 1
        return SegmentedUpdates(
            bounds: starts.map { $0 * tokens }, updates: groups.map { $0.first?.lowRankUpdate })
    }

    func output(_ output: Tensor, input: Tensor, of map: LinearMap) throws -> Tensor {
        try byGroup { own, slice in
            let input = try slice(input)
            return try own.reduce(slice(output)) { try $1.output($0, input: input, of: map) }
        }
    }

    /// What is made of each group's tokens, put together again.
    private func byGroup(
        _ body: (_ own: [any LinearAttachment], _ slice: (Tensor) throws -> Tensor) throws -> Tensor
    ) throws -> Tensor {
        guard let layout else { preconditionFailure("a forward pass binds attachments to its rows") }
        let parts = try groups.enumerated().filter { starts[$0.offset] < starts[$0.offset + 1] }.map { group, own in
            try body(own) { tensor in
                try tensor.narrowed(
                    layout.dimension, from: starts[group], length: starts[group + 1] - starts[group])
            }
        }
        return parts.count == 1 ? parts[0] : try Tensor.concatenated(parts, dimension: layout.dimension)
    }
}

/// What groups of successive rows have attached to a state.
private struct GroupedState: StateAttachment {
    let rowCounts: [Int]
    let groups: [[any StateAttachment]]
    /// Where the groups begin in rows, and the end.
    var bounds: [Int] = []
    var layout: RowLayout?

    init(rowCounts: [Int], groups: [[any StateAttachment]]) {
        self.rowCounts = rowCounts
        self.groups = groups
    }

    var actsOnTokens: Bool { groups.allSatisfy { $0.allSatisfy(\.actsOnTokens) } }

    var looksAtPromptEnds: Bool { groups.contains { $0.contains(where: \.looksAtPromptEnds) } }

    func bound(to layout: RowLayout) throws -> any StateAttachment {
        var copy = self
        copy.bounds = try HoneModels.bounds(rowCounts, rows: layout.rowCount)
        copy.layout = layout
        return copy
    }

    func state(_ state: Tensor) throws -> Tensor {
        guard let layout else { preconditionFailure("a forward pass binds attachments to its rows") }
        let length = layout.dimension == 0 ? state.size(1) : 1
        let parts = try groups.enumerated().filter { rowCounts[$0.offset] > 0 }.map { group, own in
            let rows = bounds[group]..<bounds[group + 1]
            let (start, end) = (layout.starts[rows.lowerBound], layout.starts[rows.upperBound])
            let part = try state.narrowed(layout.dimension, from: start, length: end - start)
            let place = layout.part(rows, length: length)
            return try own.reduce(part) { try $1.bound(to: place).state($0) }
        }
        return parts.count == 1 ? parts[0] : try Tensor.concatenated(parts, dimension: layout.dimension)
    }
}
