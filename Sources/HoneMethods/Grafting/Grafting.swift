import HoneFormats
import HoneModels
import HoneTorch

/// Fine-tunes the layers with embeddings and head frozen, then keeps only the few coordinates that hold the skill (Panigrahi et
/// al. 2023, arXiv 2302.06600).
///
/// Until training ends the parameters are copies of the layers' weights; then they are the values of the chosen coordinates
/// (`NAME.values`, which can be trained further) and their places (`NAME.indices`).
public struct Grafting: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "graft", title: "Skill localisation by grafting",
        summary: "Fine-tunes the layers, then keeps only the few coordinates that carry the skill.",
        advice:
            "A skill in a file of kilobytes, better calibrated than the whole, and several can be joined. Costs full "
            + "fine-tuning and as much again for the search; keeps somewhat less of the accuracy the fewer coordinates stay.",
        paper: "Panigrahi, Saunshi, Zhao and Arora 2023, arXiv 2302.06600", training: .gradient, costRank: 3,
        learningRates: [1e-4, 3e-4, 3e-5],
        settings: [
            Setting("keep", .real(1e-3, 1e-9...0.999), "The share of the layers' coordinates to keep."),
            Setting(
                "mask", .choice("trained", ["trained", "movement", "random", "bias", "whole"]),
                "How coordinates are chosen: trained from the largest movement, the largest movement as it is, drawn at random "
                    + "(a control), every bias, or no choice at all: the whole of the fine-tuned layers."),
            Setting("rounds", .integer(10, 0...10000), "How often the mask's scores are changed."),
            Setting(
                "mask-rate", .real(1e7, 1e-12...1e12),
                "The step length of the scores; it belongs together with the offset."),
            Setting("mask-offset", .real(10, 0...80), "How far scores have to rise before an entry turns over."),
            Setting(
                "mask-rows", .integer(1024, 1...1 << 20), "At most so many training rows are looked at in a round."),
        ])

    /// The values of the settings.
    public let settings: MethodSettings

    /// Grafting with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    static let indices = ".indices"
    static let values = ".values"

    /// Refuses a mask of biases where there are none.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        guard settings.choice("mask") == "bias" else { return }
        try GraftMask.checkBiases(GraftSpace(model))
    }

    /// Copies of the layers' weights.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        try WeightMethod.initialParameters(for: model) { GraftSpace.holds($0, of: model.configuration) }
    }

    /// The copies in place of the base's weights, or the base's weights with the chosen coordinates replaced.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        guard let graft = Grafting.graft(in: parameters, for: model.configuration) else {
            return WeightMethod.attachments(parameters)
        }
        var attachments = Attachments()
        attachments.weights = try graft.weights(model)
        return attachments
    }

    /// The head is solved, not trained: moving it would spoil what the layers are asked to hold.
    public func rule(for parameter: Parameter) -> TrainingRule {
        var rule = TrainingRule()
        if parameter.group == .head { rule.learningRateFactor = 0 }
        return rule
    }

    /// It has both.
    public var hasStages: Bool { true }

    /// The head is solved on all rows; each round of the mask goes forward and back over its rows, and reads them again.
    public func stageCost(steps: Int, rows: Int, batchSize: Int) -> StageCost {
        var cost = StageCost(before: StageCost.reading(rows: rows, batchSize: batchSize))
        let rounds = settings.integer("rounds")
        if settings.choice("mask") == "trained", rounds > 0 {
            let looked = min(rows, settings.integer("mask-rows"))
            let reading = StageCost.reading(rows: looked, batchSize: batchSize)
            // A gradient is three readings, a score is one; the starting mask is scored as well.
            cost.after = (Double(rounds) * 4 + 1) * reading
        }
        return cost
    }

    /// Solves the head on the frozen model's vectors.
    public func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        // A graft that is trained further keeps the head that it was made with.
        guard case .classification = context.task,
            Grafting.graft(in: parameters, for: context.model.configuration) == nil
        else { return }
        let solved = try LinearProbe(MethodSettings(LinearProbe.card)).solve(
            context.rows, on: context.model, labels: context.labels, encoding: context.encoding)
        for parameter in solved.all { parameters.set(parameter.name, parameter.tensor, group: .head) }
    }

    /// Chooses the coordinates.
    public func finish(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        let choice = settings.choice("mask")
        let transformer = context.model.transformer
        guard choice != "whole", Grafting.graft(in: parameters, for: transformer.configuration) == nil else { return }
        let space = try GraftSpace(context.model, context.task)
        let before = try space.joined { try Grafting.weight($0, of: transformer) }
        let after = try space.joined { try parameters.tensor($0) }
        let mask = try mask(choice, space, before: before, after: after, parameters, context)
        let graft = try Graft(mask, after: after, in: space, of: transformer)
        var kept = ParameterSet()
        Grafting.set(graft, in: &kept)
        for parameter in parameters.all where parameter.group == .head {
            kept.set(parameter.name, parameter.tensor, group: .head)
        }
        parameters = kept
        try context.note(
            "graft: \(graft.count) of \(space.count) coordinates stay; the base is kept everywhere else")
    }

    private func mask(
        _ choice: String, _ space: GraftSpace, before: Tensor, after: Tensor, _ parameters: ParameterSet,
        _ context: TrainingContext
    ) throws -> Tensor {
        let count = try GraftMask.count(settings.real("keep"), of: space.count)
        switch choice {
        case "random":
            var random = RandomStream(seed: context.seed, name: "random mask")
            return try GraftMask.random(count, of: space.count, random: &random, on: before.device)
        case "bias": return try GraftMask.biases(space, on: before.device)
        default: break
        }
        var search = try GraftLocalisation(before: before, after: after, keeping: count)
        search.rate = settings.real("mask-rate")
        search.offset = settings.real("mask-offset")
        search.rounds = choice == "trained" ? settings.integer("rounds") : 0
        search.seed = context.seed
        guard search.rounds > 0 else { return try search.start() }
        let rows = sample(context)
        func put(_ vector: Tensor) throws -> ParameterSet {
            var working = try parameters.copied()
            for (name, tensor) in try space.parts(vector) { working.set(name, try tensor.cloned()) }
            return working
        }
        let result = try search.run(
            gradient: { vector in
                let working = try put(vector)
                for entry in space.entries { try working.tensor(entry.name).setRequiresGradient() }
                var batches = 0.0
                for start in stride(from: 0, to: rows.count, by: context.batchSize) {
                    try context.checkStop()
                    let some = Array(rows[start..<min(start + context.batchSize, rows.count)])
                    _ = try context.gradients(self, working, some)
                    batches += 1
                }
                return try space.joined { name in
                    let tensor = try working.tensor(name)
                    return try tensor.gradient ?? Tensor.zeros(tensor.shape, on: tensor.device)
                } / batches
            },
            score: { vector in
                let working = try put(vector)
                let own = try score(working, context, rows: rows)
                return try own + (context.validate?(working).score ?? 0)
            })
        try context.note(
            "mask: the best was " + (result.chosen == 0 ? "the largest movement" : "that of round \(result.chosen)")
                + " of \(search.rounds), \(result.flips) entries differ from the largest movement")
        return result.mask
    }

    /// The training rows that the mask is learned from: at most as many as the settings say, drawn from all.
    private func sample(_ context: TrainingContext) -> [EncodedExample] {
        let count = settings.integer("mask-rows")
        guard context.rows.count > count else { return context.rows }
        var stream = RandomStream(seed: context.seed, name: "mask rows")
        let keyed = context.rows.indices.map { (stream.next(), $0) }.sorted { $0 < $1 }
        return keyed.prefix(count).map { context.rows[$0.1] }
    }

    /// What is to be high, as validation has it: the share of right classes; of a generator, the log-likelihood of a target token.
    private func score(_ parameters: ParameterSet, _ context: TrainingContext, rows: [EncodedExample]) throws -> Double
    {
        let adapter = Adapter(
            method: self, task: context.task, labels: context.labels, parameters: parameters,
            encoding: context.encoding)
        let specialist = try Specialist(base: context.model, adapter: adapter)
        guard case .classification = context.task else {
            let found = try specialist.transformer.targetScores(rows, padId: context.model.padId)
            return found.reduce(0) { $0 + $1.logLikelihood } / Double(max(1, found.reduce(0) { $0 + $1.tokens }))
        }
        return try withoutGradients {
            let logits = try ClassificationHead.logits(specialist.features(rows), parameters)
            let right = try Tensor(rows.map { $0.label ?? -1 }, on: logits.device)
            return try logits.argumentOfMax(1).equal(right).to(.float32).mean().item()
        }
    }

    static func weight(_ name: String, of model: Transformer) throws -> Tensor {
        guard let weight = model.weights[name] else {
            throw HoneError(.mismatch, "the base model has no such weight", item: name)
        }
        return weight
    }

    /// The graft that parameters hold; `nil` while they are whole weights.
    public static func graft(in parameters: ParameterSet, for model: TransformerConfiguration) -> Graft? {
        guard parameters.all.contains(where: { $0.name.hasSuffix(indices) }) else { return nil }
        let space = GraftSpace(model)
        let parts = space.entries.compactMap { entry -> Graft.Part? in
            guard let places = parameters[entry.name + indices], let values = parameters[entry.name + values] else {
                return nil
            }
            return Graft.Part(name: entry.name, shape: entry.shape, indices: places, values: values)
        }
        return Graft(parts: parts, selected: space.count)
    }

    static func set(_ graft: Graft, in parameters: inout ParameterSet) {
        for part in graft.parts {
            parameters.set(part.name + indices, part.indices, group: .state)
            parameters.set(part.name + values, part.values)
        }
    }

    /// Where the coordinates are.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] {
        guard let graft = Grafting.graft(in: parameters, for: model.configuration) else { return [] }
        return graft.figures(in: model.configuration)
    }

    /// The weights that differ.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? {
        guard let graft = Grafting.graft(in: parameters, for: model.configuration) else {
            return try WeightMethod.merged(parameters, model: model)
        }
        return try withoutGradients { try graft.weights(model).mapValues { try $0.to(model.dtype) } }
    }

    /// Writes the sparse difference, or whole weights where nothing was chosen.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        guard var graft = Grafting.graft(in: parameters, for: model.configuration) else {
            return try WeightMethod.write(parameters, for: model, to: folder)
        }
        graft.selected = try GraftSpace(model, task).count
        graft.base = try Graft.Base(of: graft, model: model.transformer)
        try GraftFile(graft).write(to: folder.path + "/weights.safetensors", for: model)
    }

    /// Reads what `write` has written.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: Grafting, parameters: ParameterSet)
    {
        let method = try Grafting(folder.settings(card))
        guard folder.tensorNames.contains(where: { $0.hasSuffix(indices) }) else {
            let whole = try WeightMethod.read(folder, for: model) { GraftSpace.holds($0, of: model.configuration) }
            return (method, whole)
        }
        var parameters = ParameterSet()
        set(try GraftFile.read(folder.tensorFile, for: model).graft, in: &parameters)
        return (method, parameters)
    }
}

extension GraftMask {
    /// Every bias of the layers and norms: the region that BitFit trains.
    public static func biases(_ space: GraftSpace, on device: Device) throws -> Tensor {
        try checkBiases(space)
        return try space.joined(.bool) { name in
            let shape = space.entries.first { $0.name == name }?.shape ?? []
            return try Tensor.full(shape, name.hasSuffix(".bias") ? 1 : 0, .bool, on: device)
        }
    }

    /// Refuses layers without biases.
    static func checkBiases(_ space: GraftSpace) throws {
        guard space.entries.contains(where: { $0.name.hasSuffix(".bias") }) else {
            throw HoneError(.mismatch, "this model's layers have no biases", item: "graft mask")
        }
    }
}
