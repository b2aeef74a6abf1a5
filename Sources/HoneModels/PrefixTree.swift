/// Rows of tokens as a tree: what several rows have in common from their beginning stands in it once.
///
/// In a causal model a token's state depends on nothing but the tokens before it, so that rows which begin alike have the same
/// states there. The tree's segments are runs of tokens; a row is the path from a root to where it ends. Segments that go on
/// from the same one stand side by side, behind it.
struct PrefixTree {
    /// All segments' tokens.
    private(set) var tokens: [Int] = []
    /// Where each token stands in its rows.
    private(set) var positions: [Int] = []
    /// Where each segment begins in `tokens`, and the number of tokens at the end.
    private(set) var offsets = [0]
    /// What each segment goes on from; -1 for none.
    private(set) var parents: [Int] = []
    /// The segment in which each row ends.
    private var ends: [Int]

    /// The tree of rows; `nil` where no beginning is worth sharing.
    init?(_ rows: [[Int]]) {
        guard rows.count > 1 else { return nil }
        ends = rows.map { _ in -1 }
        let order = rows.indices.sorted { rows[$0].lexicographicallyPrecedes(rows[$1]) }
        // Families in the order of the tree's levels, so that siblings are neighbours.
        var families = [(parent: -1, groups: [Group(rows: order[...], start: 0, known: 0)])]
        var next = 0
        while next < families.count {
            let (parent, groups) = families[next]
            next += 1
            for group in groups { grow(group, from: parent, rows, &families) }
        }
        guard parents.contains(where: { $0 >= 0 }) || tokens.count < rows.reduce(0, { $0 + $1.count }) else {
            return nil
        }
    }

    /// Rows in lexicographic order that have the same tokens up to `known`; those before `start` stand in the tree.
    private struct Group {
        var rows: ArraySlice<Int>
        var start: Int
        var known: Int
    }

    /// A beginning is shared where it saves so many tokens: what stands before a family is prepared once more for it.
    private static func pays(_ length: Int, rows: Int, before: Int) -> Bool {
        length * (rows - 1) >= max(4, before / 64)
    }

    private mutating func grow(
        _ group: Group, from parent: Int, _ rows: [[Int]], _ families: inout [(parent: Int, groups: [Group])]
    ) {
        guard let first = group.rows.first, let last = group.rows.last else { return }
        var common = group.known
        let (a, b) = (rows[first], rows[last])
        while common < min(a.count, b.count), a[common] == b[common] { common += 1 }
        // In this order the first row and the last have the least in common; where the first ends, others may go on.
        let isWhole = common == b.count
        let shares =
            common > group.start
            && PrefixTree.pays(
                common - group.start, rows: group.rows.count, before: group.start)
        if group.rows.count == 1 || (isWhole && shares) {
            let segment = add(a[group.start..<common], at: group.start, from: parent)
            for row in group.rows { ends[row] = segment }
            return
        }
        let segment = shares ? add(a[group.start..<common], at: group.start, from: parent) : nil
        let start = shares ? common : group.start
        var groups: [Group] = []
        var place = group.rows.startIndex
        while place < group.rows.endIndex {
            let row = group.rows[place]
            var end = place + 1
            if rows[row].count == common || isWhole {
                // It ends here.
                if let segment {
                    ends[row] = segment
                } else {
                    groups.append(Group(rows: group.rows[place..<end], start: start, known: common))
                }
            } else {
                while end < group.rows.endIndex, rows[group.rows[end]][common] == rows[row][common] { end += 1 }
                groups.append(Group(rows: group.rows[place..<end], start: start, known: common + 1))
            }
            place = end
        }
        if let segment {
            families.append((segment, groups))
        } else {
            for group in groups { grow(group, from: parent, rows, &families) }
        }
    }

    private mutating func add(_ run: ArraySlice<Int>, at start: Int, from parent: Int) -> Int {
        tokens += run
        positions += start..<start + run.count
        offsets.append(tokens.count)
        parents.append(parent)
        return parents.count - 1
    }

    /// Where the first tokens of a row stand in `tokens`, one after the other.
    func places(ofRow row: Int, count: Int) -> [Int] {
        var runs: [Range<Int>] = []
        var segment = ends[row]
        while segment >= 0 {
            runs.append(offsets[segment]..<offsets[segment + 1])
            segment = parents[segment]
        }
        return Array(runs.reversed().joined().prefix(count))
    }
}
