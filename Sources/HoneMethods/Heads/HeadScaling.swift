import HoneFormats
import HoneModels
import HoneTorch

/// The first stage of LoFiT: every head's output `z` becomes `(1 + A) ⊙ z`, and the sum of `|A|` is held small, so that only heads
/// which the task wants changed keep an `A` of some size (Yin, Ye and Durrett 2024, section 3.1).
///
/// It is trained for its scores and then thrown away; it is no method of the list.
struct HeadScaling: Method {
    static let card = MethodCard(
        name: "lofit-selection", title: "Selection of heads", summary: "Scales heads' outputs to find which matter.",
        advice: "A stage of lofit.", paper: "Yin, Ye and Durrett 2024, arXiv 2406.01563", training: .gradient,
        costRank: 3)

    let settings: MethodSettings
    /// What the sum of absolute values is multiplied by.
    let penaltyFactor: Double
    /// The spread of the initial values.
    let deviation: Double

    init(_ settings: MethodSettings) { self.init(settings, penaltyFactor: 0, deviation: 1e-3) }

    init(_ settings: MethodSettings, penaltyFactor: Double, deviation: Double) {
        self.settings = settings
        self.penaltyFactor = penaltyFactor
        self.deviation = deviation
    }

    private static let suffix = ".scale"

    func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        var parameters = ParameterSet()
        for site in model.configuration.headSites {
            let noise = try random.normal([site.count, site.width], standardDeviation: deviation)
            parameters.set(site.path + HeadScaling.suffix, try noise.to(model.transformer.device))
        }
        return parameters
    }

    private static func sites(_ parameters: ParameterSet) -> [(path: String, scale: Tensor)] {
        parameters.all.filter { $0.name.hasSuffix(suffix) && $0.group == .adapter }
            .map { (String($0.name.dropLast(suffix.count)), $0.tensor) }
    }

    func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws -> Attachments {
        var attachments = Attachments()
        for (path, scale) in HeadScaling.sites(parameters) { attachments.states[path] = [Scaling(scale: scale)] }
        return attachments
    }

    func penalty(_ parameters: ParameterSet) throws -> Tensor? {
        guard penaltyFactor > 0 else { return nil }
        let sums = try HeadScaling.sites(parameters).map { try $0.scale.abs().sum() }
        guard let first = sums.first else { return nil }
        return try sums.dropFirst().reduce(first) { try $0 + $1 } * penaltyFactor
    }

    /// How far each head was changed: the length of its part of `A`, by site.
    static func scores(_ parameters: ParameterSet) throws -> [String: [Double]] {
        try withoutGradients {
            var scores: [String: [Double]] = [:]
            for (path, scale) in sites(parameters) {
                scores[path] = try scale.detached().norm([1]).elements(Float.self).map { Double($0) }
            }
            return scores
        }
    }

    func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { nil }

    func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        throw HoneError(.unsupported, "the selection of heads is a stage of lofit and is not kept", item: name)
    }

    static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws -> (
        method: HeadScaling, parameters: ParameterSet
    ) {
        throw HoneError(.unsupported, "the selection of heads is a stage of lofit and is not kept", item: card.name)
    }

    private struct Scaling: StateAttachment {
        /// `[heads, width]`
        let scale: Tensor

        var actsOnTokens: Bool { true }
        var isDeterministic: Bool { true }

        func state(_ state: Tensor) throws -> Tensor { try state * (scale + 1).to(state.dtype) }
    }
}
