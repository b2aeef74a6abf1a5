import Glibc
import HoneFormats

extension ConfigReader {
    /// The fields of rotary positions: `rope_parameters`, and `rope_scaling` with `rope_theta` beside it as configs had them
    /// before.
    ///
    /// - Parameters:
    ///   - headWidth: the length of a head's vectors.
    ///   - base: the field of the base beside the others, and what it is where left out.
    ///   - share: the same for the share of a head that turns; it must be all of it where there is no such field.
    /// - Returns: the positions, and the longest sequence that they reach.
    func rotary(
        headWidth: Int, maximumLength: Int, base: (field: String, value: Double) = ("rope_theta", 10_000),
        share: (field: String, value: Double)? = nil
    ) throws -> (positions: RotaryPositions, reach: Int) {
        // `rope_scaling` is the older name, often there as null, and comes first where it is not.
        let group = ["rope_scaling", "rope_parameters"].first { json[$0].map { !$0.isNull } ?? false }
        let fields = ConfigReader(group.flatMap { json[$0] } ?? .null, file: file)
        let name = group ?? "rope_parameters"
        if let nested = ["full_attention", "sliding_attention"].first(where: { fields.json[$0] != nil }) {
            throw refused(
                "\(name).\(nested)", "rotary positions that differ between layers are not supported", .unsupported)
        }
        let outer = try number(base.field, default: base.value)
        let found = try fields.number("rope_theta", default: outer)
        let whole = try share.map { try number($0.field, default: $0.value) } ?? 1
        let part = try fields.number("partial_rotary_factor", default: whole)
        guard part <= 1, share != nil || part == 1 else {
            throw refused("\(name).partial_rotary_factor", "the value \(part) is not supported", .unsupported)
        }
        let width = Int(Double(headWidth) * part)
        guard width >= 2, width % 2 == 0 else {
            throw refused(share?.field ?? "head_dim", "rotary positions need an even width, not \(width)")
        }
        let (scaling, reach) = try fields.scaling(of: name, maximumLength: maximumLength, outer: self)
        return (RotaryPositions(base: found, width: width, scaling: scaling), reach)
    }

    /// The scaling that a group of rotary fields asks for.
    private func scaling(of group: String, maximumLength: Int, outer: ConfigReader) throws -> (
        RotaryPositions.Scaling, reach: Int
    ) {
        func wanted(_ field: String, default value: Double? = nil) throws -> Double {
            if json[field].map(\.isNull) ?? true, value == nil {
                throw refused("\(group).\(field)", "the field is missing")
            }
            return try number(field, default: value ?? 1)
        }
        func stretched(_ length: Double) -> Int { Int(max(1, min(length, Double(1 << 24)))) }
        let kind = (json["rope_type"] ?? json["type"])?.string ?? "default"
        switch kind {
        case "default": return (.none, maximumLength)
        case "linear":
            let factor = try wanted("factor")
            return (.linear(factor: factor), stretched(Double(maximumLength) * factor))
        case "llama3", "yarn":
            // A length beside the group comes first, as in the reference.
            let own = try number("original_max_position_embeddings", default: Double(maximumLength))
            let original = try outer.number("original_max_position_embeddings", default: own)
            let factor = try wanted("factor")
            if kind == "llama3" {
                let (slow, fast) = (try wanted("low_freq_factor"), try wanted("high_freq_factor"))
                guard slow < fast else {
                    throw refused("\(group).high_freq_factor", "must be above low_freq_factor")
                }
                return (.llama3(factor: factor, slow: slow, fast: fast, originalLength: original), maximumLength)
            }
            var attention = factor > 1 ? 0.1 * log(factor) + 1 : 1
            if let scale = json["mscale"]?.number, let all = json["mscale_all_dim"]?.number, scale != 0, all != 0 {
                attention = factor > 1 ? (0.1 * scale * log(factor) + 1) / (0.1 * all * log(factor) + 1) : 1
            }
            let scaling = RotaryPositions.Scaling.yarn(
                factor: factor, slow: try wanted("beta_slow", default: 1), fast: try wanted("beta_fast", default: 32),
                originalLength: original, attention: try wanted("attention_factor", default: attention),
                rounds: try flag("truncate", default: true))
            return (scaling, max(maximumLength, stretched(original * factor)))
        case "dynamic":
            throw refused(
                "\(group).rope_type",
                "rotary scaling `dynamic` is not supported: a text's states would depend on the longest beside it",
                .unsupported)
        default:
            throw refused("\(group).rope_type", "rotary scaling `\(kind)` is not supported", .unsupported)
        }
    }
}
