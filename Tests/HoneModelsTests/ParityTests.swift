import HoneFormats
import HoneModels
import HoneTorch
import Testing

/// Every family against transformers: the tolerances are the noise floors of `float32` and `float64`.
struct ParityTests {
    static let names = encoders + causal
    static let encoders =
        [
            "bert-tiny", "bert-prefixed", "roberta", "roberta-far", "xlm-roberta", "distilbert",
            "distilbert-sinusoidal",
            "mpnet",
        ] + images
    /// The models of `Scripts/fixtures/images.py`.
    static let images = ["vit", "vit-oblong", "deit", "deit-taught"]
    static let causal = ["gpt2-tiny", "llama-tiny", "llama-untied"] + families
    /// The decoders of `Scripts/fixtures/families.py`.
    static let families = [
        "llama-linear", "llama-llama3", "llama-yarn", "smollm2", "mistral", "mistral-whole", "qwen2", "qwen2-window",
        "qwen3", "qwen3-window", "gpt2-by-layer", "gpt2-unscaled", "opt", "opt-after", "opt-plain", "neox",
        "neox-sequential",
    ]

    /// The sites whose states are `hidden.0 … hidden.N`.
    private func recorded(_ reference: Reference) throws -> [Tensor] {
        let layers = reference.model.configuration.layerCount
        let sites = ["embeddings"] + (0..<layers - 1).map { "layers.\($0)" } + ["states"]
        let recorders = sites.map { _ in StateRecorder() }
        var attachments = Attachments()
        for (site, recorder) in zip(sites, recorders) { attachments.states[site] = [recorder] }
        _ = try withoutGradients {
            try reference.model.transformer.attaching(attachments).states(reference.batch())
        }
        return recorders.compactMap(\.states.first)
    }

    @Test("gives the hidden states of the reference, layer by layer", arguments: names)
    func hiddenStates(name: String) throws {
        let reference = try Reference(name)
        let states = try recorded(reference)
        #expect(states.count == reference.model.configuration.layerCount + 1)
        for (layer, state) in states.enumerated() {
            let difference = try largestDifference(
                state, reference.tensor("hidden.\(layer)"), over: reference.batch())
            #expect(difference < 5e-5, "hidden.\(layer)")
            ParityRecord.add(name, "states", difference)
        }
    }

    @Test("gives the hidden states of the reference in float64", arguments: names)
    func exactHiddenStates(name: String) throws {
        let reference = try Reference(name, dtype: .float64)
        for (layer, state) in try recorded(reference).enumerated() {
            let difference = try largestDifference(
                state, reference.tensor("hidden64.\(layer)"), over: reference.batch())
            #expect(difference < 1e-10, "hidden64.\(layer)")
            ParityRecord.add(name, "states64", difference)
        }
    }

    @Test("gives the logits of the reference", arguments: causal)
    func logits(name: String) throws {
        for (suffix, dtype, tolerance) in [("", DType.float32, 5e-5), ("64", .float64, 1e-10)] {
            let reference = try Reference(name, dtype: dtype)
            let batch = try reference.batch()
            let logits = try withoutGradients {
                try reference.model.transformer.logits(reference.model.transformer.states(batch))
            }
            let difference = try largestDifference(logits, reference.tensor("logits" + suffix), over: batch)
            #expect(difference < tolerance)
            ParityRecord.add(name, "logits" + suffix, difference)
        }
    }

    @Test("gives the scores of the reference's classifiers of images", arguments: ["vit", "deit", "deit-taught"])
    func imageScores(name: String) throws {
        for (suffix, dtype, tolerance) in [("", DType.float32, 5e-5), ("64", .float64, 1e-10)] {
            let reference = try Reference(name, dtype: dtype)
            let classifier = try ImageClassifier(reference.model)
            #expect(classifier.labels == ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"])
            let scores = try withoutGradients {
                try classifier.scores(reference.model.transformer.states(reference.batch()))
            }
            let difference = try largestDifference(scores, reference.tensor("logits" + suffix))
            #expect(difference < tolerance)
            ParityRecord.add(name, "logits" + suffix, difference)
        }
    }

    @Test("gives the logits of the reference behind padding on the left", arguments: families)
    func leftPadding(name: String) throws {
        for (suffix, dtype, tolerance) in [("", DType.float32, 5e-5), ("64", .float64, 1e-10)] {
            let reference = try Reference(name, dtype: dtype)
            let batch = try TokenBatch(reference.rows("prompt_ids", mask: "prompt_mask"), side: .left)
            let logits = try withoutGradients {
                try reference.model.transformer.logits(reference.model.transformer.states(batch))
            }
            let difference = try largestDifference(logits, reference.tensor("left_logits" + suffix), over: batch)
            #expect(difference < tolerance)
            ParityRecord.add(name, "logits" + suffix, difference)
        }
    }

    @Test(
        "leaves the padding token out of the positions wherever it stands",
        arguments: ["roberta", "roberta-far", "xlm-roberta", "mpnet"])
    func positionlessToken(name: String) throws {
        let reference = try Reference(name)
        let states = try withoutGradients {
            try reference.model.transformer.states(
                TokenBatch([reference.tensor("inside_ids").elements(Int.self)]))
        }
        #expect(try largestDifference(states, reference.tensor("inside_hidden")) < 5e-5)
    }

