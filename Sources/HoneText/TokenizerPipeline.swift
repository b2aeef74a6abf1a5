import HoneFormats

/// Working memory of encoding, kept from text to text.
struct EncodingScratch {
    var pieces = Pieces()
    var symbols = BytePairScratch()
    var hashes: [UInt64] = []
    var lattice = UnigramLattice()
    var sink = TokenSink()
}

/// All stages of a tokenizer.
final class TokenizerPipeline: Sendable {
    let added: AddedTokens
    let normalizer: Normalizer?
    let preTokenizer: PreTokenizer?
    let model: TokenModel
    let postProcessor: PostProcessor
    let decoder: Decoder?
    /// The id that fills up batches as the file says, where it does.
    let paddingId: Int?
    /// Whether the model works on bytes, so that the last step of `ByteLevel` is left out.
    private let isByteLevel: Bool

    /// Reads a `tokenizer.json`; every error names the file.
    ///
    /// - Parameter declared: tokens that the files beside it describe.
    convenience init(path: String, declared: [TokenizerFolder.Token] = []) throws(HoneError) {
        do throws(HoneError) {
            try self.init(try TokenizerFile(path: path), declared: declared)
        } catch {
            throw error.inFile(path)
        }
    }

    /// Reads the stages of a tokenizer file.
    init(_ file: TokenizerFile, declared: [TokenizerFolder.Token] = []) throws(HoneError) {
        func component(_ name: String) throws(HoneError) -> Component? {
            guard let value = try file.part(name) else { return nil }
            return Component(value, file: file.path, place: name)
        }
        normalizer = if let value = try component("normalizer") { try Normalizer(value) } else { nil }
        preTokenizer = if let value = try component("pre_tokenizer") { try PreTokenizer(value) } else { nil }
        let mayWorkOnBytes = try BytePairModel.mayWorkOnBytes(file)
        isByteLevel = mayWorkOnBytes && preTokenizer?.endsInByteLevel == true
        let model = try TokenModel(file, isByteLevel: isByteLevel, isSplit: preTokenizer != nil)
        added = try AddedTokens(file, declared: declared, vocabulary: model.vocabulary, normalizer: normalizer)
        self.model = model.protecting(added.specialIds)
        postProcessor =
            if let value = try component("post_processor") { try PostProcessor(value) } else { PostProcessor() }
        paddingId = try file.part("padding")?["pad_id"]?.integer.flatMap { $0 >= 0 ? $0 : nil }
        decoder = if let value = try component("decoder") { try Decoder(value) } else { nil }
    }

    /// Whether the model is byte-pair encoding.
    var isBytePair: Bool { if case .bytePair = model { true } else { false } }

    /// The id of a token.
    func id(_ token: String) -> Int? {
        let bytes = Array(token.utf8)
        if let id = added.id(bytes) { return id }
        let id = model.vocabulary.table.id(bytes)
        return id < 0 ? nil : Int(id)
    }

    /// The ids of a text, without those that the post-processor adds.
    func ids(of text: String, isTrusted: Bool, _ scratch: inout EncodingScratch) -> [Int] {
        tokens(of: text, isTrusted: isTrusted, hasOffsets: false, &scratch).ids
    }

    /// The tokens of a text, without those that the post-processor adds.
    ///
    /// - Parameters:
    ///   - isTrusted: whether text may become special tokens.
    ///   - hasOffsets: find out where each token stands.
    func tokens(
        of text: String, isTrusted: Bool, hasOffsets: Bool, _ scratch: inout EncodingScratch
    ) -> TokenizedText {
        tokens(of: text, trust: isTrusted ? .everywhere : .nowhere, hasOffsets: hasOffsets, &scratch)
    }

    /// The tokens of a text of which some parts may become special tokens, with where each stands.
    func tokens(of text: String, trust: TextTrust, hasOffsets: Bool, _ scratch: inout EncodingScratch) -> TokenizedText
    {
        let bytes = Array(text.utf8)
        var collector = TokenCollector(
            original: bytes, hasOffsets: hasOffsets, trims: hasOffsets && !postProcessor.trimmings.isEmpty)
        scratch.sink = TokenSink(isTracked: hasOffsets, protects: trust != .everywhere)
        scratch.sink.ids.reserveCapacity(bytes.count / 3 + 8)
        let whole = AlignedText(bytes, tracks: hasOffsets || trust.needsOrigins)
        for segment in added.segments(of: bytes, inNormalized: false, trust: trust, origins: whole.origins) {
            if let id = segment.id {
                append(id, whole, segment.range, &scratch, &collector)
            } else if segment.range.start == 0, segment.range.end == bytes.count {
                appendNormalized(whole, isAtStart: true, trust, &scratch, &collector)
            } else {
                let isAtStart = segment.range.start == 0
                appendNormalized(whole[segment.range], isAtStart: isAtStart, trust, &scratch, &collector)
            }
        }
        return collector.finish(scratch.sink.ids)
    }

    /// Appends an added token that stands at a place of a text.
    private func append(
        _ id: Int, _ text: AlignedText, _ range: TextMatch, _ scratch: inout EncodingScratch,
        _ collector: inout TokenCollector
    ) {
        scratch.sink.append(id, range.start, range.end)
        guard scratch.sink.isTracked else { return }
        collector.collect(&scratch.sink, text.origins) { _ in text.bytes[range.start..<range.end] }
    }

    /// Appends the tokens of a text without plain added tokens: normalises it and looks for the normalised ones.
    private func appendNormalized(
        _ text: consuming AlignedText, isAtStart: Bool, _ trust: TextTrust, _ scratch: inout EncodingScratch,
        _ collector: inout TokenCollector
    ) {
        var text = text
        var isAtStart = isAtStart
        normalizer?.apply(to: &text, isAtStart: &isAtStart)
        guard added.hasNormalized else {
            appendPieces(text, isAtStart: isAtStart, &scratch, &collector)
            return
        }
        for segment in added.segments(of: text.bytes, inNormalized: true, trust: trust, origins: text.origins) {
            if let id = segment.id {
                append(id, text, segment.range, &scratch, &collector)
            } else {
                let isAtStart = isAtStart && segment.range.start == 0
                appendPieces(text[segment.range], isAtStart: isAtStart, &scratch, &collector)
            }
        }
    }

    /// Appends the tokens of a normalised text without added tokens.
    private func appendPieces(
        _ text: AlignedText, isAtStart: Bool, _ scratch: inout EncodingScratch, _ collector: inout TokenCollector
    ) {
        scratch.pieces.reset(to: text, isAtStart: isAtStart)
        preTokenizer?.apply(to: &scratch.pieces, keepsBytes: isByteLevel)
        let bytes = scratch.pieces.bytes
        for index in scratch.pieces.ranges.indices {
            model.encode(bytes, scratch.pieces.ranges[index], &scratch)
        }
        if scratch.sink.isTracked {
            collector.collect(&scratch.sink, scratch.pieces.origins) { model.vocabulary.token(id: $0) ?? [] }
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
