import Glibc
import HoneFormats
import HoneModels
import HoneTorch

/// Localised fine-tuning of representations: a learned vector is added to the outputs of a few attention heads, at every position,
/// before the output projection: `z ← z + v` (Yin, Ye and Durrett 2024, section 3).
///
/// Which heads is found first, on the same rows: `HeadScaling` trains a factor for every element of every head's output under an L1
/// penalty, and the heads whose factors have moved furthest are taken.
public struct LoFiT: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "lofit", title: "Offsets of chosen attention heads (LoFiT)",
        summary: "Finds the heads that matter for the task, then adds a trained vector to the output of each.",
        advice:
            "For a few hundred rows: some hundred to a few thousand numbers, far fewer than LoRA's, and a map of the heads. "
            + "Folds into a bias at no cost. With many rows LoRA has more to give; it takes two short runs.",
        paper: "Yin, Ye and Durrett 2024, arXiv 2406.01563", training: .gradient, costRank: 3,
        learningRates: [1e-2, 5e-3, 2e-2],
        settings: [
            Setting("top", .words(["3%"]), "How many heads get a vector: a number, or a share of all heads (10%)."),
            Setting(
                "heads", .words([]),
                "A heads.json of an earlier run, perhaps for another task: its first heads are taken, and none are looked for."
            ),
            Setting(
                "l1", .real(5e-4, 0...1e3), "What the sum of the factors' sizes is multiplied by, in the selection."),
            Setting(
                "selection-rate", .real(0.5, 1e-6...1e6),
                "The learning rate of the selection, over that of the vectors."),
            Setting(
                "selection-steps", .integer(0, 0...1_000_000),
                "The steps of the selection; 0 for as many as the vectors'."),
            Setting("deviation", .real(1e-3, 0...1), "The spread of what factors and vectors start from."),
        ])

    /// The values of the settings.
    public let settings: MethodSettings

    /// LoFiT with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    private static let vector = ".vector"
    private static let scores = ".scores"

    /// How many of a model's heads get a vector.
    private func count(of configuration: TransformerConfiguration) throws -> Int {
        let all = configuration.headSites.reduce(0) { $0 + $1.count }
        let words = settings.words("top")
        let word = words.first ?? ""
        func refused(_ sentence: String) -> HoneError { HoneError(.usage, sentence, item: "lofit top") }
        guard words.count == 1 else { throw refused("must be one number, or one share such as 3%") }
        if word.hasSuffix("%") {
            guard let share = Double(word.dropLast()), share > 0, share <= 100 else {
                throw refused("`\(word)` is no share from above 0% to 100%")
            }
            return max(1, Int((share / 100 * Double(all)).rounded()))
        }
        guard let count = Int(word), count > 0 else { throw refused("`\(word)` is no number of heads from 1 on") }
        guard count <= all else {
            throw HoneError(.mismatch, "\(count) heads are more than the model's \(all)", item: "lofit top")
        }
        return count
    }

    private var file: String? {
        let words = settings.words("heads")
        return words.isEmpty ? nil : words.joined(separator: ",")
    }

    /// Refuses more heads than there are.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws { _ = try count(of: model) }

    /// A small vector for each head of the file, or until heads are found for heads that are drawn.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        let configuration = model.configuration
        let ranking: HeadRanking
        if let file {
            ranking = try HeadRanking(file: file, for: configuration)
        } else {
            let all = configuration.headSites.flatMap { site in
                (0..<site.count).map { Head(site: site.path, number: $0) }
            }
            let order = try random.uniform([all.count], low: 0, high: 1).elements(Double.self)
            ranking = HeadRanking(all.indices.sorted { order[$0] < order[$1] }.map { all[$0] })
        }
        return try parameters(ranking, for: model, random: &random)
    }

    /// Vectors for the first heads of a ranking, and its scores.
    private func parameters(_ ranking: HeadRanking, for model: BaseModel, random: inout RandomStream) throws
        -> ParameterSet
    {
        let configuration = model.configuration
        let wanted = try count(of: configuration)
        guard ranking.entries.count >= wanted else {
            throw HoneError(
                .mismatch, "has \(ranking.entries.count) heads, and \(wanted) are to get a vector", file: file,
                item: "lofit top")
        }
        let widths = Dictionary(uniqueKeysWithValues: configuration.headSites.map { ($0.path, $0.width) })
        var parameters = ParameterSet()
        for entry in ranking.entries.prefix(wanted) {
            let width = widths[entry.head.site] ?? 0
            let noise = try random.normal([width], standardDeviation: settings.real("deviation"))
            parameters.set(
                entry.head.site + ".\(entry.head.number)" + LoFiT.vector, try noise.to(model.transformer.device))
        }
        try LoFiT.set(ranking, in: &parameters, for: model)
        return parameters
    }

    private static func set(_ ranking: HeadRanking, in parameters: inout ParameterSet, for model: BaseModel) throws {
        guard let known = ranking.scores(of: model.configuration) else { return }
        for site in model.configuration.headSites {
            let own = try Tensor((known[site.path] ?? []).map { Float($0) }, on: model.transformer.device)
            parameters.set(site.path + scores, own, group: .state)
        }
    }

    /// Heads are looked for, unless a file names them.
    public var hasStages: Bool { file == nil }

    /// The selection is a training of its own.
    public func stageCost(steps: Int, rows: Int, batchSize: Int) -> StageCost {
        StageCost(before: file == nil ? Double(selectionSteps(of: steps)) : 0)
    }

    private func selectionSteps(of steps: Int) -> Int {
        let own = settings.integer("selection-steps")
        return own > 0 ? own : steps
    }

    /// Finds the heads, and starts vectors for them.
    public func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        let model = try context.model.part(for: context.task, LoFiT.self)
        var random = RandomStream(seed: context.seed, name: "lofit selection")
        let selection = HeadScaling(
            try MethodSettings(HeadScaling.card), penaltyFactor: settings.real("l1"),
            deviation: settings.real("deviation"))
        var factors = try selection.initialParameters(for: model, random: &random)
        for parameter in parameters.all where parameter.group == .head {
            factors.set(parameter.name, parameter.tensor, group: .head)
        }
        let rate = context.learningRate * settings.real("selection-rate")
        let trained = try context.train(selection, factors, selectionSteps(of: context.steps), rate)
        let ranking = HeadRanking(scores: try HeadScaling.scores(trained), of: model.configuration)
        var found = try self.parameters(ranking, for: model, random: &random)
        for parameter in parameters.all where parameter.group == .head {
            found.set(parameter.name, parameter.tensor, group: .head)
        }
        parameters = found
        let chosen = try ranking.entries.prefix(count(of: model.configuration))
        let whole = ranking.entries.reduce(0) { $0 + ($1.score ?? 0) }
        let share = chosen.reduce(0) { $0 + ($1.score ?? 0) } / max(whole, .leastNormalMagnitude)
        let places = Dictionary(uniqueKeysWithValues: model.configuration.headSites.map { ($0.path, $0.title) })
        let names = chosen.prefix(8).map { "\(places[$0.head.site] ?? "").\($0.head.number)" }
        try context.note(
            "\(chosen.count) of \(ranking.entries.count) heads found, with \(Int((100 * share).rounded()))% of all change: "
                + names.joined(separator: ", ") + (chosen.count > 8 ? ", …" : ""))
    }

    /// The vectors by head, in the order in which the heads were taken.
    static func vectors(_ parameters: ParameterSet) -> [(head: Head, vector: Tensor)] {
        parameters.all.compactMap { parameter in
            guard parameter.name.hasSuffix(vector),
                let head = head(named: String(parameter.name.dropLast(vector.count)))
            else { return nil }
            return (head, parameter.tensor)
        }
    }

    /// `layers.3.attention.heads.5`
    private static func head(named name: String) -> Head? {
        guard let dot = name.lastIndex(of: "."), let number = Int(name[name.index(after: dot)...]) else { return nil }
        return Head(site: String(name[..<dot]), number: number)
    }

    /// What is added to the heads of each site, `[heads, width]`; zero for those that were not chosen.
    private static func offsets(_ parameters: ParameterSet, of configuration: TransformerConfiguration) throws -> [(
        site: HeadSite, offset: Tensor
    )] {
        let bySite = Dictionary(grouping: vectors(parameters)) { $0.head.site }
        return try configuration.headSites.compactMap { site in
            guard let own = bySite[site.path], let first = own.first else { return nil }
            let places = try Tensor(own.map(\.head.number), on: first.vector.device)
            let offset = try Tensor.zeros([site.count, site.width], on: first.vector.device)
                .adding(Tensor.stacked(own.map(\.vector)), at: places)
            return (site, offset)
        }
    }

    /// The vectors at their heads.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        var attachments = Attachments()
        for (site, offset) in try LoFiT.offsets(parameters, of: model.configuration) {
            attachments.states[site.path] = [Offset(vectors: offset)]
        }
        return attachments
    }

    /// The biases of the output projections: `b + W · v`. Models whose format has no such bias cannot hold it.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? {
        guard model.configuration.canHoldOutputBiases else { return nil }
        return try withoutGradients {
            var merged: [String: Tensor] = [:]
            for (site, offset) in try LoFiT.offsets(parameters, of: model.configuration) {
                guard let weight = model.weights[site.output + ".weight"] else { continue }
                let change = try offset.detached().reshaped([1, -1]).linear(weight.to(.float32)).reshaped([-1])
                let bias = try model.weights[site.output + ".bias"].map { try $0.to(.float32) + change } ?? change
                merged[site.output + ".bias"] = try bias.to(weight.dtype)
            }
            return try model.configuration.completing(merged)
        }
    }

    /// How much each head was changed in the selection, and the heads that were taken.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] {
        var known: [String: [Double]] = [:]
        for parameter in parameters.all where parameter.name.hasSuffix(LoFiT.scores) {
            known[String(parameter.name.dropLast(LoFiT.scores.count))] = try parameter.tensor.elements(Double.self)
        }
        let rows = try LoFiT.vectors(parameters).map { head, vector in
            let score = known[head.site].map { format3($0[head.number]) } ?? "—"
            let site = model.configuration.headSites.first { $0.path == head.site }
            return [
                site?.title ?? head.site, "\(head.number)", score, format3(try vector.detached().norm().item()),
            ]
        }
        let table = MethodFigure(
            "Heads with a vector", note: "In the order of their scores; how long the vector is that each got.",
            .table(titles: ["layer", "head", "score", "length of the vector"], rows: rows))
        guard !known.isEmpty else { return [table] }
        let map = headMap(
            "What the task wants changed",
            note: "How far the selection moved each head's factors: the length of its part of A.",
            of: model.configuration,
            known)
        return [map, table]
    }
}

