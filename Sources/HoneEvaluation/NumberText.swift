import Foundation

/// Numbers as people read them, the same in sentences, tables, plots and on the terminal, in every locale.
public enum NumberText {
    /// A number with a fixed count of decimals, thousands grouped: `fixed(1234.5, 2)` is "1,234.50".
    ///
    /// The minus sign is U+2212. A number that is not finite is an en dash.
    public static func fixed(_ number: Double, _ decimals: Int) -> String {
        guard number.isFinite else { return "–" }
        let digits = String(format: "%.\(min(max(decimals, 0), 12))f", abs(number))
        let parts = digits.split(separator: ".", maxSplits: 1)
        let isZero = digits.allSatisfy { $0 == "0" || $0 == "." }
        let whole = grouped(String(parts.first ?? "0"))
        let sign = number < 0 && !isZero ? "−" : ""
        return sign + whole + (parts.count > 1 ? "." + parts[1] : "")
    }

    /// A number with a count of significant digits: 0.2134 is "0.213", 12.345 "12.3", 0.0000123 "1.23e−5".
    ///
    /// Whole digits are never dropped: 12345 is "12,345".
    public static func significant(_ number: Double, _ digits: Int = 3) -> String {
        guard number.isFinite else { return "–" }
        guard number != 0 else { return "0" }
        let digits = min(max(digits, 1), 12)
        // The exponent after rounding, which differs from that of the number itself for 9.999.
        let written = String(format: "%.\(digits - 1)e", abs(number))
        let exponent = Int(written.drop { $0 != "e" }.dropFirst()) ?? 0
        if exponent < -4 || exponent >= 15 {
            let mantissa = written.prefix { $0 != "e" }
            return (number < 0 ? "−" : "") + mantissa + "e" + (exponent < 0 ? "−" : "") + String(abs(exponent))
        }
        return fixed(number, max(0, digits - 1 - exponent))
    }

    /// A share or another score between 0 and 1 with three decimals: "0.934".
    public static func share(_ number: Double) -> String { fixed(number, 3) }

    /// A whole number, thousands grouped: "12,345".
    public static func count(_ number: Int) -> String {
        (number < 0 ? "−" : "") + grouped(String(number.magnitude))
    }

    /// A large count shortened: 950 is "950", 22713216 "22.7 M".
    public static func shortCount(_ number: Int) -> String {
        let units: [(Double, String)] = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")]
        for (scale, name) in units where Double(number.magnitude) >= scale {
            return significant(Double(number) / scale) + name
        }
        return count(number)
    }

    /// A value and its interval: "0.934 (0.918–0.949)", by default with three decimals.
    public static func interval(_ interval: Interval, _ text: (Double) -> String = share) -> String {
        guard interval.value.isFinite else { return "–" }
        guard interval.low.isFinite, interval.high.isFinite, interval.low != interval.high else {
            return text(interval.value)
        }
        return "\(text(interval.value)) (\(range(interval, text)))"
    }

    /// The ends of an interval: "0.918–0.949"; with a negative end "−0.012 to 0.004", which a dash would blur.
    public static func range(_ interval: Interval, _ text: (Double) -> String = share) -> String {
        let joint = interval.low < 0 || interval.high < 0 ? " to " : "–"
        return text(interval.low) + joint + text(interval.high)
    }

    /// A p-value: "p = 0.58", "p = 0.032", "p < 0.001".
    public static func pValue(_ p: Double) -> String {
        guard p.isFinite else { return "p unknown" }
        if p < 0.001 { return "p < 0.001" }
        return p < 0.0995 ? "p = " + fixed(p, 3) : "p = " + fixed(p, 2)
    }

    /// A time span: "0.42 s", "12.3 s", "4 min 12 s", "2 h 05 min".
    public static func duration(seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e12 else { return "–" }
        if seconds < 0.9995 { return seconds < 0.0005 && seconds > 0 ? "< 1 ms" : fixed(seconds * 1000, 0) + " ms" }
        if seconds < 59.95 { return fixed(seconds, 1) + " s" }
        let whole = Int(seconds.rounded())
        if whole < 3600 { return "\(whole / 60) min \(padded(whole % 60)) s" }
        let minutes = (whole + 30) / 60
        if minutes < 48 * 60 { return "\(minutes / 60) h \(padded(minutes % 60)) min" }
        return "\(minutes / 1440) d \(minutes % 1440 / 60) h"
    }

    /// A time span to the second, for what changes all the time: "7 s", "4 min 12 s", "2 h 05 min".
    public static func coarseDuration(seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0 else { return "–" }
        return seconds < 59.5 ? "\(Int(seconds.rounded())) s" : duration(seconds: max(seconds, 60))
    }

    /// A memory or file size in binary units: "512 B", "1.34 GiB".
    public static func bytes(_ count: Int) -> String {
        guard count >= 0 else { return "–" }
        guard count >= 1024 else { return "\(count) B" }
        var size = Double(count) / 1024
        var unit = 0
        while size >= 999.5, unit < 4 {
            size /= 1024
            unit += 1
        }
        return significant(size) + [" KiB", " MiB", " GiB", " TiB", " PiB"][unit]
    }

    private static func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    private static func grouped(_ digits: String) -> String {
        guard digits.count > 3 else { return digits }
        var text = ""
        for (position, digit) in digits.enumerated() {
            if position > 0, (digits.count - position) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }
}
