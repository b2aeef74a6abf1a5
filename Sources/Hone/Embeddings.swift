import HoneFormats
import HoneModels
import HoneTorch

/// The vectors of some texts.
public struct Embeddings {
    /// The texts.
    public let texts: [String]
    /// The model's folder.
    public let model: String
    /// `[texts, width]`, `float32`
    public let vectors: Tensor

    /// The vectors of texts by a model.
    ///
    /// - Parameter promptName: the name of a prompt of the model that is put before every text.
    public init(of texts: [String], by named: NamedModel, promptName: String? = nil) throws {
        self.texts = texts
        model = named.path
        vectors = try named.sentenceEncoder(promptName: promptName).vectors(texts)
    }

    /// The length of a vector.
    public var width: Int { vectors.size(1) }

    /// The vectors, one a text.
    public var rows: [[Float]] {
        get throws {
            let all = try vectors.elements(Float.self)
            return stride(from: 0, to: all.count, by: max(1, width)).map { Array(all[$0..<$0 + width]) }
        }
    }

    /// Writes the vectors: a `.safetensors` with the tensor `embeddings`, anything else as JSON Lines of `text` and `embedding`.
    public func write(to path: String) throws {
        if path.hasSuffix(".safetensors") {
            try TensorFiles.write([("embeddings", vectors)], metadata: ["format": "pt", "model": model], to: path)
            return
        }
        let lines = try zip(texts, rows).map { text, row in
            let line: JSON = ["text": .string(text), "embedding": .array(row.map { .number(Double($0)) })]
            return line.text() + "\n"
        }
        try AtomicFile.write(Array(lines.joined().utf8), to: path)
    }

    /// What was made, for programs.
    public func json(withVectors: Bool, file: String?) throws -> JSON {
        var object = JSONObject()
        object["model"] = .string(model)
        object["width"] = .integer(width)
        object["count"] = .integer(texts.count)
        object["file"] = file.map { .string($0) }
        if withVectors { object["embeddings"] = .array(try rows.map { .array($0.map { .number(Double($0)) }) }) }
        return .object(object)
    }
}
