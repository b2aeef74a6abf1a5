import HoneFormats
import HoneMethods
import HoneTorch

/// Everything that changes during training: what a checkpoint holds.
///
/// Data order and dropout masks are functions of the step, so its number stands for them.
public struct TrainingState {
    var parameters: ParameterSet
    var optimizer: Optimizer
    var step = 0
    var best: (parameters: ParameterSet, point: ValidationPoint)?
    var evaluationsWithoutImprovement = 0
    var badSteps = 0
    var stoppedEarly = false

    /// The state before the first step.
    init(parameters: ParameterSet) throws {
        self.parameters = parameters
        optimizer = try Optimizer(parameters)
    }

    /// Keeps a validation point, and the parameters where it is the best so far.
    ///
    /// - Parameter mayBeBest: whether the method could end here.
    mutating func note(_ point: ValidationPoint, mayBeBest: Bool) throws {
        guard mayBeBest else { return }
        // Equal scores are decided by the loss, so that a saturated accuracy does not stop what still learns. What is not a
        // number is never the best: nothing could be told to be better.
        let isNumber = !point.score.isNaN && !point.loss.isNaN
        let improves = isNumber && best.map { (point.score, -point.loss) > ($0.point.score, -$0.point.loss) } ?? true
        if improves {
            best = (try parameters.copied(), point)
            evaluationsWithoutImprovement = 0
        } else {
            evaluationsWithoutImprovement += 1
        }
    }

    /// The tensors of the state by name.
    var tensors: [(name: String, tensor: Tensor)] {
        func named(_ prefix: String, _ set: ParameterSet) -> [(name: String, tensor: Tensor)] {
            set.all.map { ("\(prefix).\($0.group.rawValue).\($0.name)", $0.tensor) }
        }
        return named("parameter", parameters) + named("mean", optimizer.means) + named("square", optimizer.squares)
            + (best.map { named("best", $0.parameters) } ?? [])
    }

    /// The numbers of the state.
    var json: JSON {
        var object = JSONObject()
        object["version"] = 2
        object["step"] = .integer(step)
        object["optimizer_steps"] = .array(
            optimizer.means.all.map { .integer(optimizer.steps[$0.name] ?? 0) })
        object["evaluations_without_improvement"] = .integer(evaluationsWithoutImprovement)
        object["bad_steps"] = .integer(badSteps)
        object["stopped_early"] = .bool(stoppedEarly)
        object["parameters"] = names(parameters)
        object["moments"] = names(optimizer.means)
        if let best {
            let point = best.point
            // A method that grows or prunes has other tensors now than when it was best.
            object["best"] = [
                "step": .integer(point.step), "score": .number(point.score), "loss": .number(point.loss),
                "parameters": names(best.parameters),
            ]
        }
        return .object(object)
    }

    private func names(_ set: ParameterSet) -> JSON {
        .array(set.all.map { .string("\($0.group.rawValue).\($0.name)") })
    }

    /// A state as it was saved; parameters come in the saved order.
    init(json: JSON, tensors: [String: Tensor], device: Device, file: String) throws {
        func integer(_ field: String) throws -> Int {
            guard let value = json[field]?.integer, value >= 0 else {
                throw HoneError(.badFile, "the field is missing or wrong", file: file, item: field)
            }
            return value
        }
        func set(_ prefix: String, _ list: JSON?) throws -> ParameterSet {
            guard let names = list?.array?.compactMap(\.string) else {
                throw HoneError(.badFile, "the field is missing or wrong", file: file, item: "\(prefix) names")
            }
            var set = ParameterSet()
            for name in names {
                guard let tensor = tensors["\(prefix).\(name)"] else {
                    throw HoneError(.badFile, "the tensor is missing", file: file, item: "\(prefix).\(name)")
                }
                let parts = name.split(separator: ".", maxSplits: 1)
                let group = parts.first.flatMap { Parameter.Group(rawValue: String($0)) } ?? .adapter
                set.set(parts.count > 1 ? String(parts[1]) : name, try tensor.to(device), group: group)
            }
            return set
        }
        parameters = try set("parameter", json["parameters"])
        let means = try set("mean", json["moments"])
        guard let counts = json["optimizer_steps"]?.array?.map(\.integer), counts.count == means.all.count,
            !counts.contains(where: { ($0 ?? -1) < 0 })
        else {
            throw HoneError(.badFile, "the field is missing or wrong", file: file, item: "optimizer_steps")
        }
        optimizer = Optimizer(
            means: means, squares: try set("square", json["moments"]),
            steps: Dictionary(zip(means.all.map(\.name), counts.map { $0 ?? 0 })) { first, _ in first })
        step = try integer("step")
        evaluationsWithoutImprovement = try integer("evaluations_without_improvement")
        badSteps = try integer("bad_steps")
        stoppedEarly = json["stopped_early"]?.bool ?? false
        if let point = json["best"], let score = point["score"]?.number, let loss = point["loss"]?.number,
            let at = point["step"]?.integer
        {
            best = (try set("best", point["parameters"]), ValidationPoint(step: at, score: score, loss: loss))
        }
    }
}
