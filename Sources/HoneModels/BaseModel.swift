import Foundation
import HoneFormats
import HoneHub
import HoneImages
import HoneText
import HoneTorch

/// A pretrained model as it lies on disk in Hugging Face layout: config, weights, tokenizer.
///
/// It never changes: what is learned lives in an adapter, and base model plus adapter is the specialist.
public struct BaseModel {
    /// How a sequence becomes one vector.
    public enum Pooling: String, Sendable {
        /// The mean over the sequence's tokens.
        case mean
        /// The first token's state.
        case first
        /// The last token's state, for models in which a position sees only what is before it.
        case last
    }

    /// Where it lies, and what it is on the Hub where it came from there.
    public let location: ModelLocation
    /// The family that it belongs to.
    public let family: any ModelFamily.Type
    /// The transformer with its weights.
    public let transformer: Transformer
    /// What turns the input into numbers.
    enum Input {
        case text(Tokenizer)
        case images(ImagePreparation)
    }

    let input: Input
    /// How the model's own folder says that sequences become vectors; of images, it is the first token's.
    public let pooling: Pooling
    private let identity: WeightIdentity

    /// The folder that it was read from.
    public var folder: String { location.folder }

    /// SHA-256 over the weight files: adapters remember which base they belong to.
    ///
    /// Found when first asked for; of large files it is remembered between programs, see `WeightIdentity`.
    ///
    /// - Throws: `HoneError` (`.fileSystem`) when a weight file cannot be read any more.
    public var fingerprint: String { get throws { try identity.fingerprint() } }

    /// The transformer's configuration.
    public var configuration: TransformerConfiguration { transformer.configuration }

    /// Whether the model reads images; it reads text otherwise.
    public var readsImages: Bool { configuration.patches != nil }

    /// The tokenizer.
    ///
    /// - Throws: `HoneError` with code `.mismatch` for a model of images.
    public var tokenizer: Tokenizer {
        get throws {
            guard case .text(let tokenizer) = input else {
                throw HoneError(.mismatch, "this model reads images, not text", file: folder)
            }
            return tokenizer
        }
    }

    /// What happens to images before the model sees them; `nil` for a model of text.
    public var imagePreparation: ImagePreparation? {
        if case .images(let preparation) = input { preparation } else { nil }
    }

    /// The number that pads rows; attention never looks at it.
    public var padId: Int {
        if case .text(let tokenizer) = input { tokenizer.padId ?? 0 } else { 0 }
    }

    /// The longest sequence in tokens, counting special ones.
    public var maximumLength: Int { configuration.maximumLength }

    /// Reads a model folder.
    ///
    /// - Parameter folder: holds `config.json`, safetensors and `tokenizer.json`.
    /// - Throws: as `init(_:dtype:on:exact:)`.
    public init(folder: String, dtype: DType = .float32, on device: Device = .cpu, exact: Bool = false) throws {
        try self.init(ModelLocation(folder: folder), dtype: dtype, on: device, exact: exact)
    }

    /// Reads a model. Weights of the wanted type stay mapped from the file until they are used.
    ///
    /// - Parameters:
    ///   - location: its folder holds `config.json`, safetensors and `tokenizer.json`.
    ///   - dtype: what the base computes in.
    ///   - exact: whether only libtorch's own operators are used; see `TransformerConfiguration.computesExactly`.
    /// - Throws: `HoneError` that names the file and the field or tensor that is missing, unused or misshapen.
    public init(
        _ location: ModelLocation, dtype: DType = .float32, on device: Device = .cpu, exact: Bool = false
    ) throws {
        let folder = location.folder
        let configFile = folder + "/config.json"
        guard FileManager.default.fileExists(atPath: configFile) else {
            if let problem = ForeignModelFile.problem(folder) { throw problem }
            throw HoneError(
                .fileSystem, "there is no config.json; a model is a folder in Hugging Face layout", file: folder)
        }
        let json = try JSON.read(file: configFile)
        guard let modelType = json["model_type"]?.string else {
            throw HoneError(.badFile, "the field is missing", file: configFile, item: "model_type")
        }
        do {
            family = try ModelFamilies.family(modelType)
            let files = try WeightFolder.open(folder)
            var configuration = try family.configuration(
                ConfigReader(json, file: configFile, weightNames: Set(files.names)))
            configuration.computesExactly = exact
            let weights = try WeightLoader.load(
                files, family: family, configuration: configuration, dtype: dtype, device: device)
            transformer = try Transformer(configuration, weights: weights)
            identity = WeightIdentity(files)
        } catch let error as HoneError {
            throw error.inFile(configFile)
        }
        self.location = location
        if let patches = transformer.configuration.patches {
            input = .images(try patches.preparation(folder: folder))
            pooling = .first
            return
        }
        let tokenizer = try Tokenizer(folder: folder)
        input = .text(tokenizer)
        let known = transformer.configuration.vocabularySize
        // Ids may have holes, so that not their number counts but the largest.
        let special = [
            ("pad", tokenizer.padId), ("bos", tokenizer.bosId), ("eos", tokenizer.eosId), ("cls", tokenizer.clsId),
            ("sep", tokenizer.sepId), ("unk", tokenizer.unkId),
        ]
        for (name, id) in [("token", Optional(tokenizer.largestId))] + special {
            guard let id, id >= known else { continue }
            throw HoneError(
                .mismatch, "the tokenizer's ids reach to \(id), the model has \(known) tokens", file: folder,
                item: name == "token" ? "tokenizer.json" : "\(name)_token")
        }
        pooling = try BaseModel.pooling(folder: folder, isCausal: transformer.configuration.isCausal)
    }

