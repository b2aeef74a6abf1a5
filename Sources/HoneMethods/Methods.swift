import HoneFormats

/// The methods that Hone has.
public enum Methods {
    /// Every method; a new one is added here.
    public static let all: [any Method.Type] = [
        LinearProbe.self,
        InContextExamples.self,
        PromptTuning.self,
        PrefixTuning.self,
        DePT.self,
        EPT.self,
        IA3.self,
        BitFit.self,
        LayerNormTuning.self,
        BottleneckAdapters.self,
        LoRA.self,
        // Before Poly, so that PEFT's adapters of either are read, whatever their splits.
        MultiHeadRouting.self,
        Poly.self,
        Grafting.self,
        AdaLoRA.self,
        TriAdaptLoRA.self,
        LoFiT.self,
        SoftInjection.self,
        FunctionVector.self,
        TaskVector.self,
        FullFineTuning.self,
    ]

    /// The names of those that `fit` tries without being asked.
    public static var triedByDefault: [String] { all.filter { $0.card.isTriedByDefault }.map { $0.card.name } }

    /// The method of a name.
    ///
    /// - Throws: `HoneError` with code `.usage` that lists the methods there are.
    public static func named(_ name: String) throws -> any Method.Type {
        guard let method = all.first(where: { $0.card.name == name }) else {
            let known = all.map { $0.card.name }.joined(separator: ", ")
            throw HoneError(.usage, "there is no method `\(name)`; the methods are \(known)", item: "method")
        }
        return method
    }

    /// A method of a name with settings typed as `key=value`.
    public static func make(_ name: String, typed: [String: String] = [:], json: JSON = .null) throws -> any Method {
        let type = try named(name)
        return try type.init(MethodSettings(type.card, typed: typed, json: json))
    }
}
