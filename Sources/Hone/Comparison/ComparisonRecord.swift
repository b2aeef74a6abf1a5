import HoneFormats

/// One training of one method in a comparison, measured: a line of `records.jsonl`.
public struct ComparisonRecord: Hashable, Sendable {
    /// What is compared: the place of a line in the table, and of one seed in it.
    public struct Key: Hashable, Sendable {
        /// The task's name.
        public var task: String
        /// How many rows a class (of text, rows in all) it learned from: a number, or `all`.
        public var rows: String
        /// The method with the settings asked for, as `lora` or `lora(rank=4)`.
        public var method: String
        /// The seed of the draw of rows and of training.
        public var seed: Int
    }

    /// What was compared.
    public var key: Key
    /// Why nothing could be measured; empty where it was.
    public var reason = ""
    /// Accuracy, or the negative loss per token: what is to be high.
    public var score = Double.nan
    /// Macro F1; not a number for text.
    public var macroF1 = Double.nan
    /// The mean loss of test rows.
    public var loss = Double.nan
    /// The expected calibration error; not a number for text.
    public var calibrationError = Double.nan
    /// What the base forgot: see `Forgetting`; not a number where it was not asked for.
    public var forgetting = Double.nan
    /// The learning rate that validation chose.
    public var learningRate: Double?
    /// How many numbers were trained, the head among them.
    public var trainedParameters = 0
    /// How many rows it learned from, and how many test rows it was measured on.
    public var trainRows = 0
    /// How many test rows it was measured on.
    public var testRows = 0
    /// How many optimiser steps it had.
    public var steps = 0
    /// How long training took, its stages included, in seconds.
    public var seconds = 0.0
    /// The largest resident memory meanwhile, in bytes.
    public var peakBytes = 0

    /// A record with nothing measured yet.
    public init(key: Key) { self.key = key }

    /// The line.
    public var json: JSON {
        var object = JSONObject()
        object["task"] = .string(key.task)
        object["rows"] = .string(key.rows)
        object["method"] = .string(key.method)
        object["seed"] = .integer(key.seed)
        if !reason.isEmpty {
            object["reason"] = .string(reason)
            return .object(object)
        }
        let figures = [
            ("score", score), ("macro_f1", macroF1), ("loss", loss), ("ece", calibrationError),
            ("forgetting", forgetting),
        ]
        for (name, value) in figures where value.isFinite { object[name] = .number((value * 1e6).rounded() / 1e6) }
        object["learning_rate"] = learningRate.map { .number($0) }
        object["trained_parameters"] = .integer(trainedParameters)
        object["train_rows"] = .integer(trainRows)
        object["test_rows"] = .integer(testRows)
        object["steps"] = .integer(steps)
        object["seconds"] = .number((seconds * 1000).rounded() / 1000)
        object["peak_bytes"] = .integer(peakBytes)
        return .object(object)
    }

    /// Reads a line.
    ///
    /// - Throws: `HoneError` with code `.badFile` that names a missing field.
    public init(json: JSON, file: String, line: Int) throws {
        func required<Value>(_ field: String, _ value: Value?) throws -> Value {
            guard let value else {
                throw HoneError(.badFile, "the field is missing or wrong", file: file, line: line, item: field)
            }
            return value
        }
        key = Key(
            task: try required("task", json["task"]?.string), rows: try required("rows", json["rows"]?.string),
            method: try required("method", json["method"]?.string), seed: try required("seed", json["seed"]?.integer))
        reason = json["reason"]?.string ?? ""
        score = json["score"]?.number ?? .nan
        macroF1 = json["macro_f1"]?.number ?? .nan
        loss = json["loss"]?.number ?? .nan
        calibrationError = json["ece"]?.number ?? .nan
        forgetting = json["forgetting"]?.number ?? .nan
        learningRate = json["learning_rate"]?.number
        trainedParameters = json["trained_parameters"]?.integer ?? 0
        trainRows = json["train_rows"]?.integer ?? 0
        testRows = json["test_rows"]?.integer ?? 0
        steps = json["steps"]?.integer ?? 0
        seconds = json["seconds"]?.number ?? 0
        peakBytes = json["peak_bytes"]?.integer ?? 0
        if reason.isEmpty, !score.isFinite { _ = try required("score", nil as Double?) }
    }
}
