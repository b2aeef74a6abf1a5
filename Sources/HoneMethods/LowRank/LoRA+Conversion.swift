import HoneFormats
import HoneModels
import HoneTorch

extension Adapter {
    /// The same adapter as a plain LoRA, with a rank and a scale of its own for each map: what PEFT reads of a method that it does
    /// not have.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where the method changes more than linear maps by low rank, or nothing at all.
    public func asLoRA() throws -> Adapter {
        guard let factors = try withoutGradients({ try method.lowRankFactors(parameters) }) else {
            throw HoneError(
                .mismatch, "what this method learns is more than low-rank changes of linear maps, which a LoRA is",
                item: method.name)
        }
        let changed = factors.filter { $0.rank > 0 }
        guard let most = changed.max(by: { $0.rank < $1.rank }) else {
            throw HoneError(.mismatch, "changes no map: nothing is left to be written", item: method.name)
        }
        var json = JSONObject()
        json["rank"] = .integer(most.rank)
        json["alpha"] = .number(most.scale * Double(most.rank))
        json["targets"] = .array(changed.map { .string($0.path) })
        json["dropout"] = method.settings.json["dropout"] ?? 0
        var plain = ParameterSet()
        for own in changed {
            plain.set(own.path + ".lora_A", try own.down.detached().contiguous())
            plain.set(own.path + ".lora_B", try own.up.detached().contiguous())
        }
        for parameter in parameters.all where parameter.group == .head {
            plain.set(parameter.name, parameter.tensor, group: .head)
        }
        var adapter = self
        adapter.method = LoRA(
            try MethodSettings(LoRA.card, json: .object(json)),
            scales: Dictionary(changed.map { ($0.path, $0.scale) }) { first, _ in first })
        adapter.parameters = plain
        return adapter
    }
}
