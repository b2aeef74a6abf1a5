import HoneFormats

/// A token that is found in the text before anything else is done with it: `[MASK]`, `<|end|>`.
struct AddedToken: Sendable {
    /// The text of the token.
    var content: [UInt8]
    /// The text that is matched and decoded: normalised where `isNormalized`.
    var matched: [UInt8]
    var id: Int
    /// Only where no word character stands beside it.
    var isSingleWord: Bool
    /// White space before it belongs to it.
    var stripsLeft: Bool
    /// White space behind it belongs to it.
    var stripsRight: Bool
    /// Looked for in the normalised text.
    var isNormalized: Bool
    /// Left out when decoding, unless asked for.
    var isSpecial: Bool
}

/// The added tokens of a tokenizer, and how they are found.
struct AddedTokens: Sendable {
    /// A stretch of text between added tokens, or one of them.
    struct Segment {
        var range: TextMatch
        /// The id of the added token; `nil` for plain text.
        var id: Int?
    }

    private let tokens: [AddedToken]
    private let indexOfId: [Int: Int]
    private let indexOfContent: TokenTable
    private let plain: ByteTrie
    private let normalized: ByteTrie
    /// The ids of the special tokens.
    let specialIds: [Int]
    /// How many of the tokens are not tokens of the model.
    let additionalCount: Int
    /// The largest id, or -1.
    let largestId: Int

    /// Reads the part `added_tokens` of a tokenizer file.
    ///
    /// A token that the model has too keeps the model's id, as in the reference, whatever the file says.
    ///
    /// - Parameter declared: tokens that the files beside it describe; those without an id are ignored.
    init(
        _ file: TokenizerFile, declared: [TokenizerFolder.Token] = [], vocabulary: Vocabulary, normalizer: Normalizer?
    ) throws(HoneError) {
        var tokens: [AddedToken] = []
        var indexOfId: [Int: Int] = [:]
        var indexOfContent = TokenTable("added_tokens")
        var additional = 0
        let place = "added_tokens"
        let list = try file.part(place) ?? .array([])
        guard let elements = list.array else {
            throw HoneError(.badFile, "should be an array, found \(list.kind)", file: file.path, item: place)
        }
        for (number, element) in elements.enumerated() {
            let component = Component(element, file: file.path, place: "\(place)[\(number)]")
            guard var token = try Self.read(component, vocabulary: vocabulary, normalizer: normalizer) else { continue }
            let known = indexOfContent.id(token.content)
            if known >= 0 {
                // The same text again: its last description holds.
                token.id = tokens[Int(known)].id
                tokens[Int(known)] = token
                continue
            }
            if let other = indexOfId[token.id] {
                throw component.problem("has the id \(token.id), and so has added_tokens[\(other)]")
            }
            if vocabulary.table.id(token.content) < 0 { additional += 1 }
            indexOfId[token.id] = tokens.count
            _ = try indexOfContent.insert(token.content, 0, token.content.count, id: Int32(tokens.count))
            tokens.append(token)
        }
        for token in declared where !token.content.isEmpty {
            let content = Array(token.content.utf8)
            let known = Int(indexOfContent.id(content))
            let id = known >= 0 ? tokens[known].id : Int(vocabulary.table.id(content))
            guard id >= 0 else { continue }
            var added = try Self.token(content, id, token, normalizer, before: known >= 0 ? tokens[known] : nil)
            if known >= 0 {
                added.isSpecial = added.isSpecial || (token.flags == nil && tokens[known].isSpecial)
                tokens[known] = added
                continue
            }
            indexOfId[id] = tokens.count
            _ = try indexOfContent.insert(content, 0, content.count, id: Int32(tokens.count))
            tokens.append(added)
        }
        plain = ByteTrie(tokens.map { $0.isNormalized ? [] : $0.matched })
        normalized = ByteTrie(tokens.map { $0.isNormalized ? $0.matched : [] })
        self.tokens = tokens
        self.indexOfId = indexOfId
        self.indexOfContent = indexOfContent
        additionalCount = additional
        specialIds = tokens.filter(\.isSpecial).map(\.id)
        largestId = indexOfId.keys.max() ?? -1
    }

    private static func read(
        _ component: Component, vocabulary: Vocabulary, normalizer: Normalizer?
    ) throws(HoneError) -> AddedToken? {
        let content = Array(try component.string("content").utf8)
        let declared = try component.count("id")
        if content.isEmpty { return nil }
        let own = vocabulary.table.id(content)
        if own < 0, vocabulary.token(id: declared) != nil {
            throw component.problem("has the id \(declared), which belongs to another token of the model")
        }
        return try read(component, content, own >= 0 ? Int(own) : declared, normalizer)
    }

