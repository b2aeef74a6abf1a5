import HoneFormats

/// What is wrong with a split, or worth a warning.
struct SplitCheck {
    private let kind: TaskKind
    private let labels: [String]
    private let train: [Example]
    private let trainCounts: [Int]
    private let heldOutCounts: [Int]
    /// The lines of training rows that repeat an earlier one.
    private(set) var repeated: [Int] = []
    /// The lines of the first training row of each input that stands with different targets.
    private(set) var conflicting: [Int] = []

    init(split: Split, kind: TaskKind, labels: [String]) {
        self.kind = kind
        self.labels = labels
        train = split.train
        trainCounts = Self.counts(split.train, labels: labels.count)
        heldOutCounts = Self.counts(split.validation + split.test, labels: labels.count)
        var firsts: [String: Example] = [:]
        var conflicts: Set<Int> = []
        for example in split.train {
            let key = DuplicateCheck.key(example.input)
            guard let first = firsts[key] else {
                firsts[key] = example
                continue
            }
            repeated.append(example.line)
            if first.target != example.target { conflicts.insert(first.line) }
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
                .badData, "all \(counted(train.count, "training row")) have the label \(only); two labels are needed",
                file: file, line: first.line, item: label)
        }
    }

    /// Sentences about repeated rows, conflicting labels and classes with few rows.
    func warnings(file: String) -> [String] {
        var warnings: [String] = []
        if !repeated.isEmpty {
            warnings.append(
                "\(counted(repeated.count, "training row")) of \(file) repeat an earlier one (\(listed(lines: repeated)))")
        }
        if !conflicting.isEmpty, kind == .classification {
            warnings.append(
                "\(counted(conflicting.count, "text")) of \(file) stand in training with different labels "
                    + "(first on \(listed(lines: conflicting)))")
        }
        guard kind == .classification else { return warnings }
        for index in labels.indices where trainCounts[index] == 0 {
            let held = heldOutCounts[index]
            warnings.append(
                "the label \(Wording.label(labels[index])) has no training rows"
                    + (held > 0 ? " and \(counted(held, "row")) in validation and test, which cannot be right" : ""))
            if warnings.count > 20 { return warnings + ["further labels have no training rows"] }
        }
        return warnings
    }
}
