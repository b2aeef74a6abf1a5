import HoneText

/// The text of tokens that come one by one: which part of it is certain, and whether it holds a stop string.
///
/// A token may be a part of a character; what the next tokens may still change is held back, and so is what might be the beginning
/// of a stop string. The pieces given out, joined, are the text that decoding all tokens at once gives, up to the stop string. (One
/// exception: where a model writes bytes that are no character, byte tokens before them keep the characters they have made.)
struct WrittenText {
    private let tokenizer: Tokenizer
    private let stops: [[UInt8]]
    private let longestStop: Int

    /// Everything decoded; replacement characters at its end may stand for characters that are not complete.
    private var text: [UInt8] = []
    /// How much of it no token changes any more.
    private var settled = 0
    /// The tokens behind that, with some before them so that they are decoded as in their place.
    private var window: [Int]
    /// How many bytes of the window's text are settled, or belong to the prompt.
    private var known = 0
    /// How many tokens of the window are not settled.
    private var fresh = 0
    /// The bytes of a run of byte tokens that are not settled; absent outside of one.
    private var run: [UInt8]?
    /// How much has been given out.
    private var given = 0
    /// How far the text has been searched for stop strings.
    private var searched = 0
    /// The stop string that was found, and where it begins.
    private(set) var stop: (string: String, start: Int)?

    /// No text yet, after a prompt: its last tokens say how the first new one is decoded.
    init(after prompt: [Int], tokenizer: Tokenizer, stopStrings: [String]) {
        self.tokenizer = tokenizer
        stops = stopStrings.map { Array($0.utf8) }
        longestStop = stops.map(\.count).max() ?? 0
        window = prompt
        beginWindow()
    }

    /// The text of tokens after a prompt, all at once: that of the pieces that they would have come in.
    static func whole(of tokens: [Int], after prompt: [Int], tokenizer: Tokenizer) -> String {
        var written = WrittenText(after: prompt, tokenizer: tokenizer, stopStrings: [])
        guard !tokens.contains(where: { written.byte(of: $0) != nil }) else {
            for token in tokens { written.append(token) }
            return written.whole
        }
        return String(decoding: tokenizer.decode(written.window + tokens).utf8.dropFirst(written.known), as: UTF8.self)
    }

    /// Takes the next token; `stop` tells afterwards whether the text has ended.
    mutating func append(_ token: Int) {
        if let byte = byte(of: token) {
            if run == nil { settled = text.count }
            window.append(token)
            text.removeSubrange(settled...)
            let bytes = (run ?? []) + [byte]
            text += Array(String(decoding: bytes, as: UTF8.self).utf8)
            run = bytes
            if completeLength == text.count {
                settled = text.count
                run = []
            }
        } else {
            if run != nil || (fresh >= 48 && completeLength == text.count) {
                run = nil
                settled = text.count
                beginWindow()
            }
            window.append(token)
            fresh += 1
            text.removeSubrange(settled...)
            text += tokenizer.decode(window).utf8.dropFirst(known)
        }
        search()
    }

    /// What has become certain since the last call.
    mutating func piece() -> String {
        if let stop { return give(upTo: stop.start) }
        let end = completeLength
        return give(upTo: end - heldForStops(upTo: end))
    }

    /// The rest, when no more tokens come.
    mutating func lastPiece() -> String { give(upTo: stop?.start ?? text.count) }

    /// All of the text, up to a stop string.
    var whole: String { String(decoding: text[..<(stop?.start ?? text.count)], as: UTF8.self) }

    /// Forgets all but the last tokens, which are settled.
    private mutating func beginWindow() {
        window = Array(window.suffix(6))
        known = tokenizer.decode(window).utf8.count
        fresh = 0
    }

    /// The byte that a token such as `<0xC3>` stands for, where the tokenizer takes it as one.
    private func byte(of token: Int) -> UInt8? {
        guard let name = tokenizer.token(token), name.utf8.count == 6, name.hasPrefix("<0x"), name.hasSuffix(">"),
            let byte = UInt8(name.dropFirst(3).dropLast(), radix: 16), tokenizer.decode([token]) != name
        else { return nil }
        return byte
    }

    /// The text's length without replacement characters at its end, which more tokens may turn into others.
    private var completeLength: Int {
        var length = text.count
        while length >= 3, text[length - 3] == 0xEF, text[length - 2] == 0xBF, text[length - 1] == 0xBD { length -= 3 }
        return length
    }

    private mutating func search() {
        guard stop == nil, !stops.isEmpty else { return }
        let end = completeLength
        let start = max(0, min(searched, settled) - longestStop)
        searched = end
        var best: (place: Int, string: Int)?
        for (index, wanted) in stops.enumerated() {
            var place = start
            while place + wanted.count <= end, place < best?.place ?? .max {
                if text[place] == wanted[0], text[place..<place + wanted.count].elementsEqual(wanted) {
                    best = (place, index)
                    break
                }
                place += 1
            }
        }
        if let best { stop = (String(decoding: stops[best.string], as: UTF8.self), best.place) }
    }

    private mutating func give(upTo end: Int) -> String {
        guard end > given else { return "" }
        defer { given = end }
        return String(decoding: text[given..<end], as: UTF8.self)
    }

    /// The length of the longest end of the text that a stop string begins with.
    private func heldForStops(upTo end: Int) -> Int {
        for length in stride(from: min(longestStop - 1, end - given), to: 0, by: -1) {
            let tail = text[end - length..<end]
            if stops.contains(where: { $0.count > length && tail.elementsEqual($0[..<length]) }) { return length }
        }
        return 0
    }
}
