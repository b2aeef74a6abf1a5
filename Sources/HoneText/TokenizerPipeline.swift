import HoneFormats

/// Working memory of encoding, kept from text to text.
struct EncodingScratch {
    var pieces = Pieces()
    var symbols = BytePairScratch()
    var hashes: [UInt64] = []
}

/// All stages of a tokenizer.
final class TokenizerPipeline: Sendable {
    let added: AddedTokens
    let normalizer: Normalizer?
    let preTokenizer: PreTokenizer?
    let model: TokenModel
    let postProcessor: PostProcessor
    let decoder: Decoder?
    /// Whether the model works on bytes, so that the last step of `ByteLevel` is left out.
    private let isByteLevel: Bool

    /// Reads a `tokenizer.json`; every error names the file.
    convenience init(path: String) throws(HoneError) {
        do throws(HoneError) {
            try self.init(try TokenizerFile(path: path))
        } catch {
            throw error.inFile(path)
        }
    }

    /// Reads the stages of a tokenizer file.
    init(_ file: TokenizerFile) throws(HoneError) {
        func component(_ name: String) throws(HoneError) -> Component? {
            guard let value = try file.part(name) else { return nil }
            return Component(value, file: file.path, place: name)
        }
        normalizer = if let value = try component("normalizer") { try Normalizer(value) } else { nil }
        preTokenizer = if let value = try component("pre_tokenizer") { try PreTokenizer(value) } else { nil }
        let mayWorkOnBytes = try BytePairModel.mayWorkOnBytes(file)
        isByteLevel = mayWorkOnBytes && preTokenizer?.endsInByteLevel == true
        model = try TokenModel(file, isByteLevel: isByteLevel, isSplit: preTokenizer != nil)
        added = try AddedTokens(file, vocabulary: model.vocabulary, normalizer: normalizer)
        postProcessor =
            if let value = try component("post_processor") { try PostProcessor(value) } else { PostProcessor() }
        decoder = if let value = try component("decoder") { try Decoder(value) } else { nil }
    }

    /// The id of a token.
    func id(_ token: String) -> Int? {
        let bytes = Array(token.utf8)
        if let id = added.id(bytes) { return id }
        let id = model.vocabulary.table.id(bytes)
        return id < 0 ? nil : Int(id)
    }

    /// The ids of a text, without those that the post-processor adds.
    func ids(of text: String, parsesSpecial: Bool, _ scratch: inout EncodingScratch) -> [Int] {
        let bytes = Array(text.utf8)
        var ids: [Int] = []
        ids.reserveCapacity(bytes.count / 3 + 8)
        for segment in added.segments(of: bytes, inNormalized: false, parsesSpecial: parsesSpecial) {
            if let id = segment.id {
                ids.append(id)
            } else if segment.range.start == 0, segment.range.end == bytes.count {
                appendNormalized(bytes, isAtStart: true, parsesSpecial, &scratch, &ids)
            } else {
                let part = Array(bytes[segment.range.start..<segment.range.end])
                appendNormalized(part, isAtStart: segment.range.start == 0, parsesSpecial, &scratch, &ids)
            }
        }
        return ids
    }

    /// Appends the ids of a text without plain added tokens: normalises it and looks for the normalised ones.
    private func appendNormalized(
        _ text: consuming [UInt8], isAtStart: Bool, _ parsesSpecial: Bool, _ scratch: inout EncodingScratch,
        _ ids: inout [Int]
    ) {
        var text = text
        var isAtStart = isAtStart
        normalizer?.apply(to: &text, isAtStart: &isAtStart)
        guard added.hasNormalized else {
            appendPieces(text, isAtStart: isAtStart, &scratch, &ids)
            return
        }
        for segment in added.segments(of: text, inNormalized: true, parsesSpecial: parsesSpecial) {
            if let id = segment.id {
                ids.append(id)
            } else {
                let part = Array(text[segment.range.start..<segment.range.end])
                appendPieces(part, isAtStart: isAtStart && segment.range.start == 0, &scratch, &ids)
            }
        }
    }

    /// Appends the ids of a normalised text without added tokens.
    private func appendPieces(
        _ text: [UInt8], isAtStart: Bool, _ scratch: inout EncodingScratch, _ ids: inout [Int]
    ) {
        scratch.pieces.reset(to: text, isAtStart: isAtStart)
        preTokenizer?.apply(to: &scratch.pieces, keepsBytes: isByteLevel)
        let bytes = scratch.pieces.bytes
        for index in scratch.pieces.ranges.indices {
            let piece = scratch.pieces.ranges[index]
            model.encode(bytes, piece, &scratch, into: &ids)
        }
    }

    /// The text of some ids.
    func decode(_ ids: [Int], skipsSpecial: Bool) -> String {
        var tokens = TokenTexts()
        tokens.bytes.reserveCapacity(ids.count * 4)
        for id in ids {
            if let token = added.token(id: id) {
                if skipsSpecial, added.isSpecial(token.matched) { continue }
                tokens.bytes.append(contentsOf: token.matched)
            } else if let token = model.vocabulary.token(id: id) {
                tokens.bytes.append(contentsOf: token)
            } else {
                continue
            }
            tokens.finishToken()
        }
        if let decoder {
            decoder.decode(&tokens)
        } else {
            tokens.rewrite { token, index, output in
                if index > 0 { output.bytes.append(0x20) }
                output.bytes.append(contentsOf: token)
            }
        }
        return String(decoding: tokens.bytes, as: UTF8.self)
    }
}
