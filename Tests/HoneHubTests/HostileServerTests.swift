import Foundation
import HoneFormats
import Testing

@testable import HoneHub

/// Whatever a server says: an error in a sentence, soon, and nothing outside the cache.
@Suite struct HostileServerTests {
    private typealias Reply = TestServer.Reply
    private let name = "org/model"

    /// Runs a download that must fail with words, and looks whether anything was left outside of the cache or under a
    /// final name.
    private func refuse(
        _ words: [String], model: FakeHub.Model = sampleModel(weightBytes: 5000), environment: [String: String] = [:],
        sourceLocation: SourceLocation = #_sourceLocation,
        answer: @escaping @Sendable (TestServer.Request) -> TestServer.Reply? = { _ in nil },
        store: @escaping @Sendable (TestServer.Request) -> TestServer.Reply? = { _ in nil }
    ) throws {
        let hub = try FakeHub([name: model], answer: answer, storeAnswer: store)
        try withFolder { folder in
            let client = try hub.client(
                folder + "/user",
                ["HF_HUB_DOWNLOAD_TIMEOUT": "20", "HF_HUB_ETAG_TIMEOUT": "20"].merging(environment) { $1 },
                attempts: 2)
            let start = Date()
            expectRefusal(words, sourceLocation: sourceLocation) { try client.location(of: ModelReference(name)) }
            #expect(Date().timeIntervalSince(start) < 120, sourceLocation: sourceLocation)
            let left = tree(folder).keys.filter { !$0.hasPrefix("user/.cache/huggingface/hub/") }
            #expect(left.isEmpty, "\(left)", sourceLocation: sourceLocation)
            let weights = model.files["model.safetensors"] ?? []
            for (path, content) in tree(folder) where path.hasSuffix("/model.safetensors") {
                #expect(content == weights, sourceLocation: sourceLocation)
            }
            #expect(!tree(folder).keys.contains { $0.contains("/refs/") }, sourceLocation: sourceLocation)
        }
    }

    @Test("a length that is not kept: too long, too short, none, nonsense")
    func lengths() throws {
        try refuse(
            ["model.safetensors", "more than the 5000 bytes"],
            store: { _ in Reply(body: .init(repeating: 7, count: 9000)) })
        try refuse(
            ["model.safetensors", "4000 of 5000 bytes"], store: { _ in Reply(body: .init(repeating: 7, count: 4000)) })
        try refuse(["model.safetensors", "length"]) { request in
            guard request.path.hasSuffix("model.safetensors") else { return nil }
            return Reply(
                status: 302,
                headers: [
                    ("X-Linked-Etag", String(repeating: "a", count: 64)), ("X-Linked-Size", "-5"),
                    ("Location", "http://127.0.0.1:1/x"),
                ])
        }
        try refuse(["config.json", "that large"]) { request in
            guard request.path.hasSuffix("/config.json"), request.method == "HEAD" else { return nil }
            return Reply(headers: [("ETag", String(repeating: "a", count: 40))], claimedLength: 1 << 40)
        }
        try refuse(["free"]) { request in
            guard request.path.hasSuffix("model.safetensors"), request.method == "HEAD" else { return nil }
            return Reply(headers: [("ETag", String(repeating: "a", count: 64))], claimedLength: 1 << 43)
        }
    }

    @Test("a body without end, with a length and without")
    func endless() throws {
        try refuse(
            ["model.safetensors", "more than"],
            store: { _ in Reply(body: .init(repeating: 7, count: 4096), isEndless: true) })
        try refuse(["org/model", "end"]) { request in
            request.path.hasPrefix("/api") ? Reply(body: .init(repeating: 0x20, count: 1 << 20), isEndless: true) : nil
        }
        try refuse(["no end"]) { request in
            request.path.hasPrefix("/api")
                ? Reply(status: 403, body: .init(repeating: 0x20, count: 1 << 20), isEndless: true) : nil
        }
    }

    @Test("another content than the hash promises, of both kinds")
    func hashes() throws {
        try refuse(
            ["model.safetensors", "SHA-256", "nothing of it was kept"],
            store: { _ in
                Reply(body: .init(repeating: 7, count: 5000))
            })
        try refuse(["config.json", "git hash"]) { request in
            guard request.path.hasSuffix("/config.json") else { return nil }
            return FakeHub.content(
                Array("{}".utf8), request, headers: [("ETag", "\"\(String(repeating: "b", count: 40))\"")])
        }
    }

