import Foundation
import HoneFormats
import Synchronization
import Testing

@testable import HoneHub

/// A hub with models in memory, and a second server for large files, as the real one has.
final class FakeHub: Sendable {
    struct Model: Sendable {
        var commit = String(repeating: "c0ffee", count: 7).prefix(40).description
        var files: [String: [UInt8]] = [:]
        /// What else leads to the commit.
        var revisions = ["main"]
    }

    typealias Request = TestServer.Request
    typealias Reply = TestServer.Reply

    let hub: TestServer
    let store: TestServer
    private let models: Mutex<[String: Model]>

    /// A hub.
    ///
    /// - Parameters:
    ///   - answer: may answer a request to the hub in its own way.
    ///   - storeAnswer: the same for the server of large files.
    init(
        _ models: [String: Model], answer: @escaping @Sendable (Request) -> Reply? = { _ in nil },
        storeAnswer: @escaping @Sendable (Request) -> Reply? = { _ in nil }
    ) throws {
        self.models = Mutex(models)
        let blobs = Dictionary(
            models.values.flatMap { $0.files.values.map { (FileHash.sha256(of: $0), $0) } }, uniquingKeysWith: { $1 })
        let store = try TestServer { request in
            storeAnswer(request) ?? FakeHub.content(blobs[String(request.path.dropFirst())] ?? [], request)
        }
        self.store = store
        let models = models
        hub = try TestServer { request in
            answer(request) ?? FakeHub.reply(request, models, store: store.address)
        }
    }

    deinit {
        hub.stop()
        store.stop()
    }

    /// Large files go to the other server, under the name of their hash.
    static func isLarge(_ name: String) -> Bool { name.hasSuffix(".safetensors") || name.hasSuffix(".bin") }

    static func hash(_ bytes: [UInt8], _ name: String) -> String {
        if isLarge(name) { return FileHash.sha256(of: bytes) }
        var hash = ContentHash(.gitBlob(length: bytes.count))
        bytes.withUnsafeBytes { hash.update($0) }
        return hash.finish()
    }

    /// Bytes, or the part that is asked for.
    static func content(_ bytes: [UInt8], _ request: Request, headers: [(String, String)] = []) -> Reply {
        guard let start = request.rangeStart else { return Reply(headers: headers, body: bytes) }
        guard start < bytes.count else { return Reply(status: 416) }
        return Reply(
            status: 206, headers: headers + [("Content-Range", "bytes \(start)-\(bytes.count - 1)/\(bytes.count)")],
            body: Array(bytes[start...]))
    }

    private static func missing(_ code: String) -> Reply { Reply(status: 404, headers: [("X-Error-Code", code)]) }

    private static func reply(_ request: Request, _ models: [String: Model], store: String) -> Reply {
        let bare = request.path.prefix { $0 != "?" }
        let path: [String] = bare.split(separator: "/").map { part in
            let text = String(part)
            return text.removingPercentEncoding ?? text
        }
        guard path.count >= 5 else { return missing("RepoNotFound") }
        if path[0] == "api" {
            let name: String = path[2] + "/" + path[3]
            guard let model = models[name] else { return missing("RepoNotFound") }
            let revision = path.count > 5 ? path[5] : "main"
            guard revision == model.commit || model.revisions.contains(revision) else {
                return missing("RevisionNotFound")
            }
            let json = path[4] == "revision" ? facts(model, name) : listing(model)
            return Reply(headers: [("Content-Type", "application/json")], body: Array(json.text().utf8))
        }
        let name: String = path[0] + "/" + path[1]
        guard let model = models[name] else { return missing("RepoNotFound") }
        guard path[3] == model.commit || model.revisions.contains(path[3]) else { return missing("RevisionNotFound") }
        let file: String = path.dropFirst(4).joined(separator: "/")
        guard let bytes = model.files[file] else { return missing("EntryNotFound") }
        let hash = hash(bytes, file)
        var headers: [(String, String)] = [("X-Repo-Commit", model.commit), ("Accept-Ranges", "bytes")]
        guard isLarge(file) else {
            headers.append(("ETag", "\"\(hash)\""))
            return content(bytes, request, headers: headers)
        }
        headers.append(("X-Linked-Etag", "\"\(hash)\""))
        headers.append(("X-Linked-Size", String(bytes.count)))
        headers.append(("ETag", "\"something else\""))
        headers.append(("Location", "\(store)/\(hash)"))
        return Reply(status: 302, headers: headers, body: Array("Found".utf8))
    }

