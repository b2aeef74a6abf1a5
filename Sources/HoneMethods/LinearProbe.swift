import HoneFormats
import HoneModels
import HoneTorch

/// A method that is solved on features of the frozen model instead of trained by steps.
public protocol SolverMethod: Method {
    /// Solves for features and classes.
    ///
    /// - Parameters:
    ///   - features: pooled vectors of the frozen model, `[rows, width]`, `float32`.
    ///   - labels: the class of each row.
    func solve(features: Tensor, labels: [Int], classes: Int) throws -> ParameterSet
    /// The variants that a search tries, this one among them.
    var variants: [Self] { get }
}

extension SolverMethod {
    /// Solves for rows of a classification, on what the frozen model makes of them.
    public func solve(
        _ rows: [EncodedExample], on model: BaseModel, labels: [String], encoding: ExampleEncoder.Options
    ) throws -> ParameterSet {
        let bare = Adapter(
            method: self, task: .classification(classes: labels.count), labels: labels, parameters: ParameterSet(),
            encoding: encoding)
        return try solve(
            features: Specialist(base: model, adapter: bare).features(rows), labels: rows.map { $0.label ?? 0 },
            classes: labels.count)
    }
}

/// Multinomial logistic regression on the frozen model's pooled vectors: what is already in the representation.
public struct LinearProbe: SolverMethod {
    /// What it is.
    public static let card = MethodCard(
        name: "probe", title: "Linear probe",
        summary: "Logistic regression on the frozen model's sentence vectors.",
        advice: "Always the first thing to try: seconds of work, and the bar that every other method has to clear. "
            + "Only for classification.",
        paper: "Alain and Bengio 2016, arXiv 1610.01644", training: .solver, costRank: 1,
        settings: [
            Setting(
                "strength", .real(10, 1e-6...1e6),
                "The inverse weight of the penalty, as scikit-learn's C; smaller is smoother."),
            Setting(
                "normalise", .flag(true),
                "Look at the direction of a vector only, as sentence encoders are trained to be compared."),
        ], isTriedByDefault: true)

    /// The values of the settings.
    public let settings: MethodSettings

    /// A probe with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    /// Only for classification.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        guard case .classification = task else {
            throw HoneError(.mismatch, "a probe can only classify", item: "probe")
        }
    }

    /// Three strengths around the default.
    public var variants: [LinearProbe] {
        [3, 10, 30].compactMap { strength in
            (try? MethodSettings(
                LinearProbe.card, json: ["strength": .number(strength), "normalise": .bool(settings.flag("normalise"))]))
                .map(LinearProbe.init)
        }
    }

    /// Solves the regression.
    public func solve(features: Tensor, labels: [Int], classes: Int) throws -> ParameterSet {
        let regression = LogisticRegression(strength: settings.real("strength"))
        var parameters = ParameterSet()
        if settings.flag("normalise") {
            let directions = try ClassificationHead.normalised(features)
            let solved = try regression.solve(features: directions, labels: labels, classes: classes)
            // The usual length is kept in the scale, so that the weights are of the size that training starts from.
            let length = try max(1e-6, features.norm([1]).mean().item())
            parameters.set(ClassificationHead.weight, try solved.weight / length, group: .head)
            parameters.set(ClassificationHead.bias, solved.bias, group: .head)
            parameters.set(
                ClassificationHead.scale, try Tensor([Float(length)], on: features.device), group: .head)
            return parameters
        }
        let solved = try regression.solve(features: features, labels: labels, classes: classes)
        parameters.set(ClassificationHead.weight, solved.weight, group: .head)
        parameters.set(ClassificationHead.bias, solved.bias, group: .head)
        return parameters
    }

    /// Nothing besides the head.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        ParameterSet()
    }

    /// Nothing is attached: the model stays as it is.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        Attachments()
    }

    /// The base itself.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { [:] }

    /// Nothing besides the head, which every adapter folder carries.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {}

    /// Reads the settings.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: LinearProbe, parameters: ParameterSet)
    {
        (try LinearProbe(folder.settings(card)), ParameterSet())
    }
}