    private static func read(
        _ component: Component, _ content: [UInt8], _ id: Int, _ normalizer: Normalizer?
    ) throws(HoneError) -> AddedToken {
        let isSpecial = try component.bool("special", default: false)
        var token = AddedToken(
            content: content, matched: content, id: id,
            isSingleWord: try component.bool("single_word", default: false),
            stripsLeft: try component.bool("lstrip", default: false),
            stripsRight: try component.bool("rstrip", default: false),
            isNormalized: try component.bool("normalized", default: !isSpecial), isSpecial: isSpecial)
        if token.isNormalized, let normalizer {
            var isAtStart = true
            var text = AlignedText(content, tracks: false)
            normalizer.apply(to: &text, isAtStart: &isAtStart)
            token.matched = text.bytes
        }
        return token
    }

    /// The tokens that are found in plain text too, those of blanks only left out.
    var plainTokens: [AddedToken] {
        tokens.filter { token in
            !token.isSpecial
                && String(decoding: token.content, as: UTF8.self).unicodeScalars.contains {
                    !$0.properties.isWhitespace
                }
        }
    }

    /// A token that another file describes, or only names: then it is found as it was before.
    private static func token(
        _ content: [UInt8], _ id: Int, _ declared: TokenizerFolder.Token, _ normalizer: Normalizer?, before: AddedToken?
    ) throws(HoneError) -> AddedToken {
        guard let flags = declared.flags else {
            if var before {
                before.isSpecial = true
                return before
            }
            return AddedToken(
                content: content, matched: content, id: id, isSingleWord: false, stripsLeft: false, stripsRight: false,
                isNormalized: false, isSpecial: true)
        }
        let component = Component(flags, file: "tokenizer_config.json", place: "added_tokens_decoder")
        return try read(component, content, id, normalizer)
    }

    /// Whether any token is looked for in the normalised text.
    var hasNormalized: Bool { !normalized.isEmpty }

    /// The id of an added token.
    func id(_ content: [UInt8]) -> Int? {
        let index = indexOfContent.id(content)
        return index < 0 ? nil : tokens[Int(index)].id
    }

    /// The text that an id decodes to.
    func token(id: Int) -> AddedToken? { indexOfId[id].map { tokens[$0] } }

    /// Whether a decoded token is the text of a special token.
    func isSpecial(_ content: [UInt8]) -> Bool {
        let index = indexOfContent.id(content)
        return index >= 0 && tokens[Int(index)].isSpecial
    }

    /// Splits a text at the added tokens in it.
    ///
    /// - Parameters:
    ///   - inNormalized: look for the tokens that are matched in normalised text, not for the others.
    ///   - trust: where special tokens count; elsewhere they are text like any other.
    ///   - origins: where the bytes come from, which a trust of parts has to know.
    func segments(of text: [UInt8], inNormalized: Bool, trust: TextTrust, origins: [Origin]) -> [Segment] {
        let trie = inNormalized ? normalized : plain
        func nextMatch(_ index: Int) -> (range: TextMatch, value: Int)? {
            guard case .parts(let parts) = trust else { return trie.nextMatch(in: text, from: index) }
            return trie.nextMatch(in: text, from: index) { range, value in
                parts.allows(tokens[value], origins[range.start..<range.end])
            }
        }
        let isTrusted = trust.isAnywhere
        var segments: [Segment] = []
        var covered = 0
        var index = 0
        while let match = nextMatch(index) {
            index = match.range.end
            let token = tokens[match.value]
            if token.isSpecial, !isTrusted { continue }
            var range = match.range
            if token.isSingleWord, touchesWord(text, range) { continue }
            if token.stripsLeft { range.start = max(covered, whitespaceStart(text, before: range.start)) }
            if token.stripsRight { range.end = whitespaceEnd(text, from: range.end) }
            if covered < range.start { segments.append(Segment(range: TextMatch(start: covered, end: range.start))) }
            segments.append(Segment(range: range, id: token.id))
            covered = range.end
        }
        if covered < text.count { segments.append(Segment(range: TextMatch(start: covered, end: text.count))) }
        return segments
    }

    private func touchesWord(_ text: [UInt8], _ range: TextMatch) -> Bool {
        let classes = ScalarClasses.shared
        if range.end < text.count {
            var index = range.end
            if classes[nextScalar(text, &index, text.count)] & ScalarClasses.word != 0 { return true }
        }
        if range.start > 0 {
            var index = scalarStart(text, before: range.start)
            if classes[nextScalar(text, &index, range.start)] & ScalarClasses.word != 0 { return true }
        }
        return false
    }

    private func whitespaceStart(_ text: [UInt8], before end: Int) -> Int {
        let classes = ScalarClasses.shared
        var end = end
        while end > 0 {
            let start = scalarStart(text, before: end)
            var index = start
            if classes[nextScalar(text, &index, end)] & ScalarClasses.whitespace == 0 { break }
            end = start
        }
        return end
    }

    private func whitespaceEnd(_ text: [UInt8], from start: Int) -> Int {
        let classes = ScalarClasses.shared
        var end = start
        while end < text.count {
            var index = end
            if classes[nextScalar(text, &index, text.count)] & ScalarClasses.whitespace == 0 { break }
            end = index
        }
        return end
    }
}
