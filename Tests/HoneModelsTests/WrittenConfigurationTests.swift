import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch
import Testing

/// `adapter_config.json` of every adapter that PEFT saved, read and written again. Hone takes ranks and shapes from the tensors, so that a
/// wrong field need not change an output of its own; PEFT believes the file.
struct WrittenConfigurationTests {
    static let names = ((try? FileManager.default.contentsOfDirectory(atPath: Reference.fixtures)) ?? [])
        .filter { $0.hasPrefix("adapter-") }.map { String($0.dropFirst("adapter-".count)) }.sorted()

    private func fields(_ folder: String) throws -> JSONObject {
        try #require(JSON.read(file: folder + "/" + AdapterConfiguration.fileName).object)
    }

    @Test func `there is an adapter of every type that Hone reads`() throws {
        let types = try Self.names.compactMap { try fields(Reference.fixtures + "/adapter-" + $0)["peft_type"]?.string }
        #expect(Set(types) == Set(Methods.all.compactMap { $0.card.peftType }))
    }

    @Test(arguments: names)
    func `every field of the file is written again as it was`(name: String) throws {
        let source = Reference.fixtures + "/adapter-" + name
        try withTemporaryFolder { folder in
            try AdapterConfiguration.read(folder: source).write(folder: folder)
            let (before, after) = try (fields(source), fields(folder))
            #expect(Set(after.keys) == Set(before.keys))
            for field in before.keys { #expect(after[field] == before[field], "\(field)") }
        }
    }

    /// Fields that say what is computed, or how training goes on, and have one value for the whole adapter.
    private static let whole: [String: [String]] = [
        "LORA": ["r", "lora_alpha", "lora_dropout", "bias", "use_rslora", "use_dora", "fan_in_fan_out"],
        "ADALORA": [
            "lora_alpha", "lora_dropout", "bias", "init_r", "target_r", "tinit", "tfinal", "deltaT", "beta1", "beta2",
            "orth_reg_weight", "total_step", "use_rslora", "use_dora", "fan_in_fan_out",
        ],
        "IA3": ["fan_in_fan_out"],
        "LN_TUNING": [],
        "POLY": ["r", "n_tasks", "n_skills", "n_splits", "poly_type"],
        "PROMPT_TUNING": ["num_virtual_tokens", "token_dim", "num_transformer_submodules"],
        "PREFIX_TUNING": [
            "num_virtual_tokens", "token_dim", "num_layers", "num_attention_heads", "num_transformer_submodules",
            "prefix_projection", "encoder_hidden_size",
        ],
    ]

    @Test(arguments: names)
    func `a method that has read an adapter writes the fields that decide what PEFT computes`(name: String) throws {
        let loaded = try AdapterFixture(name)
        let before = try fields(loaded.folder)
        let after = try withTemporaryFolder { folder in
            try loaded.write(loaded.parameters, to: folder)
            return try fields(folder)
        }
        let type = try #require(before["peft_type"]?.string)
        #expect(after["peft_type"]?.string == type)
        for field in try #require(Self.whole[type]) {
            // Of a prompt for both stacks, the rows that nothing reads are left out: it is for one of them now.
            let isLeftOut = name == "t5-prompt-twice" && field == "num_transformer_submodules"
            let expected: JSON? = isLeftOut ? 1 : before[field]
            #expect(after[field] == expected, "\(field)")
        }
        // Hone writes modules by their full names, whatever names or patterns it has read.
        let reference = loaded.reference.model
        let linear = reference.family.modules(reference.configuration).map(\.module)
        let modules = linear + reference.family.modulesOfNorms(reference.configuration).map(\.module)
        for field in ["target_modules", "feedforward_modules"] {
            let named = try [before, after].map { try matched($0[field], among: modules) }
            #expect(named[0] == named[1], "\(field)")
        }
        for module in try matched(before["target_modules"], among: modules) {
            if type == "LORA" {
                for (pattern, field) in [("rank_pattern", "r"), ("alpha_pattern", "lora_alpha")] {
                    let values = try [before, after].map { try own(module, pattern, in: $0) ?? $0[field]?.number }
                    #expect(values[0] == values[1] && values[0] != nil, "\(field) of \(module)")
                }
            } else if type == "ADALORA" {
                // Which of a module's first triplets were dropped is of no use: how many are left is.
                let kept = try [before, after].map { json -> Int? in
                    guard let pattern = json["rank_pattern"]?.object else { return json["init_r"]?.integer }
                    return try #require(pattern[module + ".lora_E"]?.array).count { $0 == true }
                }
                #expect(kept[0] == kept[1] && kept[0] != nil, "\(module)")
            }
        }
    }

    /// The modules that a list names, as PEFT matches them: by the whole name or by its end.
    private func matched(_ names: JSON?, among modules: [String]) throws -> Set<String> {
        guard let names, !names.isNull else { return [] }
        let list = try #require(names.array).compactMap(\.string)
        return Set(modules.filter { module in list.contains { module == $0 || module.hasSuffix("." + $0) } })
    }

    /// The value that a pattern gives a module; the first that matches counts.
    private func own(_ module: String, _ pattern: String, in json: JSONObject) throws -> Double? {
        let overrides = try #require(json[pattern]?.object)
        return overrides.pairs.first { module == $0.key || module.hasSuffix("." + $0.key) }?.value.number
    }
}
