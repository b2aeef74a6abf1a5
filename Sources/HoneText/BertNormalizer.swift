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

    func apply(to text: inout AlignedText, isAtStart: inout Bool) {
        if cleansText { clean(&text, isAtStart: &isAtStart) }
        if text.bytes.allSatisfy({ $0 < 0x80 }) {
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

    private func clean(_ text: inout AlignedText, isAtStart: inout Bool) {
        let classes = ScalarClasses.shared
        // Mostly there is nothing to do.
        guard var index = text.bytes.firstIndex(where: { $0 &- 0x20 >= 0x5F }) else { return }
        var kept = index
        while index < text.bytes.count {
            let start = index
            let flags = classes[nextScalar(text.bytes, &index, text.bytes.count)]
            if flags & ScalarClasses.control != 0 {
                if kept == 0 { isAtStart = false }
            } else if flags & ScalarClasses.whitespace != 0 {
                text.bytes[start] = 0x20
                text.move(start, start + 1, to: &kept)
            } else {
                text.move(start, index, to: &kept)
            }
        }
        text.truncate(to: kept)
    }

    private func separateChinese(_ text: inout AlignedText) {
        let classes = ScalarClasses.shared
        var rewriter = TextRewriter(text)
        var index = 0
        while index < text.bytes.count {
            let start = index
            guard classes[nextScalar(text.bytes, &index, text.bytes.count)] & ScalarClasses.chinese != 0 else {
                continue
            }
            rewriter.keep(upTo: start)
            rewriter.append([0x20], from: start)
            rewriter.keep(upTo: index)
            rewriter.append([0x20], from: start)
        }
        if !rewriter.isUntouched { text = rewriter.finish() }
    }
}
