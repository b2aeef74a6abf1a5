import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// A task of a comparison with its fixed validation and test rows.
struct ComparisonTask {
    /// Rows to learn from, and the head that training on them starts from; none where there is nothing to classify.
    struct Draw {
        var examples: [Example]
        var encoded: [EncodedExample]
        var head: ParameterSet?
    }

    let name: String
    let preparation: Preparation
    let validation: [Example]
    let test: [Example]

    init(path: String, model: BaseModel, options: MethodComparison.Options) throws {
        let task = try TaskData.load(path: path, seed: 0)
        let added = try options.methods.map { try MethodComparison.method($0).addedPositions }.max() ?? 0
        let length = try min(max(1, model.maximumLength - added), Preparation.suggestedLength(task, model))
        preparation = try Preparation(
            task: task, model: model, encoding: .init(maximumLength: length, marksCompletions: true))
        name = RunFolder.name(after: path)
        // Where there are no test rows, half of the validation rows stand in for them.
        var generator = SeededGenerator(seed: 0, stream: "comparison")
        var validation = generator.shuffled(task.split.validation)
        var test = generator.shuffled(task.split.test)
        if test.isEmpty {
            test = Array(validation.suffix(validation.count / 2))
            validation.removeLast(test.count)
        }
        guard !validation.isEmpty, !test.isEmpty else {
            throw HoneError(.badData, "there are no validation or test rows to compare on", file: path)
        }
        self.validation = Array(validation.prefix(options.mostMeasured))
        self.test = Array(test.prefix(options.mostMeasured))
    }

    /// So many rows a class (of text, in all), drawn by a seed; fewer where there are not as many.
    func draw(rows: Int?, seed: Int) throws -> Draw {
        let all = preparation.task.split.train
        var places = Array(all.indices)
        if let rows {
            var generator = SeededGenerator(seed: UInt64(seed), stream: "comparison rows")
            var taken: [Int: Int] = [:]
            places = generator.shuffled(places).filter { place in
                taken[all[place].label ?? -1, default: 0] += 1
                return taken[all[place].label ?? -1, default: 0] <= rows
            }.sorted()
        }
        let encoded = places.map { preparation.train[$0] }
        var head: ParameterSet?
        if preparation.shape != .generation {
            let smooth = try MethodSettings(LinearProbe.card, json: ["strength": .number(Search.startStrength)])
            head = try LinearProbe(smooth).solve(
                encoded, on: preparation.model, labels: preparation.task.labels, encoding: preparation.encoding)
        }
        return Draw(examples: places.map { all[$0] }, encoded: encoded, head: head)
    }
}
