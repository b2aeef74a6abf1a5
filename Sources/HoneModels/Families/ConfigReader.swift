import HoneFormats

/// Reads the fields of a model's `config.json`; every refusal names the field.
public struct ConfigReader: Sendable {
    let json: JSON
    let file: String
    /// The names of the weights beside the config, for families whose config leaves open which there are.
    let weightNames: Set<String>

    /// A reader of a config that has been parsed.
    public init(_ json: JSON, file: String, weightNames: Set<String> = []) {
        self.json = json
        self.file = file
        self.weightNames = weightNames
    }

    func refused(_ field: String, _ sentence: String, _ code: HoneError.Code = .badFile) -> HoneError {
        HoneError(code, sentence, file: file, item: field)
    }

    /// A size: a whole number from 1, or another least one, to a bound that keeps products from overflowing.
    func size(_ field: String, default value: Int? = nil, from least: Int = 1, upTo bound: Int = 1 << 24) throws -> Int
    {
        guard let found = json[field], !found.isNull else {
            guard let value else { throw refused(field, "the field is missing") }
            return value
        }
        guard let number = found.integer, (least...bound).contains(number) else {
            throw refused(field, "must be a whole number from \(least) to \(bound)")
        }
        return number
    }

    /// A positive real number.
    func number(_ field: String, default value: Double) throws -> Double {
        guard let found = json[field], !found.isNull else { return value }
        guard let number = found.number, number > 0, number.isFinite else {
            throw refused(field, "must be a number above 0")
        }
        return number
    }

    /// A truth value.
    func flag(_ field: String, default value: Bool) throws -> Bool {
        guard let found = json[field], !found.isNull else { return value }
        guard let flag = found.bool else { throw refused(field, "must be true or false") }
        return flag
    }

    /// The number of a token of the vocabulary; `nil` where the field is not there.
    func token(_ field: String, of vocabularySize: Int) throws -> Int? {
        guard let found = json[field], !found.isNull else { return nil }
        guard let id = found.integer, (0..<vocabularySize).contains(id) else {
            throw refused(field, "must be the number of a token, from 0 to \(vocabularySize - 1)")
        }
        return id
    }

    /// An activation by its Hugging Face name.
    func activation(_ field: String, default name: String) throws -> TransformerConfiguration.Activation {
        let name = json[field]?.string ?? name
        guard let activation = TransformerConfiguration.Activation(name: name) else {
            throw refused(field, "the activation `\(name)` is not supported", .unsupported)
        }
        return activation
    }

    /// Refuses fields that change the computation in a way that this family does not do.
    func require(_ field: String, toBe accepted: [JSON]) throws {
        guard let found = json[field], !found.isNull, !accepted.contains(found) else { return }
        throw refused(field, "the value \(found.text()) is not supported", .unsupported)
    }

    /// Refuses models whose weights are quantised, and mixtures of experts, whatever the family.
    func refuseOtherWeights() throws {
        if let found = json["quantization_config"], !found.isNull {
            throw refused(
                "quantization_config", "quantised weights are not supported; use the original model", .unsupported)
        }
        for field in ["num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"] {
            guard let found = json[field], !found.isNull, (found.integer ?? 2) > 1 else { continue }
            throw refused(field, "mixtures of experts are not supported", .unsupported)
        }
    }

    /// Checks that heads share the width evenly, in families whose configs do not give a head's width.
    func checkWidth(_ configuration: TransformerConfiguration, headCountField: String) throws {
        try checkWidth(configuration.width, headCount: configuration.headCount, headCountField: headCountField)
    }

    /// Checks that heads share a width evenly.
    func checkWidth(_ width: Int, headCount: Int, headCountField: String) throws {
        guard width % headCount == 0 else {
            throw refused(headCountField, "\(headCount) heads do not divide the width \(width)")
        }
    }

    /// Checks that heads divide what they share.
    func checkHeads(_ configuration: TransformerConfiguration) throws {
        guard configuration.headCount % configuration.keyValueHeadCount == 0 else {
            throw refused(
                "num_key_value_heads",
                "\(configuration.headCount) heads cannot share \(configuration.keyValueHeadCount) key and value heads")
        }
        guard configuration.headWidth > 0 else {
            throw refused("num_attention_heads", "more heads than the width of \(configuration.width)")
        }
    }
}
