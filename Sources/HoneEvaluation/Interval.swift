import HoneFormats

/// A measured figure with the interval that says how sure it is.
///
/// All three numbers have the unit of the figure. They are NaN where there was nothing to measure.
/// In JSON: `{"value": 0.934, "low": 0.918, "high": 0.949}`, with `null` for a number that is not finite.
public struct Interval: Hashable, Sendable, Codable {
    /// The figure itself, measured on all examples.
    public var value: Double
    /// The lower end.
    public var low: Double
    /// The upper end.
    public var high: Double

    /// An interval around a value.
    public init(value: Double, low: Double, high: Double) {
        self.value = value
        self.low = low
        self.high = high
    }

    /// A figure that is known exactly or whose spread is unknown: both ends are the value.
    public init(exactly value: Double) { self.init(value: value, low: value, high: value) }

    /// What is reported where there was nothing to measure.
    public static let none = Interval(exactly: .nan)

    /// Whether all three numbers are finite.
    public var isFinite: Bool { value.isFinite && low.isFinite && high.isFinite }

    /// Whether a number lies between the ends, ends included.
    public func contains(_ number: Double) -> Bool { low <= number && number <= high }

    /// The interval of a figure computed from this one by an increasing function, such as perplexity from loss.
    public func mapIncreasing(_ transform: (Double) -> Double) -> Interval {
        Interval(value: transform(value), low: transform(low), high: transform(high))
    }

    /// The interval of the figure with the opposite sign.
    public var negated: Interval { Interval(value: -value, low: -high, high: -low) }

    /// The interval as JSON.
    public var json: JSON { ["value": .finite(value), "low": .finite(low), "high": .finite(high)] }

    /// Reads what `json` writes.
    /// - Throws: `HoneError` of kind `badFile` if one of the three keys is missing or is no number and not `null`.
    public init(json: JSON) throws {
        func number(_ key: String) throws -> Double {
            guard let member = json[key] else { throw HoneError(.badFile, "an interval needs this key", item: key) }
            if member.isNull { return .nan }
            guard let number = member.number else {
                throw HoneError(.badFile, "an interval needs a number here, not \(member.kind)", item: key)
            }
            return number
        }
        self.init(value: try number("value"), low: try number("low"), high: try number("high"))
    }

    private enum CodingKeys: String, CodingKey { case value, low, high }

    /// Encodes the three numbers, `null` where one is not finite.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(value.isFinite ? value : nil, forKey: .value)
        try container.encode(low.isFinite ? low : nil, forKey: .low)
        try container.encode(high.isFinite ? high : nil, forKey: .high)
    }

    /// Decodes what `encode` writes.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        value = try container.decode(Double?.self, forKey: .value) ?? .nan
        low = try container.decode(Double?.self, forKey: .low) ?? .nan
        high = try container.decode(Double?.self, forKey: .high) ?? .nan
    }
}

extension Interval {
    /// The score interval of a proportion.
    ///
    /// Keeps a sensible width where all or none are counted, which a bootstrap cannot. Wilson, "Probable inference, the
    /// law of succession, and statistical inference", JASA 22, 1927.
    /// - Parameters:
    ///   - count: how many of the items are counted; clamped to `0...total`.
    ///   - total: how many items there are; with none the result is `Interval.none`.
    ///   - confidence: the coverage, between 0 and 1.
    public static func wilson(count: Int, total: Int, confidence: Double = 0.95) -> Interval {
        guard total > 0 else { return .none }
        let items = Double(total)
        let counted = min(max(count, 0), total)
        let proportion = Double(counted) / items
        let deviate = NormalDistribution.quantile(0.5 + confidence / 2)
        let square = deviate * deviate
        let middle = (proportion + square / (2 * items)) / (1 + square / items)
        let spread = proportion * (1 - proportion) / items + square / (4 * items * items)
        let half = deviate * spread.squareRoot() / (1 + square / items)
        return Interval(
            value: proportion,
            low: counted == 0 ? 0 : max(0, middle - half),
            high: counted == total ? 1 : min(1, middle + half))
    }
}

extension JSON {
    /// A number, or `null` where it is not finite: JSON has no word for those.
    static func finite(_ number: Double) -> JSON { number.isFinite ? .number(number) : .null }
}