    @Test("gives the loss and every gradient of the reference", arguments: names)
    func gradients(name: String) throws {
        let reference = try Reference(name)
        let weights = try reference.trainableWeights()
        let transformer = try Transformer(reference.model.configuration, weights: weights)
        let head = reference.model.configuration.isCausal ? [] : try reference.head()
        let loss = try reference.loss(transformer, head: head)
        #expect(try abs(loss.item() - reference.tensor("loss").item()) < 1e-5)
        try loss.backward()

        var compared: Set<String> = []
        let family = reference.model.family
        for weight in family.weightNames(reference.model.configuration) {
            let keys = ["gradient." + weight.source, "gradient." + family.prefix + weight.source]
            let key = try #require(keys.first { reference.tensors[$0] != nil }, "\(weight.source)")
            let ours = try weight.toFile(#require(weights[weight.name]?.gradient, "\(weight.name)"))
            let difference = try largestDifference(ours, reference.tensor(key))
            #expect(difference < 1e-4, "\(key)")
            ParityRecord.add(name, "gradients", difference)
            compared.insert(key)
        }
        for (tensor, key) in zip(head, ["gradient.head.weight", "gradient.head.bias"]) {
            #expect(try largestDifference(#require(tensor.gradient), reference.tensor(key)) < 1e-4, "\(key)")
            compared.insert(key)
        }
        #expect(compared == Set(reference.tensors.keys.filter { $0.hasPrefix("gradient.") }))
    }

    @Test("follows ten AdamW steps of the reference", arguments: names)
    func training(name: String) throws {
        let reference = try Reference(name)
        let weights = try reference.trainableWeights()
        let transformer = try Transformer(reference.model.configuration, weights: weights)
        let head = reference.model.configuration.isCausal ? [] : try reference.head()
        let parameters = reference.model.configuration.weightShapes.compactMap { weights[$0.name] } + head
        let expected = try reference.tensor("losses.adamw").elements(Double.self)
        var optimizer = try TestAdamW(parameters)
        for (step, target) in expected.enumerated() {
            let loss = try reference.loss(transformer, head: head)
            #expect(try abs(loss.item() - target) < 1e-5 * target, "step \(step)")
            try loss.backward()
            try optimizer.step()
        }
    }
}

/// The activations by the names of transformers' configs.
struct ActivationTests {
    private static let file = Reference.fixtures + "/activations.safetensors"
    static let names = ((try? TensorFiles.read(file)) ?? []).map(\.name).filter { name in
        name != "input" && !name.hasSuffix("64") && !name.hasSuffix(".gradient")
    }

    @Test("computes each activation and its gradient as the reference does", arguments: names)
    func activation(name: String) throws {
        let tensors = try Reference.tensors(Self.file)
        let activation = try #require(TransformerConfiguration.Activation(name: name))
        let input = try #require(tensors["input"])
        let leaf = try input.cloned().setRequiresGradient()
        let output = try activation(leaf)
        try output.sum().backward()
        #expect(try largestDifference(output, #require(tensors[name])) < 5e-6)
        #expect(try largestDifference(#require(leaf.gradient), #require(tensors[name + ".gradient"])) < 5e-6)
        // `gelu_fast` has a constant of ten digits.
        let exact = try activation(input.to(.float64))
        #expect(try largestDifference(exact, #require(tensors[name + "64"])) < (name == "gelu_fast" ? 1e-9 : 1e-12))
    }

    @Test func `knows every activation of the fixture, and none that has weights of its own`() {
        #expect(Self.names.count == 22)
        for name in ["prelu", "xielu", "geglu", ""] { #expect(TransformerConfiguration.Activation(name: name) == nil) }
    }
}

/// The reference's optimiser: AdamW at 1e-3 with betas 0.9 and 0.999, epsilon 1e-8, decay 0.01 on everything.
struct TestAdamW {
    private let parameters: [Tensor]
    private let means: [Tensor]
    private let squares: [Tensor]
    private let steps: [Tensor]
    private let epsilon: Double

    init(_ parameters: [Tensor], epsilon: Double = 1e-8) throws {
        self.epsilon = epsilon
        self.parameters = parameters
        means = try parameters.map { try Tensor.zeros($0.shape) }
        squares = try parameters.map { try Tensor.zeros($0.shape) }
        steps = try parameters.map { _ in try Tensor.zeros([1]) }
    }

    /// One step by the accumulated gradients, which are forgotten afterwards.
    mutating func step() throws {
        let gradients = parameters.compactMap(\.gradient)
        guard gradients.count == parameters.count else {
            throw HoneError(.mismatch, "a parameter has no gradient")
        }
        for count in steps { try count.addInPlace(Tensor.full([1], 1)) }
        try adamWStep(
            parameters: parameters, gradients: gradients, means: means, squares: squares, steps: steps,
            learningRate: 1e-3, beta1: 0.9, beta2: 0.999, weightDecay: 0.01, epsilon: epsilon)
        for parameter in parameters { parameter.clearGradient() }
    }
}
