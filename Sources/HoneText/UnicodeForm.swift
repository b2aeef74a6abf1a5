import Foundation

/// A normalization form of Unicode (UAX #15).
///
/// Foundation gives the mappings of single scalars; ordering and composition are done here, because Foundation on Linux
/// composes some Hangul letters and orders some Tibetan vowels in ways that the standard does not.
enum UnicodeForm: Sendable {
    /// NFC
    case composed
    /// NFD
    case decomposed
    /// NFKC
    case compatiblyComposed
    /// NFKD
    case compatiblyDecomposed

    /// The class of the scalars that the form may change; all others stay as and where they are.
    private var sensitive: ScalarClasses.Flags {
        switch self {
        case .composed: ScalarClasses.composes
        case .decomposed: ScalarClasses.decomposes
        case .compatiblyComposed: ScalarClasses.composesCompatibly
        case .compatiblyDecomposed: ScalarClasses.decomposesCompatibly
        }
    }

    private var composes: Bool { self == .composed || self == .compatiblyComposed }
    private var isCompatible: Bool { self == .compatiblyComposed || self == .compatiblyDecomposed }

    /// Brings a text into the form. Scalars whose mapping is younger than the version of Unicode that the reference
    /// tokenizers follow stay as they are.
    func apply(to text: inout AlignedText) {
        if text.bytes.allSatisfy({ $0 < 0x80 }) { return }
        let classes = ScalarClasses.shared
        let sensitive = sensitive
        var rewriter = TextRewriter(text)
        let bytes = text.bytes
        var index = 0
        // The start of the scalar before `index`: what follows may compose with it.
        var previous = 0
        while index < bytes.count {
            let start = index
            if classes[nextScalar(bytes, &index, bytes.count)] & sensitive == 0 {
                previous = start
                continue
            }
            while index < bytes.count {
                var next = index
                if classes[nextScalar(bytes, &next, bytes.count)] & sensitive == 0 { break }
                index = next
            }
            rewriter.keep(upTo: previous)
            rewriter.append(changed(bytes, previous, index), replacing: previous)
            rewriter.skip(to: index)
            previous = index
        }
        if !rewriter.isUntouched { text = rewriter.finish() }
    }

    /// The scalars of a part of a text in this form, each with its change in number (see `TextRewriter.append`).
    private func changed(_ text: [UInt8], _ start: Int, _ end: Int) -> [(scalar: UInt32, change: Int)] {
        var scalars: [(scalar: UInt32, change: Int)] = []
        var index = start
        while index < end { appendDecomposition(of: nextScalar(text, &index, end), to: &scalars) }
        var combiningClasses = scalars.map { Self.combiningClass($0.scalar) }
        Self.order(&scalars, &combiningClasses)
        if composes { Self.compose(&scalars, combiningClasses) }
        return scalars
    }

    private func appendDecomposition(of scalar: UInt32, to scalars: inout [(scalar: UInt32, change: Int)]) {
        let flags = ScalarClasses.shared[scalar]
        let own = isCompatible ? ScalarClasses.decomposesCompatibly : ScalarClasses.decomposes
        guard flags & own != 0, flags & ScalarClasses.mappedLater == 0, let value = Unicode.Scalar(scalar) else {
            scalars.append((scalar, 0))
            return
        }
        let text = String(value)
        let mapped =
            isCompatible ? text.decomposedStringWithCompatibilityMapping : text.decomposedStringWithCanonicalMapping
        var change = 0
        for scalar in mapped.unicodeScalars {
            scalars.append((scalar.value, change))
            change = 1
        }
    }

    /// The canonical combining class; 0 for what the reference does not know as a mark.
    private static func combiningClass(_ scalar: UInt32) -> UInt8 {
        guard ScalarClasses.shared[scalar] & ScalarClasses.mark != 0, let value = Unicode.Scalar(scalar) else {
            return 0
        }
        return value.properties.canonicalCombiningClass.rawValue
    }

    /// Puts marks in canonical order: by class, equals as they stand (UAX #15, D109).
    private static func order(
        _ scalars: inout [(scalar: UInt32, change: Int)], _ combiningClasses: inout [UInt8]
    ) {
        var start = 0
        while start < scalars.count {
            guard combiningClasses[start] != 0 else {
                start += 1
                continue
            }
            var end = start
            while end < scalars.count, combiningClasses[end] != 0 { end += 1 }
            // Swift's sort is stable.
            let sorted = (start..<end).map { ($0, combiningClasses[$0]) }.sorted { $0.1 < $1.1 }
            let marks = sorted.map { scalars[$0.0] }
            for (offset, element) in sorted.enumerated() {
                scalars[start + offset] = marks[offset]
                combiningClasses[start + offset] = element.1
            }
            start = end
        }
    }

    /// Joins each starter with the marks behind it that are not blocked (UAX #15, D117).
    private static func compose(_ scalars: inout [(scalar: UInt32, change: Int)], _ combiningClasses: [UInt8]) {
        var kept: [(scalar: UInt32, change: Int)] = []
        var starter: Int?
        var lastClass: UInt8 = 0
        for (element, combiningClass) in zip(scalars, combiningClasses) {
            if let starter, kept.count == starter + 1 || lastClass < combiningClass,
                let joined = composite(kept[starter].scalar, element.scalar)
            {
                kept[starter] = (joined, kept[starter].change + element.change - 1)
                continue
            }
            if combiningClass == 0 { starter = kept.count }
            lastClass = combiningClass
            kept.append(element)
        }
        scalars = kept
    }

    /// What two scalars compose to, if anything.
    private static func composite(_ first: UInt32, _ second: UInt32) -> UInt32? {
        // Hangul syllables (The Unicode Standard, section 3.12).
        if (0x1100..<0x1113).contains(first), (0x1161..<0x1176).contains(second) {
            return 0xAC00 + ((first - 0x1100) * 21 + (second - 0x1161)) * 28
        }
        if (0xAC00..<0xD7A4).contains(first), (first - 0xAC00) % 28 == 0, (0x11A8..<0x11C3).contains(second) {
            return first + (second - 0x11A7)
        }
        guard ScalarClasses.shared[second] & ScalarClasses.mark != 0, let head = Unicode.Scalar(first),
            let tail = Unicode.Scalar(second)
        else { return nil }
        var pair = String.UnicodeScalarView()
        pair.append(head)
        pair.append(tail)
        // Taken apart first: Foundation composes a vowel of three parts only from all of them.
        let parts = String(pair).decomposedStringWithCanonicalMapping
        let joined = parts.precomposedStringWithCanonicalMapping.unicodeScalars
        guard joined.count == 1, let scalar = joined.first?.value,
            ScalarClasses.shared[scalar] & ScalarClasses.mappedLater == 0
        else { return nil }
        return scalar
    }
}
