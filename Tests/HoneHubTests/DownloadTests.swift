import Foundation
import HoneFormats
import Synchronization
import Testing

@testable import HoneHub

@Suite struct DownloadTests {
    private let name = "some-org/tiny.model"

    @Test("a download makes the layout that Hugging Face's tools make, of the files that a model needs")
    func layout() throws {
        let model = sampleModel()
        let hub = try FakeHub([name: model])
        try withFolder { folder in
            let location = try hub.client(folder, ["HF_TOKEN": "hf_secret"]).location(of: ModelReference(name))
            let base = folder + "/.cache/huggingface/hub/models--some-org--tiny.model"
            #expect(location.folder == "\(base)/snapshots/\(model.commit)")
            #expect(location.commit == model.commit && location.repository == name && location.revision == "main")
            let wanted = [
                "config.json", "tokenizer.json", "model.safetensors", "vocab.txt", "1_Pooling/config.json",
                "additional_chat_templates/rag.jinja", "empty.txt",
            ]
            #expect(tree(location.folder) == model.files.filter { wanted.contains($0.key) })
            #expect(try String(contentsOfFile: base + "/refs/main", encoding: .utf8) == model.commit)
            let files = FileManager.default
            let hash = FakeHub.hash(model.files["model.safetensors"] ?? [], "model.safetensors")
            #expect(
                try files.destinationOfSymbolicLink(atPath: location.folder + "/model.safetensors")
                    == "../../blobs/\(hash)")
            let pooling = FakeHub.hash(Array("{}".utf8), "config.json")
            #expect(
                try files.destinationOfSymbolicLink(atPath: location.folder + "/1_Pooling/config.json")
                    == "../../../blobs/\(pooling)")
            #expect(try files.contentsOfDirectory(atPath: base + "/blobs").allSatisfy { !$0.contains("incomplete") })
            // The token goes to the hub, and never to where its large files are.
            #expect(hub.hub.requests.allSatisfy { $0.headers["authorization"] == "Bearer hf_secret" })
            #expect(!hub.store.requests.isEmpty && hub.store.requests.allSatisfy { $0.headers["authorization"] == nil })
        }
    }

    @Test("what is in the cache is found without the network, also offline")
    func cached() throws {
        let hub = try FakeHub([name: sampleModel()])
        try withFolder { folder in
            let client = try hub.client(folder)
            let first = try client.location(of: ModelReference(name))
            let count = hub.hub.requests.count
            #expect(try client.location(of: ModelReference(name)) == first)
            let offline = try hub.client(folder, ["HF_HUB_OFFLINE": "1"])
            #expect(try offline.location(of: ModelReference(name)) == first)
            let commit = try ModelReference("\(name)@\(first.commit ?? "")")
            #expect(try offline.location(of: commit).folder == first.folder)
            #expect(try ModelLocation.named(name) { offline } == first)
            #expect(hub.hub.requests.count == count)
            expectRefusal(["other/model", "not in the Hub cache", "HF_HUB_OFFLINE"]) {
                try offline.location(of: ModelReference("other/model"))
            }
            try FileManager.default.removeItem(atPath: first.folder + "/model.safetensors")
            expectRefusal(["model.safetensors missing", "HF_HUB_OFFLINE"]) {
                try offline.location(of: ModelReference(name))
            }
            // Online, only what is missing is made again; the blob is still there.
            let stored = hub.store.requests.count
            #expect(try client.location(of: ModelReference(name)) == first)
            #expect(hub.store.requests.count == stored)
        }
    }

    @Test("branches with slashes, pull requests and commits", arguments: ["refs/pr/1", "a/b", "v1.0"])
    func revisions(_ revision: String) throws {
        var model = sampleModel(weightBytes: 100)
        model.revisions = [revision]
        let hub = try FakeHub([name: model])
        try withFolder { folder in
            let client = try hub.client(folder)
            let location = try client.location(of: ModelReference("\(name)@\(revision)"))
            #expect(location.revision == revision)
            let ref = folder + "/.cache/huggingface/hub/models--some-org--tiny.model/refs/" + revision
            #expect(try String(contentsOfFile: ref, encoding: .utf8) == model.commit)
            expectRefusal(["some-org/tiny.model@nowhere", "no revision"]) {
                try client.location(of: ModelReference("\(name)@nowhere"))
            }
        }
    }

    @Test("a commit leaves no ref")
    func commit() throws {
        let model = sampleModel(weightBytes: 100)
        let hub = try FakeHub([name: model])
        try withFolder { folder in
            _ = try hub.client(folder).location(of: ModelReference("\(name)@\(model.commit)"))
            let base = folder + "/.cache/huggingface/hub/models--some-org--tiny.model"
            #expect(!FileManager.default.fileExists(atPath: base + "/refs"))
        }
    }

    @Test("a branch that has moved is followed by `pull`, and not before")
    func moved() throws {
        let old = sampleModel(weightBytes: 100)
        var new = sampleModel(weightBytes: 200, seed: 2)
        new.commit = String(repeating: "ab", count: 20)
        let first = try FakeHub([name: old])
        let second = try FakeHub([name: new])
        try withFolder { folder in
            #expect(try first.client(folder).location(of: ModelReference(name)).commit == old.commit)
            #expect(try second.client(folder).location(of: ModelReference(name)).commit == old.commit)
            let pulled = try second.client(folder).pull(ModelReference(name))
            #expect(pulled.commit == new.commit)
            #expect(try second.client(folder).location(of: ModelReference(name)) == pulled)
            // The small files are the same, so only their descriptions were asked for.
            #expect(second.hub.requests.allSatisfy { $0.method == "HEAD" || $0.path.hasPrefix("/api") })
        }
    }

    @Test("sharded weights: the index says which files are fetched")
    func shards() throws {
        var model = sampleModel()
        model.files["model.safetensors"] = nil
        model.files["model-00001-of-00002.safetensors"] = [1, 2, 3]
        model.files["model-00002-of-00002.safetensors"] = [4, 5]
        model.files["consolidated.safetensors"] = [6]
        let map = #"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#
        model.files["model.safetensors.index.json"] = Array(map.utf8)
        let hub = try FakeHub([name: model])
        try withFolder { folder in
            let location = try hub.client(folder).location(of: ModelReference(name))
            let files = tree(location.folder)
            #expect(files["model-00001-of-00002.safetensors"] == [1, 2, 3])
            #expect(files["model-00002-of-00002.safetensors"] == [4, 5])
            #expect(files["consolidated.safetensors"] == nil)
        }
    }

    @Test("a connection that is cut goes on where it was cut")
    func cut() throws {
        let model = sampleModel(weightBytes: 4 << 20)
        let weights = model.files["model.safetensors"] ?? []
        let hub = try FakeHub(
            [name: model],
            storeAnswer: { request in
                guard (request.rangeStart ?? 0) < 3 << 20 else { return nil }
                var reply = FakeHub.content(weights, request)
                reply.cutAfter = 5 << 18
                return reply
            })
        try withFolder { folder in
            let last = Mutex<HubProgress?>(nil)
            var client = try hub.client(folder)
            client.report = { progress in last.withLock { $0 = progress } }
            let location = try client.location(of: ModelReference(name))
            #expect(tree(location.folder)["model.safetensors"] == weights)
            #expect(hub.store.requests.map { $0.rangeStart ?? 0 } == [0, 5 << 18, 10 << 18, 15 << 18])
            let progress = try #require(last.withLock { $0 })
            #expect(progress.isDone && progress.files == 7 && progress.filesDone == 7)
            #expect(progress.bytes == progress.bytesDone)
            // Two small files have the same content, which is fetched once.
            #expect(progress.bytesReceived == progress.bytes - 2)
        }
    }

    @Test("a download that was given up goes on in the next program", arguments: [true, false])
    func resume(_ knowsRanges: Bool) throws {
        let model = sampleModel(weightBytes: 200_000)
        let weights = model.files["model.safetensors"] ?? []
        let isCut = Mutex(true)
        let hub = try FakeHub(
            [name: model],
            storeAnswer: { request in
                if isCut.withLock({ $0 }) { return Reply(body: weights, cutAfter: 150_000) }
                return knowsRanges ? nil : Reply(body: weights)
            })
        try withFolder { folder in
            expectRefusal(["model.safetensors", "breaks off", "kept"]) {
                try hub.client(folder, attempts: 1).location(of: ModelReference(name))
            }
            let blobs = folder + "/.cache/huggingface/hub/models--some-org--tiny.model/blobs"
            let hash = FakeHub.hash(weights, "model.safetensors")
            #expect(FileManager.default.contents(atPath: "\(blobs)/\(hash).hone.incomplete")?.count == 150_000)
            #expect(!FileManager.default.fileExists(atPath: "\(blobs)/\(hash)"))
            isCut.withLock { $0 = false }
            let location = try hub.client(folder).location(of: ModelReference(name))
            #expect(tree(location.folder)["model.safetensors"] == weights)
            #expect(hub.store.requests.last?.rangeStart == 150_000)
            #expect(!FileManager.default.fileExists(atPath: "\(blobs)/\(hash).hone.incomplete"))
        }
    }

    @Test("a damaged rest of an earlier download is noticed and fetched anew", arguments: [70_000, 200_000, 300_000])
    func damagedRest(_ length: Int) throws {
        let model = sampleModel(weightBytes: 200_000)
        let weights = model.files["model.safetensors"] ?? []
        let hub = try FakeHub([name: model])
        try withFolder { folder in
            let blobs = folder + "/.cache/huggingface/hub/models--some-org--tiny.model/blobs"
            try FileManager.default.createDirectory(atPath: blobs, withIntermediateDirectories: true)
            let hash = FakeHub.hash(weights, "model.safetensors")
            try Data(count: length).write(to: URL(fileURLWithPath: "\(blobs)/\(hash).hone.incomplete"))
            let location = try hub.client(folder).location(of: ModelReference(name))
            #expect(tree(location.folder)["model.safetensors"] == weights)
        }
    }

    @Test("a server that is busy is asked again")
    func busy() throws {
        let counts = Mutex([String: Int]())
        let hub = try FakeHub(
            [name: sampleModel(weightBytes: 1000)],
            answer: { request in
                let count = counts.withLock {
                    $0[request.method + request.path, default: 0] += 1
                    return $0[request.method + request.path] ?? 0
                }
                return count <= 2 ? Reply(status: count == 1 ? 503 : 429, headers: [("Retry-After", "0")]) : nil
            })
        try withFolder { folder in
            _ = try hub.client(folder).location(of: ModelReference(name))
        }
    }

    @Test("several clients at once fetch the large file once")
    func together() throws {
        let model = sampleModel(weightBytes: 1 << 20)
        let weights = model.files["model.safetensors"] ?? []
        let hub = try FakeHub(
            [name: model],
            storeAnswer: { request in
                var reply = FakeHub.content(weights, request)
                reply.delay = 0.3
                return reply
            })
        try withFolder { folder in
            let found = Mutex([ModelLocation]())
            let group = DispatchGroup()
            for _ in 0..<3 {
                group.enter()
                Thread { [name] in
                    defer { group.leave() }
                    if let location = try? hub.client(folder).location(of: ModelReference(name)) {
                        found.withLock { $0.append(location) }
                    }
                }.start()
            }
            group.wait()
            let locations = found.withLock { $0 }
            #expect(locations.count == 3 && Set(locations).count == 1)
            #expect(tree(locations.first?.folder ?? "")["model.safetensors"] == weights)
            #expect(hub.store.requests.count == 1)
        }
    }

    @Test("without links the snapshot holds the files themselves")
    func copies() throws {
        let model = sampleModel(weightBytes: 1000)
        let hub = try FakeHub([name: model])
        try withFolder { folder in
            let location = try hub.client(folder, ["HF_HUB_DISABLE_SYMLINKS": "1"]).location(of: ModelReference(name))
            let path = location.folder + "/model.safetensors"
            #expect((try? FileManager.default.destinationOfSymbolicLink(atPath: path)) == nil)
            #expect(tree(location.folder)["model.safetensors"] == model.files["model.safetensors"])
        }
    }

    private typealias Reply = TestServer.Reply
}
