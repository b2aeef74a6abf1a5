import Foundation
import HoneEvaluation
import HoneFormats
import HoneHub
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch
import HoneTraining

/// Methods side by side: on some tasks, with some numbers of rows, under several seeds, with the same budget of tuning each.
///
/// A seed draws the rows to learn from, the same for every method. Every trained method starts from the same solved head,
/// tries as many learning rates of its card for as many steps on the first seed's rows, and takes the one with the lowest
/// validation loss for all seeds. Test rows are the same everywhere. Each measurement is a line of `records.jsonl`; what is
/// there already is not done again, so that a comparison can be stopped and gone on with.
public struct MethodComparison {
    /// What can be chosen.
    public struct Options: Sendable {
        /// Data files, folders or `task.yaml` files.
        public var data: [String]
        /// The methods, as `lora` or `lora:rank=4,alpha=8`.
        public var methods: [String]
        /// How many rows a class (of text, in all); `nil` for all.
        public var rows: [Int?] = [16, 64, nil]
        /// How many seeds.
        public var seeds = 5
        /// How many epochs a training has, within the steps below.
        public var epochs = 10.0
        /// The fewest and the most steps of a training.
        public var steps = 60...300
        /// How many learning rates a method may try, each for a third of the steps.
        public var trials = 3
        /// How many rows a step has.
        public var batchSize = 16
        /// The most validation rows, and the most test rows, that are read.
        public var mostMeasured = 1000
        /// A file of texts that have nothing to do with the tasks, one a line or one a row.
        public var untouched: String?
        /// The base model; the default encoder where none is named.
        public var model: String?
        /// What the base model computes in; what is trained stays `float32`.
        public var dtype = DType.float32
        /// Downloads a model of the Hub that is not there.
        public var hub: HubClient?
        /// The folder that records go to.
        public var out: String

        /// The defaults for some data and methods.
        public init(data: [String], methods: [String], out: String) {
            self.data = data
            self.methods = methods
            self.out = out
        }
    }

    /// What happens meanwhile.
    public enum Event: Sendable {
        /// A measurement begins.
        case begin(ComparisonRecord.Key)
        /// One is done.
        case done(ComparisonRecord)
        /// Nothing is left but what other processes in the same folder are measuring.
        case left([ComparisonRecord.Key])
    }

    /// The choices.
    public let options: Options
    private let methods: [(name: String, method: any Method)]
    private let model: BaseModel
    private let tasks: [ComparisonTask]
    private let forgetting: Forgetting?

