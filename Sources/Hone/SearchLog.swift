import HoneTraining

/// Writes the full trainings of a search into `log.jsonl` and `validation.jsonl`; trials are summed up elsewhere.
final class SearchLog {
    private let steps: TrainingLog
    private let validations: TrainingLog
    private var activity = ""

    init(_ folder: RunFolder) throws {
        steps = try TrainingLog(path: folder.log)
        validations = try TrainingLog(path: folder.validation)
    }

    func write(_ event: SearchEvent) throws {
        switch event {
        case .begin(_, let activity, _): self.activity = activity
        case .step(let method, let step, _) where activity == "training": try steps.write(step, method: method)
        case .validation(let method, let point): try validations.write(point, method: method)
        default: break
        }
    }
}
