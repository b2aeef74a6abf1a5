import Foundation

/// A normalization form of Unicode (UAX #15).
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

    /// Brings a text into the form.
    ///
    /// Only the stretches around sensitive scalars go through Foundation, and never scalars whose mapping is younger
    /// than the version of Unicode that the reference tokenizers follow.
    func apply(to text: inout [UInt8]) {
        if text.allSatisfy({ $0 < 0x80 }) { return }
        let classes = ScalarClasses.shared
        let sensitive = sensitive
        var output: [UInt8] = []
        var copied = 0
        var index = 0
        // The start of the last scalar before `index`: what follows may compose with it.
        var previous = 0
        while index < text.count {
            let start = index
            let flags = classes[nextScalar(text, &index, text.count)]
            guard flags & sensitive != 0, flags & ScalarClasses.mappedLater == 0 else {
                previous = flags & ScalarClasses.mappedLater == 0 ? start : index
                continue
            }
            var end = index
            while end < text.count {
                var next = end
                let flags = classes[nextScalar(text, &next, text.count)]
                guard flags & sensitive != 0, flags & ScalarClasses.mappedLater == 0 else { break }
                end = next
            }
            output.append(contentsOf: text[copied..<previous])
            output.append(contentsOf: converted(text[previous..<end]))
            copied = end
            index = end
            previous = end
        }
        if copied == 0 { return }
        output.append(contentsOf: text[copied...])
        text = output
    }

    private func converted(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        let text = String(decoding: bytes, as: UTF8.self)
        return switch self {
        case .composed: Array(text.precomposedStringWithCanonicalMapping.utf8)
        case .decomposed: Array(text.decomposedStringWithCanonicalMapping.utf8)
        case .compatiblyComposed: Array(text.precomposedStringWithCompatibilityMapping.utf8)
        case .compatiblyDecomposed: Array(text.decomposedStringWithCompatibilityMapping.utf8)
        }
    }
}
