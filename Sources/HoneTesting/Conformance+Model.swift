import Glibc
import HoneMethods
import HoneModels
import HoneTorch

func logarithm(_ value: Double) -> Double { Glibc.log(value) }

extension Conformance {
    func leavesTheBase(_ before: [String: String], _ statesBefore: [Float], _ adapter: Adapter) throws -> [String] {
        var problems: [String] = []
        let after = try hashes(model)
        for name in before.keys.sorted() where before[name] != after[name] {
            problems.append("training has changed the frozen weight \(name)")
        }
        let adapted = try attached(adapter)
        _ = try states(adapted)
        if try states(model.transformer) != statesBefore {
            problems.append("the base computes something else after an adapter was attached")
        }
        if try states(adapted.attaching(Attachments())) != statesBefore {
            problems.append("detaching does not give the base back")
        }
        return problems
    }

    func startsAtTheBase(_ initial: Adapter, _ statesBefore: [Float]) throws -> [String] {
        let same = try states(attached(initial)) == statesBefore
        if row.startsAtBase { return same ? [] : ["an untrained adapter changes the base's output"] }
        return same ? ["the row says that an untrained adapter changes the output; it does not"] : []
    }

    func mergesExactly(_ adapter: Adapter, _ statesBefore: [Float]) throws -> [String] {
        guard let merged = try adapter.method.mergedWeights(adapter.parameters, model: model.transformer) else {
            return []
        }
        let folded = try states(
            Transformer(
                model.configuration.holding(merged.keys), weights: model.transformer.weights.merging(merged) { $1 }))
        let distance = try Conformance.distance(folded, states(attached(adapter)))
        var problems: [String] = []
        if !(distance <= 1e-5) { problems.append("merged and attached differ by \(distance)") }
        if !merged.isEmpty, folded == statesBefore { problems.append("merging changes nothing") }
        return problems
    }

    func countsParameters(_ initial: Adapter) throws -> [String] {
        func count(_ group: Parameter.Group) -> Int {
            initial.parameters.all.reduce(0) { $0 + ($1.group == group ? $1.tensor.count : 0) }
        }
        var problems: [String] = []
        let expected = try row.parameterCount(model.part(for: task.shape, type(of: row.method)).configuration)
        if count(.adapter) != expected {
            problems.append("there are \(count(.adapter)) parameters, the row says \(expected)")
        }
        var head = 0
        if case .classification(let classes) = task.shape, type(of: row.method).card.training == .gradient {
            head = classes * (model.configuration.width + 1)
        }
        if count(.head) != head { problems.append("the head has \(count(.head)) parameters instead of \(head)") }
        return problems
    }

    func ignoresPadding(_ adapter: Adapter) throws -> [String] {
        let some = Array(task.examples.prefix(7))
        let together = try answers(adapter, some)
        let alone = try some.flatMap { try answers(adapter, [$0]) }
        let distance = Conformance.distance(together, alone)
        return distance <= 1e-5 ? [] : ["a row's result alone and among others differs by \(distance)"]
    }

    func sharesABatch(_ initial: Adapter, _ trained: Adapter) throws -> [String] {
        let some = Array(task.examples.prefix(6))
        var set = AdapterSet(base: model)
        try set.add(trained, named: "trained")
        try set.add(initial, named: "initial")
        func together() throws -> [[Double]] {
            let requests = some.enumerated().map {
                AdapterSet.Request($0.element, adapter: $0.offset % 2 == 0 ? "trained" : "initial")
            }
            if task.shape == .generation { return try set.targetLosses(requests).map { [$0.loss] } }
            return try set.probabilities(requests).map { $0.map(Double.init) }
        }
        // A head that is solved is not there before it is.
        guard trained.parameters.all.isEmpty || !initial.parameters.all.isEmpty else { return [] }
        let (first, second) = try (answers(trained, some), answers(initial, some))
        let width = first.count / some.count
        let expected = first.indices.map { $0 / width % 2 == 0 ? first[$0] : second[$0] }
        let found = try together()
        let distance = Conformance.distance(found.flatMap { $0 }, expected)
        var problems: [String] = []
        if !(distance <= 1e-5) {
            problems.append("among rows of another adapter, a row's result differs by \(distance)")
        }
        set.remove("initial")
        try set.add(trained, named: "initial")
        try set.add(initial, named: "trained")
        set.remove("trained")
        try set.add(trained, named: "trained")
        try set.add(initial, named: "initial")
        if try together() != found { problems.append("after switching adapters, the results are others") }
        return problems
    }
}
