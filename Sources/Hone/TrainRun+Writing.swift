import Foundation
import HoneEvaluation
import HoneFormats
import HoneMethods
import HoneModels
import HoneReports
import HoneTasks
import HoneTorch
import HoneTraining

extension TrainRun {
    /// How far the gradients of several tasks agree in the end.
    private func alignment(of adapter: Adapter) throws -> GradientAlignment? {
        let tasks = preparation.task.tasks.count
        guard tasks > 1, type(of: adapter.method).card.training == .gradient else { return nil }
        return try GradientAlignment(
            model: preparation.model, adapter: adapter, examples: preparation.train, rowsPerTask: max(8, 1024 / tasks))
    }

    /// Measures what was trained and writes the run folder.
    func finish(_ trained: Trained, folder: RunFolder, started: Date, clock: Double) throws -> Result {
        let specialist = try Specialist(base: preparation.model, adapter: trained.adapter)
        func measure(_ rows: [Example], _ split: String) throws -> Evaluation? {
            rows.isEmpty ? nil : try Evaluation.measure(specialist, on: rows, split: split, seed: plan.seed)
        }
        let validation = try measure(preparation.task.split.validation, "validation")
        let test = try measure(preparation.task.split.test, "test")
        try folder.replaceAdapter { try trained.adapter.write(to: $0, for: preparation.model) }
        let writer = RunWriter(
            folder: folder, preparation: preparation, seed: plan.seed, started: started,
            seconds: monotonicSeconds() - clock)
        var description = try writer.description(verb: "train", method: trained.adapter.method)
        description["plan"] = plan.json
        description["identity"] = try identity
        var metrics = writer.metrics(validation: validation, test: test)
        let last = trained.losses.suffix(max(1, trained.losses.count / 10))
        if !last.isEmpty {
            metrics["training_loss"] = .number(last.reduce(0) { $0 + $1.loss } / Double(last.count))
        }
        metrics["steps"] = .integer(trained.steps)
        metrics["training_seconds"] = .number(trained.seconds)
        metrics["tokens"] = .integer(trained.tokens)
        if trained.seconds > 0 { metrics["tokens_per_second"] = .number(Double(trained.tokens) / trained.seconds) }
        let trainedCount = trained.adapter.parameters.trained.reduce(0) {
            $0 + (options.keepsHead && $1.group == .head ? 0 : $1.tensor.count)
        }
        metrics["trained_parameters"] = .integer(trainedCount)
        metrics["peak_memory_bytes"] = .integer(Engine.peakResidentBytes)
        let alignment = try alignment(of: trained.adapter)
        metrics["gradient_alignment"] = alignment?.mean.map { .number($0) }
        var verdict = writer.verdict(trained.adapter.method.name, validation: validation, test: test)
        if validation == nil, test == nil, let loss = metrics["training_loss"]?.number {
            verdict += ": training loss \(decimals(loss, 4)) over the last \(last.count) steps"
        }
        var result = MethodResult(name: trained.adapter.method.name, status: .completed)
        result.validation = validation
        result.learningRate = plan.learningRate
        result.steps = trained.steps
        result.seconds = writer.seconds
        result.peakBytes = Engine.peakResidentBytes
        result.trainedParameters = trainedCount
        result.lossCurve = trained.losses
        result.validationCurve = trained.points
        var content = try writer.report(
            verdict: verdict, results: [result], chosen: result.name, explanation: "", validation: validation,
            test: test)
        content.figures = try trained.adapter.figures(of: preparation.model).map(ReportContent.Figure.init)
        if let figure = alignment?.figure(preparation.task.tasks) { content.figures.append(.init(figure)) }
        content.settings = JSON.object(description).text(pretty: true)
        try HTMLReport(content).write(to: folder.report)
        try writer.write(
            description: description, metrics: metrics, predictions: test ?? validation,
            examples: test != nil ? preparation.task.split.test : preparation.task.split.validation)
        var json = metrics
        json["run"] = .string(folder.path)
        json["method"] = .string(result.name)
        json["report"] = .string(folder.report)
        json["losses"] = .array(trained.losses.map { .number($0.loss) })
        json["verdict"] = .string(verdict)
        return Result(folder: folder, ending: trained.ending, json: .object(json), verdict: verdict)
    }
}
