import Foundation
import HoneEvaluation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// Writes what a run leaves behind.
struct RunWriter {
    let folder: RunFolder
    let preparation: Preparation
    let seed: UInt64
    let started: Date
    let seconds: Double

    /// `run.json` without what only one verb knows.
    func description(verb: String, method: any Method) throws -> JSONObject {
        var object = JSONObject()
        object["version"] = 1
        object["verb"] = .string(verb)
        object["started"] = .string(SystemFacts.timestamp(started))
        object["seconds"] = .number(seconds)
        object["seed"] = .integer(Int(truncatingIfNeeded: seed))
        object["model"] = try .object(model)
        object["task"] = preparation.task.json
        object["labels"] = .array(preparation.task.labels.map { .string($0) })
        if !preparation.task.tasks.isEmpty { object["tasks"] = .array(preparation.task.tasks.map { .string($0) }) }
        object["method"] = .string(method.name)
        object["settings"] = method.settings.json
        object["maximum_length"] = .integer(preparation.encoding.maximumLength)
        object["marks_completions"] = .bool(preparation.encoding.marksCompletions)
        object["chat_template"] = try chatTemplate
        object["system"] = SystemFacts.json
        return object
    }

    /// Which model, so that it is found again: by its name and commit on the Hub, or by its folder.
    private var model: JSONObject {
        get throws {
            let location = preparation.model.location
            var object = JSONObject()
            object["folder"] = .string(location.folder)
            object["repository"] = location.repository.map { .string($0) }
            object["revision"] = location.revision.map { .string($0) }
            object["commit"] = location.commit.map { .string($0) }
            object["sha256"] = .string(try preparation.model.fingerprint)
            object["parameters"] = .integer(preparation.model.configuration.parameterCount)
            return object
        }
    }

    /// Which chat templates conversations are written with, by the SHA-256 of their texts.
    private var chatTemplate: JSON? {
        get throws {
            guard preparation.encoding.usesChatTemplate else { return nil }
            return try SavedRun.chatTemplate(of: preparation.model)
        }
    }

    /// `metrics.json`: the headline figures at the top, then each split and each method.
    func metrics(
        validation: Evaluation?, test: Evaluation?, methods: [MethodResult] = [], chosen: String? = nil,
        explanation: String? = nil
    ) -> JSONObject {
        var object = (test ?? validation)?.json.object ?? JSONObject()
        object["validation"] = validation?.json
        object["test"] = test?.json
        object["chosen"] = chosen.map { .string($0) }
        object["explanation"] = explanation.map { .string($0) }
        if !methods.isEmpty {
            object["methods"] = .array(methods.map(RunWriter.json))
        }
        return object
    }

    private static func json(_ result: MethodResult) -> JSON {
        var object = JSONObject()
        object["method"] = .string(result.name)
        object["status"] = .string(result.status.rawValue)
        if !result.reason.isEmpty { object["reason"] = .string(result.reason) }
        object["validation"] = result.validation?.json
        object["learning_rate"] = result.learningRate.map { .number($0) }
        object["trials"] = .array(
            result.trials.map {
                ["setting": .number($0.learningRate), "score": .number($0.score), "loss": .number($0.loss)]
            })
        object["trial_seconds"] = result.trialSeconds.map { .number($0) }
        object["steps"] = .integer(result.steps)
        object["seconds"] = .number(result.seconds)
        object["peak_memory_bytes"] = .integer(result.peakBytes)
        object["trained_parameters"] = .integer(result.trainedParameters)
        return .object(object)
    }

    /// Writes the files of the run folder; each appears whole or not at all, `run.json` last.
    func write(description: JSONObject, metrics: JSONObject, predictions: Evaluation?, examples: [Example]) throws {
        try AtomicFile.write(JSON.object(metrics).text(pretty: true) + "\n", to: folder.metrics)
        if let predictions {
            try AtomicFile.write(to: folder.predictions) { file in
                for (index, example) in examples.enumerated() {
                    try file.write(line(predictions, example, index).text() + "\n")
                }
            }
        }
        try AtomicFile.write(JSON.object(description).text(pretty: true) + "\n", to: folder.description)
    }

    private func line(_ evaluation: Evaluation, _ example: Example, _ index: Int) -> JSON {
        var object = JSONObject()
        object["file"] = .string(example.file)
        object["line"] = .integer(example.line)
        object["task"] = example.task.map { .string($0) }
        let labels = preparation.task.labels
        func name(_ label: Int) -> JSON { .string(labels.indices.contains(label) ? labels[label] : "") }
        if let outcomes = evaluation.outcomes {
            object["label"] = name(outcomes.labels[index])
            object["prediction"] = name(outcomes.predictions[index])
            object["probability"] = .number((outcomes.confidences[index] * 1e6).rounded() / 1e6)
        } else {
            if evaluation.outputs.indices.contains(index) { object["output"] = .string(evaluation.outputs[index]) }
            object["completion"] = example.completion.map { .string($0) }
            if evaluation.tokenLosses.indices.contains(index) {
                object["loss"] = .number(evaluation.tokenLosses[index].sum)
                object["tokens"] = .integer(evaluation.tokenLosses[index].tokens)
            }
        }
        return .object(object)
    }

    /// One sentence with the headline figures.
    func verdict(_ method: String, validation: Evaluation?, test: Evaluation?) -> String {
        func figure(_ evaluation: Evaluation) -> String {
            if let metrics = evaluation.classification {
                return "\(evaluation.split) accuracy \(RunWriter.share(metrics.accuracy))"
            }
            if let metrics = evaluation.generation {
                let match = metrics.exactMatch.map { ", exact match \(RunWriter.share($0))" } ?? ""
                let loss = metrics.loss.map { RunWriter.share($0) } ?? "–"
                return "\(evaluation.split) loss per token \(loss)\(match)"
            }
            return ""
        }
        let figures = [test, validation].compactMap { $0 }.map(figure).joined(separator: "; ")
        return figures.isEmpty ? method : "\(method): \(figures)"
    }

    /// A figure with its interval.
    static func share(_ interval: Interval) -> String {
        "\(decimals(interval.value, 3)) (\(decimals(interval.low, 3))–\(decimals(interval.high, 3)))"
    }
}
