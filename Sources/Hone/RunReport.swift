import Foundation
import HoneEvaluation
import HoneFormats
import HoneMethods
import HoneReports
import HoneTasks
import HoneTorch

extension RunWriter {
    /// The content of `report.html`.
    func report(
        verdict: String, results: [MethodResult], chosen: String, explanation: String, validation: Evaluation?,
        test: Evaluation?
    ) throws -> ReportContent {
        let task = preparation.task
        var content = ReportContent(
            title: RunFolder.name(after: task.files.first?.path ?? "run"), kind: task.kind.rawValue, date: started,
            verdict: verdict)
        content.headlines = headlines(test ?? validation)
        content.warnings = preparation.warnings
        content.task = [
            .init("Task", task.verdict), .init("Split", task.splitSummary),
            .init("Longest row", "\(preparation.encoding.maximumLength) tokens"),
        ]
        content.splits = [
            .init(name: "train", count: task.split.train.count),
            .init(name: "validation", count: task.split.validation.count),
            .init(name: "test", count: task.split.test.count),
        ].filter { $0.count > 0 }
        let configuration = preparation.model.configuration
        content.baseModel = [
            .init("Model", preparation.model.location.name),
            .init("Parameters", "\(configuration.parameterCount)"),
            .init("Shape", "\(configuration.layerCount) layers, width \(configuration.width)"),
            .init("SHA-256", String(try preparation.model.fingerprint.prefix(16)) + "…"),
        ]
        content.explanation = explanation
        content.methods = results.map { entry($0, isChosen: $0.name == chosen, test: test, validation: validation) }
        content.curves = results.flatMap(curves)
        if let measured = test ?? validation { addOutcomes(measured, to: &content) }
        content.commands = [
            .init("Ask the specialist", "hone predict \(folder.path) \"…\""),
            .init("Measure it on other rows", "hone eval \(folder.path) --data new.jsonl"),
        ]
        content.reproducibility = [
            .init("Hone", honeVersion), .init("libtorch", "\(Engine.version), \(Engine.instructionSet)"),
            .init("Threads", "\(Engine.threads)"), .init("Processor", SystemFacts.processor),
            .init("Seed", "\(seed)"), .init("Data SHA-256", String(task.dataHash.prefix(16)) + "…"),
            .init("Duration", "\(decimals(seconds, 1)) s"),
        ]
        return content
    }

    private func headlines(_ evaluation: Evaluation?) -> [ReportContent.Headline] {
        guard let evaluation else { return [] }
        func headline(_ name: String, _ interval: Interval?, note: String? = nil) -> ReportContent.Headline? {
            guard let interval, interval.value.isFinite else { return nil }
            let range = "\(decimals(interval.low, 3)) to \(decimals(interval.high, 3)) · \(evaluation.split)"
            return .init(name: name, value: decimals(interval.value, 3), note: note ?? range)
        }
        if let metrics = evaluation.classification {
            return [
                headline("Accuracy", metrics.accuracy), headline("Macro F1", metrics.macroF1),
                headline("Calibration error", metrics.calibration?.expectedCalibrationError),
            ].compactMap { $0 }
        }
        return [
            headline("Exact match", evaluation.generation?.exactMatch),
            headline("Loss per token", evaluation.generation?.loss),
            headline("Perplexity", evaluation.generation?.perplexity),
        ].compactMap { $0 }
    }

    private func metrics(_ evaluation: Evaluation) -> [ReportContent.Metric] {
        if let metrics = evaluation.classification {
            return [
                .init("accuracy", metrics.accuracy), .init("macro F1", metrics.macroF1),
                metrics.calibration.map {
                    .init("calibration error", $0.expectedCalibrationError, higherIsBetter: false)
                },
                metrics.logLoss.map { .init("loss", $0, style: .number, higherIsBetter: false) },
            ].compactMap { $0 }
        }
        return [
            evaluation.generation?.loss.map { .init("loss per token", $0, style: .number, higherIsBetter: false) },
            evaluation.generation?.perplexity.map { .init("perplexity", $0, style: .number, higherIsBetter: false) },
            evaluation.generation?.exactMatch.map { .init("exact match", $0) },
        ].compactMap { $0 }
    }

    private func entry(_ result: MethodResult, isChosen: Bool, test: Evaluation?, validation: Evaluation?)
        -> ReportContent.Method
    {
        let status: ReportContent.Method.Status =
            switch result.status {
            case .completed: isChosen ? .chosen : .completed
            case .dropped: .droppedEarly
            case .skipped: .skipped
            case .failed: .failed
            }
        var entry = ReportContent.Method(name: result.name, status: status, reason: result.reason)
        if let measured = isChosen ? validation ?? result.validation : result.validation {
            entry.validation = metrics(measured)
        }
        if isChosen, let test { entry.test = metrics(test) }
        if status != .skipped {
            entry.seconds = result.seconds
            entry.peakMemory = result.peakBytes
            entry.trainedParameters = result.trainedParameters
        }
        entry.learningRate = result.learningRate
        return entry
    }

    private func curves(_ result: MethodResult) -> [ReportContent.Curve] {
        guard !result.lossCurve.isEmpty else { return [] }
        let isClassifier = result.validation?.outcomes != nil
        // A mean over a window shows the course; single batches only show noise.
        let window = max(1, result.lossCurve.count / 100)
        var smooth: [ChartPoint] = []
        for start in stride(from: 0, to: result.lossCurve.count, by: window) {
            let part = result.lossCurve[start..<min(start + window, result.lossCurve.count)]
            let mean = part.reduce(0) { $0 + $1.loss } / Double(part.count)
            smooth.append(ChartPoint(x: Double(part.last?.step ?? 0), y: mean))
        }
        let points = result.validationCurve
        return [
            .init(method: result.name, metric: "training loss", points: smooth),
            .init(
                method: result.name, metric: isClassifier ? "validation accuracy" : "validation loss",
                points: points.map { ChartPoint(x: Double($0.step), y: isClassifier ? $0.score : $0.loss) }),
        ].filter { !$0.points.isEmpty }
    }

    private func addOutcomes(_ measured: Evaluation, to content: inout ReportContent) {
        let task = preparation.task
        let examples = measured.split == "test" ? task.split.test : task.split.validation
        if let metrics = measured.classification, let outcomes = measured.outcomes {
            content.classification = .init(split: measured.split, labels: task.labels, metrics: metrics)
            let confidences = outcomes.confidences
            let wrong = outcomes.labels.indices.filter { outcomes.labels[$0] != outcomes.predictions[$0] }
                .sorted { confidences[$0] > confidences[$1] }
            content.errors = wrong.prefix(24).compactMap { index in
                guard examples.indices.contains(index) else { return nil }
                let example = examples[index]
                return .init(
                    text: InContextExamples.inputText(example.input), label: task.labels[outcomes.labels[index]],
                    prediction: task.labels[outcomes.predictions[index]], confidence: confidences[index],
                    place: "\((example.file as NSString).lastPathComponent):\(example.line)")
            }
        }
        for (index, output) in measured.outputs.prefix(16).enumerated() where examples.indices.contains(index) {
            content.samples.append(
                .init(
                    input: InContextExamples.inputText(examples[index].input), output: output,
                    reference: examples[index].completion, isRight: measured.generation?.matches[index]))
        }
    }
}