    /// Reads the data and the model.
    ///
    /// - Throws: `HoneError` for everything that is wrong with options, data or model, before any work is done.
    public init(_ options: Options) throws {
        self.options = options
        func require(_ holds: Bool, _ option: String, _ sentence: String) throws {
            if !holds { throw HoneError(.usage, sentence, item: option) }
        }
        try require(!options.data.isEmpty, "data", "name at least one data file")
        try require((1...1000).contains(options.seeds), "--seeds", "must be from 1 to 1000, not \(options.seeds)")
        try require((1...65536).contains(options.batchSize), "--batch-size", "must be from 1 to 65536")
        try require(options.mostMeasured >= 20, "--most-measured", "must be at least 20")
        try require(options.steps.lowerBound >= 1, "--steps", "must be at least 1")
        try require(options.trials >= 1, "--trials", "must be at least 1")
        try require(options.epochs > 0 && options.epochs.isFinite, "--epochs", "must be a number above 0")
        for rows in options.rows {
            if let rows { try require(rows >= 1, "--rows", "must be numbers of at least 1, or all") }
        }
        methods = try options.methods.map { ($0, try MethodComparison.method($0)) }
        try require(Set(options.methods).count == methods.count, "--methods", "names a method twice")
        let model = try BaseModel(
            DefaultModel.location(options.model, hub: options.hub), dtype: options.dtype)
        self.model = model
        tasks = try options.data.map { try ComparisonTask(path: $0, model: model, options: options) }
        try require(
            Set(tasks.map(\.name)).count == tasks.count, "data", "two of the data have the same name; name the folders")
        forgetting = try options.untouched.map { path in
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
                throw HoneError(.fileSystem, "cannot be read as UTF-8 text", file: path, item: "--untouched")
            }
            let lines = text.split(separator: "\n").map { line -> String in
                let json = line.hasPrefix("{") ? try? JSON.parse(String(line)) : nil
                return json?["text"]?.string ?? String(line)
            }
            let long = lines.map { $0.trimmingCharacters(in: .whitespaces) }.filter { $0.count >= 40 }
            return try Forgetting(texts: Array(long.prefix(128)), model: model, maximumLength: 128)
        }
    }

    /// A method as it is asked for: `lora`, or `lora:rank=4,alpha=8`.
    static func method(_ text: String) throws -> any Method {
        let parts = text.split(separator: ":", maxSplits: 1)
        guard let name = parts.first else { throw HoneError(.usage, "a name is missing", item: "--methods") }
        var typed: [String: String] = [:]
        if parts.count > 1 {
            var last: String?
            for word in parts[1].split(separator: ",") {
                let pair = word.split(separator: "=", maxSplits: 1)
                if pair.count == 2 {
                    typed[String(pair[0])] = String(pair[1])
                    last = String(pair[0])
                } else if let last {
                    // A comma may stand within a value, as in targets=query,value.
                    typed[last, default: ""] += "," + word
                } else {
                    throw HoneError(.usage, "a setting is key=value, not `\(word)`", item: "--methods")
                }
            }
        }
        return try Methods.make(String(name), typed: typed)
    }

    /// Measures what is not measured yet: first every method with the first seed, then with the next. What another process
    /// is measuring in the same folder is left to it.
    ///
    /// - Parameter shouldStop: asked between steps; what is measured by then is kept.
    /// - Returns: all records, those of earlier runs among them, in the order of the table.
    public func run(shouldStop: @escaping () -> Bool, report: (Event) throws -> Void) throws -> [ComparisonRecord] {
        var store = try ComparisonStore(folder: options.out, identity: identity)
        defer { store.finish() }
        var left: [ComparisonRecord.Key] = []
        let bench = ComparisonBench(
            model: model, options: options, forgetting: forgetting, shouldStop: shouldStop)
        for seed in 0..<options.seeds {
            for task in tasks {
                for rows in options.rows {
                    func key(_ method: String, seed: Int) -> ComparisonRecord.Key {
                        .init(task: task.name, rows: rows.map(String.init) ?? "all", method: method, seed: seed)
                    }
                    let pending = methods.filter { store.records[key($0.name, seed: seed)] == nil }
                    // Rows are drawn, and the head that all start from is solved, once for all methods.
                    var drawn: ComparisonTask.Draw?
                    for (name, method) in pending {
                        if shouldStop() { return ordered(store.records) }
                        let key = key(name, seed: seed)
                        guard let claim = try store.claim(key) else {
                            left.append(key)
                            continue
                        }
                        defer { withExtendedLifetime(claim) {} }
                        let draw = try drawn ?? task.draw(rows: rows, seed: seed)
                        drawn = draw
                        try report(.begin(key))
                        let record = try bench.measure(
                            method, key: key, task: task, draw: draw,
                            tuning: { seed == 0 ? draw : try task.draw(rows: rows, seed: 0) },
                            learningRate: (0..<options.seeds).lazy.compactMap {
                                store.records[.init(task: key.task, rows: key.rows, method: name, seed: $0)]?
                                    .learningRate
                            }.first)
                        guard let record else { return ordered(store.records) }
                        try store.write(record)
                        try report(.done(record))
                    }
                }
            }
        }
        try store.refresh()
        left = left.filter { store.records[$0] == nil }
        if !left.isEmpty { try report(.left(left)) }
        return ordered(store.records)
    }

    /// What must be the same for records to stand in one table.
    private var identity: JSON {
        get throws {
            [
                "model": .string(try model.fingerprint), "dtype": .string("\(options.dtype)"),
                "epochs": .number(options.epochs),
                "steps": .array([.integer(options.steps.lowerBound), .integer(options.steps.upperBound)]),
                "trials": .integer(options.trials), "batch_size": .integer(options.batchSize),
                "most_measured": .integer(options.mostMeasured),
                "data": .object(
                    tasks.reduce(into: JSONObject()) { $0[$1.name] = .string($1.preparation.task.dataHash) }),
            ]
        }
    }

    private func ordered(_ records: [ComparisonRecord.Key: ComparisonRecord]) -> [ComparisonRecord] {
        let rows = options.rows.map { $0.map(String.init) ?? "all" }
        func place(_ key: ComparisonRecord.Key) -> [Int] {
            [
                tasks.firstIndex { $0.name == key.task } ?? .max, rows.firstIndex(of: key.rows) ?? .max,
                methods.firstIndex { $0.name == key.method } ?? .max, key.seed,
            ]
        }
        return records.values.sorted { place($0.key).lexicographicallyPrecedes(place($1.key)) }
    }
}
