import HoneFormats

/// The examples of a task by what they are for.
public struct Split: Sendable, Hashable {
    /// What is learned from.
    public var train: [Example]
    /// What chooses between settings and methods.
    public var validation: [Example]
    /// What is read once, for the figures at the end; empty where there is none.
    public var test: [Example]

    /// A split of three lists.
    public init(train: [Example], validation: [Example], test: [Example]) {
        self.train = train
        self.validation = validation
        self.test = test
    }
}

/// Draws validation and test rows, by class where there are classes.
///
/// The draw depends on the seed, the rows in the order of the file and their classes, and on nothing else.
struct SplitDrawing {
    /// The default share of the rows for validation and for the test.
    static let usualShare = 0.1
    /// The most rows that a default share takes.
    static let usualMost = 2_000

    var seed: UInt64
    /// The shares to draw; `nil` for the default share with its cap, 0 for none.
    var validationShare: Double?
    var testShare: Double?

    /// The rows drawn, as sorted positions.
    struct Drawn: Equatable {
        var validation: [Int] = []
        var test: [Int] = []
    }

    /// Draws from rows given by the class of each (one class for all where there are none).
    ///
    /// Each class gives its share, rounded so that the whole is right (largest remainders), at least one row to each
    /// part where it has three rows or more, and always keeps one for training.
    func draw(classes: [Int]) -> Drawn {
        var members: [Int: [Int]] = [:]
        for (position, label) in classes.enumerated() { members[label, default: []].append(position) }
        let labels = members.keys.sorted()
        let sizes = labels.map { members[$0]?.count ?? 0 }
        let forTest = quotas(testShare, of: classes.count, sizes: sizes)
        let forValidation = quotas(validationShare, of: classes.count, sizes: sizes)
        var drawn = Drawn()
        for (index, label) in labels.enumerated() {
            let most = sizes[index] - 1
            let validation = min(forValidation[index], most)
            let test = min(forTest[index], most - validation)
            var generator = SeededGenerator(seed: seed, stream: "split/\(label)")
            let order = generator.shuffled(members[label] ?? [])
            drawn.test += order.prefix(test)
            drawn.validation += order.dropFirst(test).prefix(validation)
        }
        drawn.validation.sort()
        drawn.test.sort()
        return drawn
    }

    private func quotas(_ share: Double?, of total: Int, sizes: [Int]) -> [Int] {
        let fraction = share ?? Self.usualShare
        guard fraction > 0, total > 0 else { return sizes.map { _ in 0 } }
        var wanted = Int((Double(total) * fraction).rounded())
        if share == nil { wanted = min(wanted, Self.usualMost) }
        wanted = max(1, min(wanted, total))
        // Whole-number arithmetic, so that ties are ties on every machine.
        var quotas = sizes.map { wanted * $0 / total }
        let remainders = sizes.map { wanted * $0 % total }
        var missing = wanted - quotas.reduce(0, +)
        for index in sizes.indices.sorted(by: { (remainders[$1], $0) < (remainders[$0], $1) }) where missing > 0 {
            quotas[index] += 1
            missing -= 1
        }
        for index in sizes.indices where quotas[index] == 0 && sizes[index] >= 3 { quotas[index] = 1 }
        return quotas
    }
}