    private static func facts(_ model: Model, _ name: String) -> JSON {
        let siblings = model.files.keys.sorted().map { file -> JSON in ["rfilename": .string(file)] }
        return ["id": .string(name), "sha": .string(model.commit), "siblings": .array(siblings)]
    }

    private static func listing(_ model: Model) -> JSON {
        var entries: [JSON] = []
        for (name, bytes) in model.files.sorted(by: { $0.key < $1.key }) {
            var entry = JSONObject()
            entry["type"] = "file"
            entry["path"] = .string(name)
            entry["size"] = .integer(bytes.count)
            entry["oid"] = .string(isLarge(name) ? String(repeating: "a", count: 40) : hash(bytes, name))
            if isLarge(name) {
                entry["lfs"] = [
                    "oid": .string(hash(bytes, name)), "size": .integer(bytes.count), "pointerSize": 134,
                ]
            }
            entries.append(.object(entry))
        }
        return .array(entries)
    }

    /// A client with a cache in a folder.
    func client(_ folder: String, _ more: [String: String] = [:], attempts: Int = 5) throws -> HubClient {
        try FakeHub.client(folder, endpoint: hub.address, more, attempts: attempts)
    }

    static func client(
        _ folder: String, endpoint: String, _ more: [String: String] = [:], attempts: Int = 5
    ) throws -> HubClient {
        let environment = ["HOME": folder, "HF_ENDPOINT": endpoint].merging(more) { $1 }
        var settings = try HubSettings(environment: environment)
        settings.firstDelay = 0.01
        settings.attempts = attempts
        return try HubClient(settings: settings)
    }
}

/// A model that can be loaded as far as its files go; weights of the given size that do not compress.
func sampleModel(weightBytes: Int = 300_000, seed: UInt64 = 1) -> FakeHub.Model {
    var state = seed
    let weights = (0..<weightBytes).map { _ -> UInt8 in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
    }
    var model = FakeHub.Model()
    model.files = [
        "config.json": Array(#"{"model_type": "bert"}"#.utf8), "tokenizer.json": Array("{}".utf8),
        "model.safetensors": weights, "vocab.txt": Array("a\nb\n".utf8), "1_Pooling/config.json": Array("{}".utf8),
        "additional_chat_templates/rag.jinja": Array("{{ x }}".utf8), ".gitattributes": Array("*".utf8),
        "README.md": Array("# text".utf8), "pytorch_model.bin": [0x80, 0x02, 0x2E], "onnx/model.onnx": [1, 2],
        "train.py": Array("import os".utf8), "empty.txt": [],
    ]
    return model
}

/// Runs a closure with a new empty folder, which is removed afterwards.
func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = NSTemporaryDirectory() + "hone-hub-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

/// Expects a refusal whose description has all words; gives it back.
func expectRefusal<Value>(
    _ words: [String], _ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> Value
) {
    do {
        let value = try body()
        Issue.record("accepted as \(value) \(comment)", sourceLocation: sourceLocation)
    } catch let error as HoneError {
        for word in words where !error.description.contains(word) {
            Issue.record("\(comment): “\(error)” does not say “\(word)”", sourceLocation: sourceLocation)
        }
    } catch {
        Issue.record("\(comment): threw \(error), which is no HoneError", sourceLocation: sourceLocation)
    }
}

/// Every file below a folder with its content; links are followed.
func tree(_ folder: String) -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    for name in (try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? [] {
        var isFolder: ObjCBool = false
        let path = folder + "/" + name
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue else {
            continue
        }
        found[name] = Array(FileManager.default.contents(atPath: path) ?? Data())
    }
    return found
}
