import HoneFormats

/// What is wrong with a split, or worth a warning.
struct SplitCheck {
    private let kind: TaskKind
    private let labels: [String]
    private let train: [Example]
    private let trainCounts: [Int]
    private let heldOut: [(name: String, counts: [Int])]
    /// The lines of training rows that repeat an earlier one.
    private(set) var repeated: [Int] = []
    /// The lines of the first training row of each input that stands with different targets.
    private(set) var conflicting: [Int] = []

    init(split: Split, trainKeys: [InputKey], kind: TaskKind, labels: [String]) {
        self.kind = kind
        self.labels = labels
        train = split.train
        trainCounts = Self.counts(split.train, labels: labels.count)
        heldOut = [("validation", split.validation), ("test", split.test)].map {
            ($0, Self.counts($1, labels: labels.count))
        }
        var firsts: [InputKey: Int] = [:]
        var conflicts: Set<Int> = []
        for (position, key) in trainKeys.enumerated() {
            guard let first = firsts[key] else {
                firsts[key] = position
                continue
            }
            repeated.append(train[position].line)
            if train[first].target != train[position].target { conflicts.insert(train[first].line) }
        }
        conflicting = conflicts.sorted()
    }

    private static func counts(_ examples: [Example], labels: Int) -> [Int] {
        var counts = Array(repeating: 0, count: labels)
        for example in examples {
            if let label = example.label, counts.indices.contains(label) { counts[label] += 1 }
        }
        return counts
    }

    /// Refuses what cannot be learned from.
    func refuse(file: String, label: String?) throws {
        guard let first = train.first else {
            throw HoneError(
                .badData, "no rows are left to train on: all of them are also in validation or test", file: file)
        }
        guard kind == .classification else { return }
        if trainCounts.filter({ $0 > 0 }).count < 2 {
            let only = labels.indices.first { trainCounts[$0] > 0 }.map { Wording.label(labels[$0]) } ?? "no label"
            throw HoneError(
                .badData,
                "all \(grouped(train.count)) rows left for training have the label \(only); "
                    + "at least two labels are needed",
                file: file, line: first.line, item: label)
        }
        for (name, counts) in heldOut {
            let unseen = labels.indices.filter { trainCounts[$0] == 0 }.map { counts[$0] }.reduce(0, +)
            let all = counts.reduce(0, +)
            guard unseen * 2 > all else { continue }
            throw HoneError(
                .badData,
                "\(grouped(unseen)) of \(counted(all, "\(name) row")) have labels that no training row has; "
                    + "is this the column of the labels?",
                file: file, item: label)
        }
    }

    /// Sentences about repeated rows, conflicting labels and classes with few rows.
    func warnings(file: String) -> [String] {
        var warnings: [String] = []
        if !repeated.isEmpty {
            warnings.append(
                "\(file): \(counted(repeated.count, "training row")) the same as an earlier one (\(listed(lines: repeated)))"
            )
        }
        if !conflicting.isEmpty, kind == .classification {
            warnings.append(
                "\(file): \(counted(conflicting.count, train.first?.image == nil ? "text" : "image")) with different labels in training "
                    + "(first on \(listed(lines: conflicting)))")
        }
        guard kind == .classification else { return warnings }
        let empty = labels.indices.filter { trainCounts[$0] == 0 }
        if !empty.isEmpty {
            let lost = heldOut.map { part in empty.map { part.counts[$0] }.reduce(0, +) }.reduce(0, +)
            let consequence = lost > 0 ? "; \(counted(lost, "row")) in validation and test cannot be right" : ""
            warnings.append(
                "\(counted(empty.count, "label")) without training rows: "
                    + "\(Wording.labels(empty.map { labels[$0] }))\(consequence)")
        }
        return warnings
    }
}