    @Test(
        "an ETag that is no hash never becomes a name of a file",
        arguments: ["../../../../evil", "/tmp/evil", "", "W/\"abc\"", String(repeating: "g", count: 40)])
    func tags(_ tag: String) throws {
        try refuse(["config.json", "hash"]) { request in
            request.path.hasSuffix("/config.json") ? Reply(headers: [("ETag", tag)], body: [1]) : nil
        }
    }

    @Test(
        "names that lead out of their folder are refused before anything is fetched",
        arguments: [
            "../evil.json", "a/../../evil.json", "/tmp/evil.json", "..\\evil.json", "a\u{0}b.json", "c:\\evil.json",
            "additional_chat_templates/../../../evil.jinja", "x//config.json", "CON.json", "evil\u{202E}nosj.json",
        ])
    func names(_ bad: String) throws {
        var model = sampleModel(weightBytes: 10)
        model.files[bad] = [1]
        try refuse(["org/model", "the server lists files", "refused"], model: model)
    }

    @Test(
        "a commit that is no commit",
        arguments: ["../../evil", "", String(repeating: "A", count: 40), String(repeating: "a", count: 39) + "/"])
    func commits(_ commit: String) throws {
        try refuse(["commit"]) { request in
            guard request.path.hasPrefix("/api") else { return nil }
            let body: JSON = ["sha": .string(commit), "siblings": []]
            return Reply(body: Array(body.text().utf8))
        }
    }

