import HoneFormats
import HoneModels
import HoneTorch
import Testing

/// Encoder-decoders against transformers. `Scripts/fixtures/encoder_decoders.py` says what the tensors are.
struct EncoderDecoderTests {
    static let names = ["t5-tiny", "t5-gated", "bart-tiny", "bart-scaled"]

    /// A fixture with what its decoder is given.
    private struct Pair {
        let reference: Reference
        let inputs: TokenBatch
        let outputs: TokenBatch

        init(_ name: String, dtype: DType = .float32) throws {
            reference = try Reference(name, dtype: dtype)
            inputs = try reference.batch()
            outputs = try TokenBatch(reference.rows("decoder_input_ids", mask: "decoder_attention_mask"))
        }

        var transformer: Transformer { reference.model.transformer }

        func decoded(_ transformer: Transformer) throws -> Tensor {
            try transformer.states(outputs, memory: transformer.memory(of: inputs))
        }

        func loss(_ transformer: Transformer) throws -> Tensor {
            let logits = try transformer.logits(decoded(transformer))
            let labels = try reference.tensor("labels")
            let count = try labels.notEqual(-100).to(.int64).sum().item()
            return try logits.reshaped([-1, logits.size(-1)]).crossEntropySum(labels.reshaped([-1])) / count
        }
    }

    /// The states of a stack that the reference calls `stack.0 … stack.N`.
    private func recorded(_ pair: Pair, stack: String) throws -> [Tensor] {
        let configuration = pair.reference.model.configuration
        let layers = try #require(configuration.stacks.first { $0.prefix == stack + "." }).layerCount
        let sites = ["embeddings"] + (0..<layers - 1).map { "layers.\($0)" } + ["states"]
        let recorders = sites.map { _ in StateRecorder() }
        var attachments = Attachments()
        for (site, recorder) in zip(sites, recorders) { attachments.states[stack + "." + site] = [recorder] }
        _ = try withoutGradients { try pair.decoded(pair.transformer.attaching(attachments)) }
        return recorders.compactMap(\.states.first)
    }

    @Test("gives the hidden states of both stacks, layer by layer, and the logits", arguments: names)
    func states(name: String) throws {
        for (suffix, dtype, tolerance) in [("", DType.float32, 5e-5), ("64", .float64, 1e-10)] {
            let pair = try Pair(name, dtype: dtype)
            for (stack, batch) in [("encoder", pair.inputs), ("decoder", pair.outputs)] {
                let states = try recorded(pair, stack: stack)
                #expect(pair.reference.tensors["\(stack)\(suffix).\(states.count)"] == nil && states.count > 1)
                for (layer, state) in states.enumerated() {
                    let expected = try pair.reference.tensor("\(stack)\(suffix).\(layer)")
                    let difference = try largestDifference(state, expected, over: batch)
                    #expect(difference < tolerance, "\(stack)\(suffix).\(layer)")
                    ParityRecord.add(name, "states" + suffix, difference)
                }
            }
            let logits = try withoutGradients { try pair.transformer.logits(pair.decoded(pair.transformer)) }
            let expected = try pair.reference.tensor("logits" + suffix)
            let difference = try largestDifference(logits, expected, over: pair.outputs)
            #expect(difference < tolerance)
            ParityRecord.add(name, "logits" + suffix, difference)
        }
    }

    @Test("gives the loss and every gradient of the reference", arguments: names)
    func gradients(name: String) throws {
        let pair = try Pair(name)
        let weights = try pair.reference.trainableWeights()
        let loss = try pair.loss(Transformer(pair.reference.model.configuration, weights: weights))
        #expect(try abs(loss.item() - pair.reference.tensor("loss").item()) < 1e-5)
        try loss.backward()
        var compared: Set<String> = []
        let family = pair.reference.model.family
        for weight in family.weightNames(pair.reference.model.configuration)
        where weight.name != TransformerConfiguration.headOffset {
            let keys = ["gradient." + weight.source, "gradient." + family.prefix + weight.source]
            let key = try #require(keys.first { pair.reference.tensors[$0] != nil }, "\(weight.source)")
            let ours = try #require(weights[weight.name]?.gradient, "\(weight.name)")
            let difference = try largestDifference(ours, pair.reference.tensor(key))
            #expect(difference < 1e-4, "\(key)")
            ParityRecord.add(name, "gradients", difference)
            compared.insert(key)
        }
        #expect(compared == Set(pair.reference.tensors.keys.filter { $0.hasPrefix("gradient.") }))
    }

    @Test("follows ten AdamW steps of the reference", arguments: names)
    func training(name: String) throws {
        let pair = try Pair(name)
        let configuration = pair.reference.model.configuration
        var weights = try pair.reference.trainableWeights()
        weights[TransformerConfiguration.headOffset] =
            pair.transformer.weights[TransformerConfiguration.headOffset]
        let transformer = try Transformer(configuration, weights: weights)
        let parameters = configuration.weightShapes.filter { $0.name != TransformerConfiguration.headOffset }
            .compactMap { weights[$0.name] }
        var optimizer = try TestAdamW(parameters)
        for (step, target) in try pair.reference.tensor("losses.adamw").elements(Double.self).enumerated() {
            let loss = try pair.loss(transformer)
            #expect(try abs(loss.item() - target) < 1e-5 * target, "step \(step)")
            try loss.backward()
            try optimizer.step()
        }
    }