/// A number with three decimals that matter.
func format3(_ number: Double) -> String {
    guard number != 0, number.isFinite else { return "\(number)" }
    let places = Swift.max(0, 2 - Int(floor(log10(abs(number)))))
    let factor = pow(10, Double(Swift.min(places, 9)))
    return "\((number * factor).rounded() / factor)"
}

/// Adds vectors to heads' outputs at every position.
private struct Offset: StateAttachment {
    /// `[heads, width]`
    let vectors: Tensor

    var actsOnTokens: Bool { true }
    var isDeterministic: Bool { true }
    var offset: Tensor? { vectors }

    func state(_ state: Tensor) throws -> Tensor { try state + vectors.to(state.dtype) }
}

extension LoFiT {
    /// Writes the vectors as `layers.N.attention.heads.H.vector`, and the ranking of the heads.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        let vectors = LoFiT.vectors(parameters)
        try folder.writeTensors(
            vectors.map { ($0.head.name("vector"), try $0.vector.detached()) }, file: "weights.safetensors")
        var known: [String: [Double]] = [:]
        for parameter in parameters.all where parameter.name.hasSuffix(LoFiT.scores) {
            known[String(parameter.name.dropLast(LoFiT.scores.count))] = try parameter.tensor.elements(Double.self)
        }
        let ranking =
            known.isEmpty
            ? HeadRanking(vectors.map(\.head)) : HeadRanking(scores: known, of: model.configuration)
        try AtomicFile.write(
            ranking.json(of: model.configuration).text(pretty: true) + "\n", to: folder.path + "/" + HeadRanking.file)
    }

    /// Reads what `write` has written.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: LoFiT, parameters: ParameterSet)
    {
        let method = try LoFiT(folder.settings(card))
        let ranking = try HeadRanking(file: folder.path + "/" + HeadRanking.file, for: model.configuration)
        let wanted = try method.count(of: model.configuration)
        let heads = ranking.entries.prefix(wanted).map(\.head)
        let widths = Dictionary(uniqueKeysWithValues: model.configuration.headSites.map { ($0.path, $0.width) })
        var parameters = ParameterSet()
        for head in heads {
            let name = head.name("vector")
            let tensor = try folder.tensor(name).to(.float32).to(model.transformer.device).cloned()
            guard tensor.shape == [widths[head.site] ?? 0] else {
                throw HoneError(
                    .mismatch, "shape \(tensor.shape) does not fit heads of width \(widths[head.site] ?? 0)",
                    file: folder.tensorFile, item: name)
            }
            parameters.set(name, tensor)
        }
        guard heads.count == wanted, Set(folder.tensorNames) == Set(heads.map { $0.name("vector") }) else {
            throw HoneError(
                .mismatch, "the vectors are not those of the first \(wanted) heads of \(HeadRanking.file)",
                file: folder.tensorFile)
        }
        try set(ranking, in: &parameters, for: model)
        return (method, parameters)
    }
}
