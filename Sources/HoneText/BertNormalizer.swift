import HoneFormats

/// BERT's clean-up (Devlin et al. 2019, `BasicTokenizer` in the released code): control characters out, white space to
/// blanks, blanks around Chinese characters, accents stripped, lower case.
struct BertNormalizer: Sendable {
    var cleansText: Bool
    var separatesChinese: Bool
    var stripsAccents: Bool
    var lowercases: Bool

    init(_ component: Component) throws(HoneError) {
        cleansText = try component.bool("clean_text", default: true)
        separatesChinese = try component.bool("handle_chinese_chars", default: true)
        lowercases = try component.bool("lowercase", default: true)
        // Absent or null means: as `lowercase` says.
        stripsAccents = try component.bool("strip_accents", default: lowercases)
    }

    func apply(to text: inout [UInt8], isAtStart: inout Bool) {
        if cleansText { clean(&text, isAtStart: &isAtStart) }
        if text.allSatisfy({ $0 < 0x80 }) {
            if lowercases { toLowercase(&text) }
            return
        }
        if separatesChinese { separateChinese(&text) }
        if stripsAccents {
            UnicodeForm.decomposed.apply(to: &text)
            removeScalars(of: ScalarClasses.nonspacingMark, from: &text, isAtStart: &isAtStart)
        }
        if lowercases { toLowercase(&text) }
    }

    private func clean(_ text: inout [UInt8], isAtStart: inout Bool) {
        let classes = ScalarClasses.shared
        var index = 0
        var kept = 0
        while index < text.count {
            let byte = text[index]
            if byte &- 0x20 < 0x5F {
                text[kept] = byte
                kept &+= 1
                index &+= 1
                continue
            }
            let start = index
            let flags = classes[nextScalar(text, &index, text.count)]
            if flags & ScalarClasses.control != 0 {
                if kept == 0 { isAtStart = false }
            } else if flags & ScalarClasses.whitespace != 0 {
                text[kept] = 0x20
                kept += 1
            } else {
                for source in start..<index {
                    text[kept] = text[source]
                    kept += 1
                }
            }
        }
        text.removeSubrange(kept...)
    }

    private func separateChinese(_ text: inout [UInt8]) {
        let classes = ScalarClasses.shared
        var output: [UInt8] = []
        var copied = 0
        var index = 0
        while index < text.count {
            let start = index
            guard classes[nextScalar(text, &index, text.count)] & ScalarClasses.chinese != 0 else { continue }
            output.append(contentsOf: text[copied..<start])
            output.append(0x20)
            output.append(contentsOf: text[start..<index])
            output.append(0x20)
            copied = index
        }
        if copied == 0 { return }
        output.append(contentsOf: text[copied...])
        text = output
    }
}