    @Test("writes the 64 tokens of the reference, for inputs of different length", arguments: names)
    func greedy(name: String) throws {
        let reference = try Reference(name)
        var options = GenerationOptions()
        options.maximumNewTokens = 64
        let inputs = try reference.rows("prompt_ids", mask: "prompt_mask")
        let transformer = reference.model.transformer
        let expected = try reference.tensor("generated_ids")
        let rows = try (0..<expected.size(0)).map { try expected.at($0).elements(Int.self) }
        let made = try transformer.generate(from: inputs, padId: 0, options: options)
        #expect(made == rows)
        if made == rows { ParityRecord.add(name, "tokens", Double(expected.size(1))) }
        for (input, row) in zip(inputs, rows) {
            #expect(try transformer.generate(from: [input], padId: 5, options: options) == [row])
        }
    }

    @Test("finds the reference's best of four beams", arguments: names)
    func beams(name: String) throws {
        let reference = try Reference(name)
        var options = GenerationOptions()
        options.maximumNewTokens = 24
        options.beams = 4
        let expected = try reference.tensor("beam_ids")
        let made = try reference.model.transformer.generate(
            from: reference.rows("prompt_ids", mask: "prompt_mask"), padId: 0, options: options)
        #expect(try made == (0..<expected.size(0)).map { try expected.at($0).elements(Int.self) })
    }

    @Test("gives with a cache, in pieces, what one pass over all gives", arguments: names)
    func cache(name: String) throws {
        let pair = try Pair(name)
        let transformer = pair.transformer
        try withoutGradients {
            let memory = try transformer.memory(of: pair.inputs)
            let rows = [[2, 9, 4, 7, 7, 3], [2, 5, 1, 8, 20, 6], [2, 30, 31, 11, 3, 3]]
            let whole = try transformer.states(TokenBatch(rows), memory: memory)
            let cache = KeyValueCache(for: transformer.configuration, memory: memory)
            var pieces: [Tensor] = []
            for piece in [0..<3, 3..<4, 4..<6] {
                pieces.append(try transformer.states(TokenBatch(rows.map { Array($0[piece]) }), cache: cache))
            }
            #expect(try largestDifference(Tensor.concatenated(pieces, dimension: 1), whole) < 1e-5)
            // Rows in another order, one of them twice.
            let order = [2, 0, 0]
            try cache.select(rows: order)
            let next = try transformer.states(TokenBatch(order.map { _ in [6] }), cache: cache)
            let again = try transformer.states(
                TokenBatch(order.map { rows[$0] + [6] }), memory: memory.selecting(RowSelection(order)))
            #expect(try largestDifference(next.at(0, dimension: 1), again.at(-1, dimension: 1)) < 1e-5)
        }
    }

    @Test("counts distances into the buckets of the reference", arguments: ["t5-tiny", "t5-gated"])
    func buckets(name: String) throws {
        let reference = try Reference(name)
        let bias = try #require(reference.model.configuration.relativeBias)
        for (stack, isCausal) in [("encoder", false), ("decoder", true)] {
            let ours = try bias.bucket(Tensor.range(-600, 601), isCausal: isCausal).elements(Int.self)
            #expect(try ours == reference.tensor("buckets." + stack).elements(Int.self))
        }
    }

    @Test("is its encoder where only states are asked for", arguments: names)
    func encoderAlone(name: String) throws {
        let pair = try Pair(name)
        let encoder = try pair.transformer.encoder
        let states = try withoutGradients { try pair.transformer.states(pair.inputs) }
        #expect(try largestDifference(withoutGradients { try encoder.states(pair.inputs) }, states) == 0)
        #expect(encoder.weights.keys.allSatisfy { !$0.hasPrefix("decoder.") && !$0.hasPrefix("head.") })
        #expect(!encoder.configuration.hasLanguageHead)
    }

    @Test("lists sites of both stacks under their own paths", arguments: names)
    func sites(name: String) throws {
        let configuration = try Reference(name).model.configuration
        let paths = configuration.sites.map(\.path)
        #expect(Set(paths).count == paths.count)
        #expect(paths.allSatisfy { $0.hasPrefix("encoder.") || $0.hasPrefix("decoder.") })
        for path in ["encoder.layers.0.mlp.down", "decoder.layers.0.crossAttention.heads", "decoder.states"] {
            #expect(paths.contains(path))
        }
        let maps = configuration.stacks.reduce(0) { $0 + $1.layerCount * $1.linearMaps.count }
        #expect(configuration.linearSites.count == maps)
    }
}
