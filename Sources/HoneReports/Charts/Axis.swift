import Foundation
import HoneEvaluation

/// An axis: its range, the round numbers it is labelled with, and where a value lies along it.
public struct Axis: Hashable, Sendable {
    /// A labelled place on an axis.
    public struct Tick: Hashable, Sendable {
        /// The value marked.
        public var value: Double
        /// What is written there.
        public var label: String
    }

    /// The value at the start of the axis (of which the logarithm counts on a logarithmic one).
    public let low: Double
    /// The value at the end of the axis, always above `low`.
    public let high: Double
    /// The labelled places, all within the range.
    public let ticks: [Tick]
    /// Whether equal lengths are equal ratios.
    public let isLogarithmic: Bool

    /// A linear axis that holds all finite values, with ticks at multiples of 1, 2 or 5 times a power of ten.
    ///
    /// Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990. No values give 0 to 1; equal ones get room on
    /// both sides.
    /// - Parameters:
    ///   - values: what has to fit; what is not finite is ignored.
    ///   - bounds: where the axis must not reach beyond, such as 0...1 for shares.
    ///   - count: about how many ticks are wanted.
    ///   - extended: whether the range grows to the next ticks; else it ends a little beyond the values.
    public init(
        linear values: [Double], bounds: ClosedRange<Double>? = nil, count: Int = 5, extended: Bool = true
    ) {
        // Beyond these the difference of two values would overflow.
        let usable = values.filter { abs($0) <= 1e300 }
        var low = usable.min() ?? bounds?.lowerBound ?? 0
        var high = usable.max() ?? bounds?.upperBound ?? 1
        if high - low <= abs(high) * 1e-9 {
            let room = max(abs(high) * 0.1, 1e-6)
            low -= room
            high += room
        } else if !extended {
            let room = (high - low) * 0.06
            // Counts, losses and steps do not go below zero, so their axis should not either.
            low = low >= 0 ? max(0, low - room) : low - room
            high += room
        }
        if let bounds {
            low = max(low, bounds.lowerBound)
            high = min(high, bounds.upperBound)
            if high <= low { (low, high) = (bounds.lowerBound, bounds.upperBound) }
            if high <= low { high = low + 1 }
        }
        let step = Self.niceStep((high - low) / Double(max(count, 1)))
        if extended {
            low = (low / step + 1e-9).rounded(.down) * step
            high = (high / step - 1e-9).rounded(.up) * step
            if let bounds { (low, high) = (max(low, bounds.lowerBound), min(high, bounds.upperBound)) }
        }
        let first = (low / step - 1e-9).rounded(.up)
        let last = (high / step + 1e-9).rounded(.down)
        self.low = low
        self.high = high
        isLogarithmic = false
        let decimals = max(0, -Int(log10(step * 1.0000001).rounded(.down)))
        ticks = (0...Int(max(0, min(last - first, 50)))).map { offset in
            let value = (first + Double(offset)) * step
            let plain = decimals <= 6 && abs(value) < 1e7
            return Tick(value: value, label: plain ? NumberText.fixed(value, decimals) : NumberText.significant(value))
        }
    }

    /// A logarithmic axis that holds all positive finite values, with ticks at powers of ten, and at 2 and 5 times
    /// these where that leaves too few.
    /// - Parameters:
    ///   - values: what has to fit; what is not positive and finite is ignored.
    ///   - label: how a tick is written.
    public init(logarithmic values: [Double], label: (Double) -> String) {
        let usable = values.filter { $0 >= 1e-300 && $0 <= 1e300 }
        var low = log10(usable.min() ?? 1)
        var high = log10(usable.max() ?? 10)
        let room = max((high - low) * 0.08, high - low < 0.5 ? 0.35 : 0.15)
        low -= room
        high += room
        let decades = Int(low.rounded(.up))...max(Int(low.rounded(.up)), Int(high.rounded(.down)))
        let stride = max(1, (decades.count + 5) / 6)
        let isInside = { (value: Double) in log10(value) >= low && log10(value) <= high }
        var values = decades.filter { ($0 - decades.lowerBound) % stride == 0 }.map { pow(10, Double($0)) }
            .filter(isInside)
        if values.count < 3 {
            let wide = (decades.lowerBound - 1)...decades.upperBound
            values = wide.flatMap { decade in [1.0, 2, 5].map { $0 * pow(10, Double(decade)) } }.filter(isInside)
        }
        self.low = pow(10, low)
        self.high = pow(10, high)
        isLogarithmic = true
        ticks = values.map { Tick(value: $0, label: label($0)) }
    }

    /// Where a value lies, 0 at the start and 1 at the end; values outside are moved to the nearer end, NaN to the
    /// start.
    public func position(_ value: Double) -> Double {
        guard !value.isNaN else { return 0 }
        if isLogarithmic {
            guard value > 0 else { return 0 }
            return min(max((log10(value) - log10(low)) / (log10(high) - log10(low)), 0), 1)
        }
        return min(max((value - low) / (high - low), 0), 1)
    }

    /// The smallest of 1, 2, 5 and 10 times a power of ten that is not below `step`.
    private static func niceStep(_ step: Double) -> Double {
        guard step.isFinite, step > 0 else { return 1 }
        let power = pow(10, log10(step).rounded(.down))
        let fraction = step / power
        return (fraction <= 1.0000001 ? 1 : fraction <= 2 ? 2 : fraction <= 5 ? 5 : 10) * power
    }
}
