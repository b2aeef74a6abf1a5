import HoneFormats
import Testing

@Suite struct AdapterConfigurationTests {
    @Test("reads what PEFT saved and writes it again byte for byte", arguments: ["lora", "dora", "adalora", "prompt"])
    func roundTrip(_ name: String) throws {
        let configuration = try AdapterConfiguration.read(folder: fixture(name))
        try withTemporaryFolder { folder in
            try configuration.write(folder: folder)
            let written = try FileBytes.read("\(folder)/adapter_config.json")
            #expect(written == (try FileBytes.read(fixture("\(name)/adapter_config.json"))))
        }
    }

    @Test("reads every field of a LoRA that PEFT saved")
    func lora() throws {
        let configuration = try AdapterConfiguration.read(folder: fixture("lora"))
        #expect(configuration.taskType == .sequenceClassification)
        #expect(configuration.baseModel == "base/model")
        guard case .lora(let lora) = configuration.method else {
            Issue.record("not LoRA")
            return
        }
        guard case .names(let names) = lora.targetModules else {
            Issue.record("not a list")
            return
        }
        #expect(Set(names) == ["q_proj", "v_proj"])
        let expected = LoRAConfiguration(
            rank: 4, alpha: 16, dropout: 0.05, bias: .adaptedModules, isRankStabilized: true,
            targetModules: .names(names),
            modulesToSave: ["classifier"], rankOverrides: [.init(pattern: "layers.0.q_proj", value: 2)],
            alphaOverrides: [.init(pattern: "layers.0.q_proj", value: 4.5)])
        #expect(lora == expected)
        #expect(configuration.other["peft_version"] == "0.21.2")
        #expect(configuration.other["r"] == nil)
    }