    /// The same model with another transformer, such as one of its stacks.
    public func replacing(transformer: Transformer) -> BaseModel { BaseModel(self, transformer: transformer) }

    private init(_ other: BaseModel, transformer: Transformer) {
        location = other.location
        family = other.family
        self.transformer = transformer
        input = other.input
        pooling = other.pooling
        identity = other.identity
    }

    /// A model made from parts, for tests and tools.
    public init(
        folder: String, family: any ModelFamily.Type, transformer: Transformer, tokenizer: Tokenizer, pooling: Pooling,
        fingerprint: String
    ) {
        location = ModelLocation(folder: folder)
        self.family = family
        self.transformer = transformer
        input = .text(tokenizer)
        self.pooling = pooling
        identity = WeightIdentity(known: fingerprint)
    }

    private static func pooling(folder: String, isCausal: Bool) throws -> Pooling {
        if isCausal { return .last }
        let file = folder + "/1_Pooling/config.json"
        guard FileManager.default.fileExists(atPath: file) else { return .mean }
        let json = try JSON.read(file: file)
        // For a head that is trained, the mean does as well as the rarer ways; `SentenceEncoder` does what the folder says exactly.
        return json["pooling_mode_cls_token"]?.bool == true || json["pooling_mode"]?.string == "cls" ? .first : .mean
    }

    /// How the model takes conversations, as its folder says; `nil` where the folder has no chat template.
    ///
    /// - Parameter hasTools: whether it is for conversations in which tools may be called.
    /// - Throws: `HoneError` with the template's file and line, where it cannot be read or uses what Hone does not have.
    public func chatFormat(hasTools: Bool = false) throws -> ChatFormat? {
        readsImages ? nil : try ChatFormat(folder: folder, tokenizer: tokenizer, hasTools: hasTools)
    }

    /// One vector a row from states `[rows, length, width]`: `[rows, width]`.
    public func pooled(_ states: Tensor, of batch: TokenBatch) throws -> Tensor {
        switch pooling {
        case .first:
            return try states.at(0, dimension: 1)
        case .mean:
            guard let valid = batch.valid else { return try states.mean([1]) }
            let weights = try valid.to(states.device).to(states.dtype).unsqueezed(-1)
            let lengths = try Tensor(batch.lengths.map { Float($0) }, shape: [batch.rowCount, 1], on: states.device)
            return try (states * weights).sum([1]) / lengths.to(states.dtype)
        case .last:
            if batch.side == .left || batch.valid == nil { return try states.at(-1, dimension: 1) }
            let last = try Tensor(batch.lengths.map { $0 - 1 }, on: states.device)
            return try states.indexed([Tensor.range(0, batch.rowCount, on: states.device), last])
        }
    }

    /// Embeddings of texts, `[texts, width]`, pooled as the model's folder says and scaled to length one.
    ///
    /// Texts are sorted by length for the work and come back in their order.
    public func sentenceEmbeddings(_ texts: [String], batchSize: Int = 64, maximumLength: Int = 256) throws -> Tensor {
        let limit = min(maximumLength, configuration.maximumLength)
        let tokenizer = try tokenizer
        let rows = texts.map { tokenizer.encoding($0, maximumLength: limit).ids }
        let order = rows.indices.sorted { (rows[$0].count, $0) < (rows[$1].count, $1) }
        return try withoutGradients {
            var pieces: [Tensor] = []
            for start in stride(from: 0, to: order.count, by: batchSize) {
                let batch = try TokenBatch(
                    order[start..<min(start + batchSize, order.count)].map { rows[$0] }, padId: padId)
                let vectors = try pooled(transformer.states(batch), of: batch)
                pieces.append(try vectors / vectors.norm([1], keepDimensions: true).clamped(min: 1e-12))
            }
            var back = [Int](repeating: 0, count: order.count)
            for (place, index) in order.enumerated() { back[index] = place }
            return try Tensor.concatenated(pieces).selecting(Tensor(back))
        }
    }
}
