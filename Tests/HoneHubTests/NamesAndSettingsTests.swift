import Foundation
import HoneFormats
import Testing

@testable import HoneHub

@Suite struct NamesAndSettingsTests {
    @Test("names of models, with and without a revision")
    func names() throws {
        #expect(try ModelReference("gpt2").repository == "gpt2")
        let plain = try ModelReference("Qwen/Qwen2.5-0.5B")
        #expect(
            plain.repository == "Qwen/Qwen2.5-0.5B" && plain.revision == "main" && plain.description == plain.repository
        )
        let branch = try ModelReference("a/b@refs/pr/1")
        #expect(branch.revision == "refs/pr/1" && branch.description == "a/b@refs/pr/1" && !branch.isCommit)
        #expect(try ModelReference("a/b@" + String(repeating: "0f", count: 20)).isCommit)
    }

    @Test(
        "what is no name is refused in a sentence",
        arguments: [
            "", "/", "a/", "/b", "a/b/c", "a b/c", "a--b/c", "a..b/c", "-a/b", "a/b.", "a/b.git", "ä/b", "a/b@",
            "a/b@/x",
            "a/b@x..y", "a/b@../x", "a/b@x y", "a/b@x\u{0}", "a/b@x.lock", "a/b@.x", "a/b@x//y", "a\\b",
            String(repeating: "a", count: 97),
        ])
    func refusedNames(_ text: String) {
        expectRefusal(["is no"], text) { try ModelReference(text) }
    }

    @Test("a folder that exists comes before a name; a path that does not exist is never looked for on the Hub")
    func folders() throws {
        struct Asked: Error {}
        try withFolder { folder in
            let found = try ModelLocation.named(folder) { throw Asked() }
            #expect(found == ModelLocation(folder: folder))
        }
        for path in ["/no/where", "./nowhere", "../nowhere", "~/nowhere", "nowhere/"] {
            expectRefusal([path, "no such folder"]) { try ModelLocation.named(path) { throw Asked() } }
        }
        expectRefusal(["a b/c", "no such folder", "owner/name"]) { try ModelLocation.named("a b/c") { throw Asked() } }
        #expect(throws: Asked.self) { try ModelLocation.named("owner/name") { throw Asked() } }
    }

    @Test("the cache is where Hugging Face's tools have it")
    func cache() throws {
        func cache(_ environment: [String: String]) throws -> String {
            try HubSettings(environment: environment.merging(["HOME": "/user"]) { $1 }).cache
        }
        #expect(try cache([:]) == "/user/.cache/huggingface/hub")
        #expect(try cache(["XDG_CACHE_HOME": "/x"]) == "/x/huggingface/hub")
        #expect(try cache(["HF_HOME": "/h", "XDG_CACHE_HOME": "/x"]) == "/h/hub")
        #expect(try cache(["HF_HOME": "~/h"]) == "/user/h/hub")
        #expect(try cache(["HF_HUB_CACHE": "$BASE/c/${BASE}$", "BASE": "/b"]) == "/b/c//b$")
        #expect(try cache(["HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/h"]) == "/old")
        #expect(try cache(["HF_HUB_CACHE": "/new", "HUGGINGFACE_HUB_CACHE": "/old"]) == "/new")
    }

    @Test("token, offline mode, address and times come from the environment")
    func others() throws {
        try withFolder { folder in
            func settings(_ environment: [String: String]) throws -> HubSettings {
                try HubSettings(environment: environment.merging(["HOME": folder]) { $1 })
            }
            #expect(try settings([:]).token == nil && settings([:]).isOffline == false)
            #expect(try settings([:]).endpoint == "https://huggingface.co")
            #expect(try settings(["HF_ENDPOINT": "http://localhost:80//"]).endpoint == "http://localhost:80")
            #expect(try settings(["HF_TOKEN": " hf_a\n"]).token == "hf_a")
            try FileManager.default.createDirectory(atPath: folder + "/h", withIntermediateDirectories: true)
            try "hf_file\n".write(toFile: folder + "/h/token", atomically: true, encoding: .utf8)
            #expect(try settings(["HF_HOME": folder + "/h"]).token == "hf_file")
            #expect(try settings(["HF_TOKEN_PATH": folder + "/h/token"]).token == "hf_file")
            #expect(try settings(["HF_HOME": folder + "/h", "HF_TOKEN": "hf_a"]).token == "hf_a")
            for text in ["1", "on", "YES", "True"] {
                #expect(try settings(["HF_HUB_OFFLINE": text]).isOffline)
                #expect(try settings(["TRANSFORMERS_OFFLINE": text]).isOffline)
            }
            #expect(try !settings(["HF_HUB_OFFLINE": "0"]).isOffline)
            #expect(try settings(["HF_HUB_DOWNLOAD_TIMEOUT": "30"]).stallTimeout == 30)
            expectRefusal(["HF_HUB_ETAG_TIMEOUT", "soon"]) { try settings(["HF_HUB_ETAG_TIMEOUT": "soon"]) }
            expectRefusal(["HF_ENDPOINT", "ftp://x"]) { try settings(["HF_ENDPOINT": "ftp://x"]) }
            expectRefusal(["HF_TOKEN"]) { try settings(["HF_TOKEN": "a\r\nX: y"]) }
        }
    }

    @Test("a ref that is no commit is no ref", arguments: ["", "main", "../../x", String(repeating: "z", count: 40)])
    func refs(_ content: String) throws {
        try withFolder { folder in
            let cache = HubCache(root: folder)
            try FileManager.default.createDirectory(
                atPath: folder + "/models--a--b/refs", withIntermediateDirectories: true)
            try content.write(toFile: folder + "/models--a--b/refs/main", atomically: true, encoding: .utf8)
            #expect(try cache.commit(of: ModelReference("a/b")) == nil)
            #expect(cache.repositories.isEmpty)
        }
    }

    @Test("git's hash of content")
    func gitHash() {
        func hash(_ text: String) -> String {
            var hash = ContentHash(.gitBlob(length: text.utf8.count))
            for byte in text.utf8 { withUnsafeBytes(of: byte) { hash.update($0) } }
            return hash.finish()
        }
        // By `git hash-object`.
        #expect(hash("") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
        #expect(hash("hello") == "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0")
    }
}