    @Test("answers that are no answers")
    func nonsense() throws {
        try refuse(["does not answer like the Hub"]) { _ in Reply(body: Array("<html>Log in</html>".utf8)) }
        try refuse(["does not answer like the Hub"]) { _ in
            Reply(body: .init(repeating: UInt8(ascii: "["), count: 100_000))
        }
        try refuse(["lists no files"]) { _ in
            Reply(body: Array(#"{"sha": "\#(String(repeating: "a", count: 40))", "siblings": 7}"#.utf8))
        }
        try refuse(["another commit"]) { request in
            request.path.contains("/resolve/")
                ? Reply(headers: [("X-Repo-Commit", String(repeating: "1", count: 40)), ("ETag", "x")]) : nil
        }
    }

    @Test("redirects: loops, and to what is no safe address")
    func redirects() throws {
        try refuse(["redirects without end"]) { Reply(status: 302, headers: [("Location", $0.path)]) }
        try refuse(["redirects without end"], store: { Reply(status: 307, headers: [("Location", $0.path + "x")]) })
        for bad in [
            "file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:pass@127.0.0.1/x", "http://a\\@b/", "", "gopher:x",
        ] {
            try refuse(["redirects to something that is no safe address"]) { _ in
                Reply(status: 302, headers: [("Location", bad)])
            }
        }
    }

    @Test("the token does not follow a redirect to another server")
    func token() throws {
        let other = try TestServer { _ in Reply(status: 404) }
        defer { other.stop() }
        let address = other.address
        try refuse(["org/model"], environment: ["HF_TOKEN": "hf_secret"]) { request in
            request.path.hasPrefix("/api") ? Reply(status: 302, headers: [("Location", address + "/api")]) : nil
        }
        #expect(!other.requests.isEmpty && other.requests.allSatisfy { $0.headers["authorization"] == nil })
    }

    @Test("a server that stands still: before the answer, and within the content")
    func stalls() throws {
        let impatient = ["HF_HUB_DOWNLOAD_TIMEOUT": "2", "HF_HUB_ETAG_TIMEOUT": "2"]
        try refuse(
            ["not sent anything", "kept"], environment: impatient,
            store: { _ in Reply(body: [1, 2, 3], claimedLength: 5000, stalls: true) })
        try refuse(["not sent anything"], environment: impatient) { _ in Reply(delay: 5) }
    }

    @Test("a server that is not there")
    func absent() throws {
        try withFolder { folder in
            let client = try FakeHub.client(folder, endpoint: "http://127.0.0.1:1", attempts: 2)
            expectRefusal(["org/model", "cannot be reached", "HF_HUB_OFFLINE"]) {
                try client.location(of: ModelReference(name))
            }
        }
    }

    @Test(
        "each refusal has its sentence",
        arguments: [
            (401, "", ["no such model", "private", "HF_TOKEN"]), (401, "RepoNotFound", ["no such model"]),
            (403, "GatedRepo", ["consent", "/org/model"]), (401, "GatedRepo", ["consent"]), (403, "", ["403"]),
            (404, "", ["no such model"]), (404, "RevisionNotFound", ["no revision"]), (429, "", ["too many requests"]),
            (500, "", ["500", "try again later"]), (503, "", ["503"]), (418, "", ["418"]),
        ] as [(Int, String, [String])])
    func statuses(_ status: Int, _ code: String, _ words: [String]) throws {
        try refuse(["org/model"] + words) { _ in Reply(status: status, headers: [("X-Error-Code", code)]) }
        try refuse(
            words.filter { $0 != "no such model" && $0 != "private" },
            store: { _ in
                Reply(status: status, headers: [("X-Error-Code", code)])
            })
    }

    @Test("a wait that is too long is not waited for")
    func longWait() throws {
        try refuse(["too many requests", "3600 s"]) { _ in Reply(status: 429, headers: [("Retry-After", "3600")]) }
    }

    @Test("pickle weights are never fetched, and the refusal names them")
    func pickles() throws {
        var model = sampleModel(weightBytes: 10)
        model.files["model.safetensors"] = nil
        try refuse(["org/model", "pytorch_model.bin", "pickle", "convert"], model: model)
        model.files["pytorch_model.bin"] = nil
        try refuse(["org/model", "neither model.safetensors"], model: model)
    }

    @Test(
        "an index that names what it must not",
        arguments: [
            "../../evil.safetensors", "/etc/passwd.safetensors", "absent.safetensors", "pytorch_model.bin",
            "a\u{0}.safetensors",
        ])
    func indices(_ target: String) throws {
        var model = sampleModel(weightBytes: 10)
        model.files["model.safetensors"] = nil
        let index: JSON = ["weight_map": ["a": .string(target)]]
        model.files["model.safetensors.index.json"] = Array(index.text().utf8)
        try refuse(["model.safetensors.index.json"], model: model)
    }

    @Test(
        "links that lie in the cache lead no writing outside of it",
        arguments: ["", "blobs", "snapshots", "refs", ".locks"])
    func links(_ part: String) throws {
        let hub = try FakeHub([name: sampleModel(weightBytes: 10)])
        try withFolder { folder in
            let cache = folder + "/user/.cache/huggingface/hub"
            let outside = folder + "/outside"
            let files = FileManager.default
            try files.createDirectory(atPath: outside, withIntermediateDirectories: true)
            let place =
                part == ".locks" ? cache + "/.locks" : cache + "/models--org--model" + (part.isEmpty ? "" : "/" + part)
            try files.createDirectory(
                atPath: (place as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try files.createSymbolicLink(atPath: place, withDestinationPath: outside)
            let client = try hub.client(folder + "/user")
            expectRefusal(["link", "nothing is written through it"]) { try client.location(of: ModelReference(name)) }
            #expect(tree(outside).isEmpty)
        }
    }

    @Test("a link of a file that leads out of the cache is replaced by writers and refused by readers")
    func fileLinks() throws {
        let model = sampleModel(weightBytes: 10)
        let hub = try FakeHub([name: model])
        try withFolder { folder in
            let client = try hub.client(folder + "/user")
            let location = try client.location(of: ModelReference(name))
            let files = FileManager.default
            let outside = folder + "/outside"
            try Data("secret".utf8).write(to: URL(fileURLWithPath: outside))
            try files.removeItem(atPath: location.folder + "/config.json")
            try files.createSymbolicLink(atPath: location.folder + "/config.json", withDestinationPath: outside)
            expectRefusal(["config.json", "leads out of the cache"]) { try client.location(of: ModelReference(name)) }
            // A half-fetched file that is a link: not followed.
            let hash = FakeHub.hash(model.files["model.safetensors"] ?? [], "model.safetensors")
            let blobs = folder + "/user/.cache/huggingface/hub/models--org--model/blobs"
            try files.removeItem(atPath: location.folder + "/config.json")
            try files.removeItem(atPath: "\(blobs)/\(hash)")
            try files.createSymbolicLink(atPath: "\(blobs)/\(hash).hone.incomplete", withDestinationPath: outside)
            expectRefusal(["incomplete", "is a link"]) { try client.pull(ModelReference(name)) }
            #expect(try String(contentsOfFile: outside, encoding: .utf8) == "secret")
        }
    }
}
