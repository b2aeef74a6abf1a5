import Foundation
import HoneFormats
import Testing

@testable import HoneHub

/// Hugging Face's own client as the second user of the cache; needs `HONE_HUB_PYTHON`, a Python with `huggingface_hub`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["HONE_HUB_PYTHON"] != nil))
struct PythonClientTests {
    private let name = "some-org/tiny.model"

    private func python(_ script: String, _ environment: [String: String]) throws -> String {
        let process = Process()
        let python = ProcessInfo.processInfo.environment["HONE_HUB_PYTHON"] ?? ""
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = ["-c", script]
        process.environment = ["HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"].merging(
            environment
        ) { $1 }
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    @Test("what Python downloads, Hone finds offline", arguments: ["main", "refs/pr/3"])
    func fromPython(_ revision: String) throws {
        var model = sampleModel()
        model.revisions = [revision]
        let hub = try FakeHub([name: model])
        try withFolder { folder in
            let environment = ["HF_HOME": folder + "/h", "HF_ENDPOINT": hub.hub.address, "HOME": folder]
            let path = try python(
                "import huggingface_hub as h; print(h.snapshot_download('\(name)', revision='\(revision)'))",
                environment)
            let offline = try hub.client(folder, ["HF_HOME": folder + "/h", "HF_HUB_OFFLINE": "1"])
            let location = try offline.location(of: ModelReference("\(name)@\(revision)"))
            #expect(location.folder == path && location.commit == model.commit)
        }
    }

    @Test("what Hone downloads, Python finds offline, and its scan has nothing to complain of")
    func toPython() throws {
        let model = sampleModel()
        let hub = try FakeHub([name: model])
        try withFolder { folder in
            let location = try hub.client(folder, ["HF_HOME": folder + "/h"]).location(of: ModelReference(name))
            let environment = ["HF_HOME": folder + "/h", "HF_HUB_OFFLINE": "1", "HOME": folder]
            let script = """
                import huggingface_hub as h
                print(h.snapshot_download('\(name)'))
                print(h.snapshot_download('\(name)', revision='\(model.commit)'))
                print(h.hf_hub_download('\(name)', 'model.safetensors'))
                print(h.try_to_load_from_cache('\(name)', '1_Pooling/config.json'))
                found = h.scan_cache_dir()
                print([r.repo_id for r in found.repos], len(found.warnings), [sorted(v.refs) for r in found.repos for v in r.revisions])
                """
            let lines = try python(script, environment).split(separator: "\n").map(String.init)
            #expect(
                lines == [
                    location.folder, location.folder, location.folder + "/model.safetensors",
                    location.folder + "/1_Pooling/config.json", "['\(name)'] 0 [['main']]",
                ])
        }
    }

    @Test("Python and Hone at the same time leave one whole model")
    func together() throws {
        let model = sampleModel(weightBytes: 2 << 20)
        let weights = model.files["model.safetensors"] ?? []
        let hash = FakeHub.hash(weights, "model.safetensors")
        let hub = try FakeHub(
            [name: model],
            storeAnswer: { request in
                guard request.path == "/\(hash)" else { return nil }
                var reply = FakeHub.content(weights, request)
                reply.delay = 0.5
                return reply
            })
        try withFolder { folder in
            let environment = ["HF_HOME": folder + "/h", "HF_ENDPOINT": hub.hub.address, "HOME": folder]
            let group = DispatchGroup()
            group.enter()
            Thread { [name] in
                defer { group.leave() }
                for _ in 0..<8 {
                    _ = try? hub.client(folder, ["HF_HOME": folder + "/h"]).pull(ModelReference(name))
                    usleep(200_000)
                }
            }.start()
            let path = try python("import huggingface_hub as h; print(h.snapshot_download('\(name)'))", environment)
            group.wait()
            #expect(tree(path)["model.safetensors"] == weights)
            #expect(hub.store.requests.count { $0.path == "/\(hash)" } == 1)
            let left = tree(folder + "/h").keys.filter { $0.contains("incomplete") }
            #expect(left.isEmpty, "\(left)")
        }
    }

    @Test("what Python has begun, Hone completes")
    func completed() throws {
        let model = sampleModel()
        let hub = try FakeHub([name: model])
        try withFolder { folder in
            let environment = ["HF_HOME": folder + "/h", "HF_ENDPOINT": hub.hub.address, "HOME": folder]
            _ = try python("import huggingface_hub as h; h.hf_hub_download('\(name)', 'config.json')", environment)
            let location = try hub.client(folder, ["HF_HOME": folder + "/h"]).location(of: ModelReference(name))
            #expect(tree(location.folder)["model.safetensors"] == model.files["model.safetensors"])
        }
    }
}
