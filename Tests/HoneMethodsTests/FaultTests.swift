import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import Synchronization
import Testing

/// A method with one fault of choice, to see that the matrix sees it.
struct Faulty: Method {
    static let card = MethodCard(
        name: "faulty", title: "Faulty", summary: "Does one thing wrong.", advice: "Never take it.", paper: "none",
        training: .gradient, costRank: 9, learningRates: [2e-2],
        settings: [
            Setting("fault", .choice("none", ["none", "leaks", "merges", "batch", "memory", "idle"]), "What is wrong.")
        ])
    /// Something that changes between steps and that no checkpoint knows of.
    private final class Memory: Sendable {
        let calls = Mutex(0)
    }
    private struct MinusBatchMean: StateAttachment {
        func state(_ state: Tensor) throws -> Tensor { try state - state.mean([0], keepDimensions: true) * 0.1 }
    }
    private struct Scaled: StateAttachment {
        let factor: Double
        func state(_ state: Tensor) throws -> Tensor { try state * factor }
    }

    let settings: MethodSettings
    private let memory = Memory()
    private let inner: BitFit

    init(_ settings: MethodSettings) {
        self.settings = settings
        guard let plain = try? MethodSettings(BitFit.card) else { preconditionFailure("BitFit has no settings") }
        inner = BitFit(plain)
    }

    private var fault: String { settings.choice("fault") }

    func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        var parameters = try inner.initialParameters(for: model, random: &random)
        if fault == "idle" { parameters.set("never used", try Tensor.zeros([2])) }
        return parameters
    }

    func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws -> Attachments {
        var biases = ParameterSet()
        for parameter in parameters.all where parameter.name != "never used" {
            biases.set(parameter.name, parameter.tensor, group: parameter.group)
        }
        var attachments = try inner.attachments(biases, model: model, dropout: dropout)
        if fault == "leaks", dropout != nil {
            try withoutGradients { try model.weights["layers.0.mlp.up.weight"]?.multiplyInPlace(1.001) }
        }
        if fault == "batch" { attachments.states["layers.0"] = [MinusBatchMean()] }
        if fault == "memory", dropout != nil {
            let calls = memory.calls.withLock { calls in
                calls += 1
                return calls
            }
            attachments.states["layers.0"] = [Scaled(factor: 1 + 0.01 * Double(calls))]
        }
        return attachments
    }

    func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? {
        let merged = try inner.mergedWeights(parameters, model: model)
        return fault == "merges" ? try merged?.mapValues { try $0 * 1.01 } : merged
    }

    func write(_ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter) throws
    {
        try inner.write(parameters, for: model, task: task, to: folder)
    }

    static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: Faulty, parameters: ParameterSet)
    {
        (try Faulty(MethodSettings(card)), try BitFit.read(folder, for: model).parameters)
    }
}

/// A matrix that finds nothing in anything would be worthless.
@Suite struct FaultTests {
    private func checks(_ fault: String, on model: TinyModel = .bert) throws -> Set<Conformance.Check> {
        var row = ConformanceRow(
            Faulty(try MethodSettings(Faulty.card, typed: ["fault": fault])), startsAtBase: fault != "batch"
        ) { model in
            model.weightShapes.reduce(0) { $0 + ($1.name.hasSuffix(".bias") ? $1.shape[0] : 0) }
        }
        row.steps = 30
        row.largestShare = 0.95
        let findings = try Conformance.findings(row, on: model, task: .classification())
        // The method is not in the list of methods, so nothing can read its folder back.
        return Set(findings.map(\.check)).subtracting([.survivesFiles, .refusesWrongFiles])
    }

    @Test func `nothing is found where nothing is wrong`() throws { #expect(try checks("none").isEmpty) }

    // On GPT-2, whose linear maps are copies that lie turned: what is mapped from the file cannot be written to at all.
    @Test func `a base that training changes is found`() throws {
        #expect(try checks("leaks", on: .gpt2).contains(.leavesTheBase))
    }

    @Test func `a merge that computes something else is found`() throws {
        #expect(try checks("merges") == [.mergesExactly, .exportsWhole])
    }

    @Test func `rows that influence one another are found`() throws {
        #expect(try checks("batch").isSuperset(of: [.ignoresPadding, .accumulates]))
    }

    @Test func `a state that no checkpoint holds is found`() throws {
        #expect(try checks("memory").contains(.resumesExactly))
    }

    @Test func `a parameter that nothing trains, and that the row does not count, is found`() throws {
        #expect(try checks("idle") == [.learns, .countsParameters, .exportsWhole])
    }
}