    @Test("reads a pattern of modules, DoRA and the layout of GPT-2")
    func dora() throws {
        let configuration = try AdapterConfiguration.read(folder: fixture("dora"))
        let expected = LoRAConfiguration(
            isWeightDecomposed: true, isFanInFanOut: true, targetModules: .pattern(#".*\.(c_attn|c_proj)"#))
        #expect(configuration.method == .lora(expected))
    }

    @Test("reads AdaLoRA with the triplets that are kept")
    func adaLoRA() throws {
        let expected = AdaLoRAConfiguration(
            lora: LoRAConfiguration(alpha: 16, targetModules: .names(["q_proj"])), initialRank: 3, targetRank: 2,
            initialSteps: 10, finalSteps: 20, interval: 5, sensitivityDecay: 0.8, orthogonality: 0.1, totalSteps: 100,
            kept: [
                .init(module: "layers.0.q_proj", isKept: [true, false, true]),
                .init(module: "layers.1.q_proj", isKept: [false, true, true]),
            ])
        #expect(try AdapterConfiguration.read(folder: fixture("adalora")).method == .adaLoRA(expected))
    }

    @Test("reads prompt tuning")
    func prompt() throws {
        let expected = PromptTuningConfiguration(
            virtualTokens: 8, tokenDimension: 16, layers: 2, attentionHeads: 4, transformerSubmodules: 1)
        #expect(try AdapterConfiguration.read(folder: fixture("prompt")).method == .promptTuning(expected))
    }

    @Test("takes PEFT's defaults where fields are absent or null")
    func defaults() throws {
        let configuration = try AdapterConfiguration(json: [
            "peft_type": "LORA", "rank_pattern": .null, "task_type": .null,
        ])
        #expect(configuration.method == .lora(LoRAConfiguration()))
        #expect(configuration.taskType == nil)
    }

    @Test("keeps unknown fields, and its own win over those of the same name in them")
    func unknownFields() throws {
        var configuration = try AdapterConfiguration(json: [
            "peft_type": "LORA", "future": [1, 2], "eva_config": .null,
        ])
        #expect(configuration.other.keys == ["future", "eva_config"])
        configuration.other["r"] = 99
        #expect(configuration.json["r"] == 8)
        #expect(configuration.json["future"] == [1, 2])
        #expect(configuration.json["inference_mode"] == true)
    }

    static let refused: [(json: JSON, item: String, words: String)] = [
        ([], "", "expected an object"),
        ([:], "peft_type", "missing"),
        (["peft_type": 1], "peft_type", "expected a string, found a number"),
        (["peft_type": "LOHA"], "peft_type", "of type \"LOHA\""),
        (
            ["peft_type": "lora"], "peft_type",
            "Hone reads LORA, ADALORA, IA3, LN_TUNING, POLY, PROMPT_TUNING, PREFIX_TUNING"
        ),
        (["peft_type": "LORA", "task_type": "DANCING"], "task_type", "none of SEQ_CLS"),
        (["peft_type": "LORA", "r": 0], "r", "0 is not between 1 and 65536"),
        (["peft_type": "LORA", "r": -4], "r", "not between"),
        (["peft_type": "LORA", "r": 2.5], "r", "expected a whole number, found 2.5"),
        (["peft_type": "LORA", "r": .integer(.max)], "r", "not between"),
        (["peft_type": "LORA", "r": "8"], "r", "expected a whole number, found a string"),
        (["peft_type": "LORA", "lora_alpha": 0], "lora_alpha", "change nothing"),
        (["peft_type": "LORA", "lora_alpha": 1e30], "lora_alpha", "not between"),
        (["peft_type": "LORA", "lora_alpha": []], "lora_alpha", "expected a number"),
        (["peft_type": "LORA", "lora_dropout": 1.5], "lora_dropout", "not between 0.0 and 1.0"),
        (["peft_type": "LORA", "lora_dropout": -0.1], "lora_dropout", "not between"),
        (["peft_type": "LORA", "bias": "some"], "bias", "none of none, all, lora_only"),
        (["peft_type": "LORA", "use_dora": 1], "use_dora", "expected true or false"),
        (["peft_type": "LORA", "target_modules": 3], "target_modules", "a list of strings or a pattern"),
        (["peft_type": "LORA", "target_modules": ""], "target_modules", "empty"),
        (["peft_type": "LORA", "target_modules": ["q", 1]], "target_modules", "expected strings"),
        (["peft_type": "LORA", "modules_to_save": "head"], "modules_to_save", "expected a list"),
        (["peft_type": "LORA", "rank_pattern": [1]], "rank_pattern", "expected an object"),
        (["peft_type": "LORA", "rank_pattern": ["q": 0]], "rank_pattern.q", "not between"),
        (["peft_type": "LORA", "alpha_pattern": ["q": "x"]], "alpha_pattern.q", "expected a number"),
        (["peft_type": "LORA", "lora_bias": true], "lora_bias", "does not compute"),
        (["peft_type": "LORA", "layer_replication": [[0, 2]]], "layer_replication", "does not compute"),
        (
            ["peft_type": "LORA", "init_lora_weights": "pissa_niter_4"], "init_lora_weights",
            "changed by \"pissa_niter_4\""
        ),
        (["peft_type": "IA3", "target_modules": 3], "target_modules", "a list of strings or a pattern"),
        (["peft_type": "IA3", "feedforward_modules": [1]], "feedforward_modules", "expected strings"),
        (["peft_type": "PREFIX_TUNING"], "num_virtual_tokens", "missing"),
        (
            ["peft_type": "PREFIX_TUNING", "num_virtual_tokens": 8, "encoder_hidden_size": 0], "encoder_hidden_size",
            "not between"
        ),
        (["peft_type": "ADALORA"], "total_step", "missing"),
        (["peft_type": "ADALORA", "total_step": 0], "total_step", "not between"),
        (["peft_type": "ADALORA", "total_step": 9, "tinit": 5, "tfinal": 4], "tinit", "leaves no step"),
        (["peft_type": "ADALORA", "total_step": 9, "init_r": 0], "init_r", "not between"),
        (["peft_type": "ADALORA", "total_step": 9, "deltaT": 0], "deltaT", "not between"),
        (["peft_type": "ADALORA", "total_step": 9, "beta1": 1.5], "beta1", "not between"),
        (["peft_type": "ADALORA", "total_step": 9, "use_dora": true], "use_dora", "no weight-decomposed form"),
        (["peft_type": "ADALORA", "total_step": 9, "rank_pattern": [1]], "rank_pattern", "expected an object"),
        (
            ["peft_type": "ADALORA", "total_step": 9, "rank_pattern": ["q.lora_E": 3]], "rank_pattern.q.lora_E",
            "truth values"
        ),
        (
            ["peft_type": "ADALORA", "total_step": 9, "rank_pattern": ["q": [true]]], "rank_pattern.q",
            "ends with .lora_E"
        ),
        (["peft_type": "PROMPT_TUNING"], "num_virtual_tokens", "missing"),
        (["peft_type": "PROMPT_TUNING", "num_virtual_tokens": 0], "num_virtual_tokens", "not between"),
        (["peft_type": "PROMPT_TUNING", "num_virtual_tokens": 8, "token_dim": -1], "token_dim", "not between"),
        (
            ["peft_type": "PROMPT_TUNING", "num_virtual_tokens": 8, "num_transformer_submodules": 3],
            "num_transformer_submodules", "not between"
        ),
    ]

    @Test("refuses by field", arguments: refused)
    func refuses(_ json: JSON, _ item: String, _ words: String) {
        let error = refusal { try AdapterConfiguration(json: json, file: "adapter_config.json") }
        #expect(error?.item ?? "" == item)
        #expect(error?.file == "adapter_config.json")
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }

    @Test("refuses to write what it could not read")
    func refusesToWrite() throws {
        let configuration = AdapterConfiguration(method: .lora(LoRAConfiguration(rank: 0)))
        try withTemporaryFolder { folder in
            let error = refusal { try configuration.write(folder: folder) }
            #expect(error?.item == "r")
            expectRefusal { try FileBytes.read("\(folder)/adapter_config.json") }
        }
    }
}
