import Foundation
import HoneFormats
import HoneMethods
import HoneTraining
import Testing

@Suite struct CheckpointTests {
    private let method: any Method

    init() throws { method = try Methods.make("lora", typed: ["rank": "2", "dropout": "0.1"]) }

    private func newest(_ store: CheckpointStore) throws -> String {
        store.folder + "/step-0000000" + String(try #require(store.steps.first))
    }

    /// Damages that leave something of a checkpoint.
    static let damages = [
        "truncated", "flipped", "without tensors", "without numbers", "without manifest", "changed numbers",
    ]

    private func damage(_ kind: String, _ folder: String) throws {
        let tensors = folder + "/state.safetensors"
        var bytes = try Data(contentsOf: URL(fileURLWithPath: tensors))
        switch kind {
        case "truncated": try bytes.prefix(bytes.count - 100).write(to: URL(fileURLWithPath: tensors))
        case "flipped":
            bytes[bytes.count - 50] ^= 1
            try bytes.write(to: URL(fileURLWithPath: tensors))
        case "without tensors": try FileManager.default.removeItem(atPath: tensors)
        case "without numbers": try FileManager.default.removeItem(atPath: folder + "/state.json")
        case "without manifest": try FileManager.default.removeItem(atPath: folder + "/manifest.json")
        default:
            let file = folder + "/state.json"
            var text = try String(contentsOfFile: file, encoding: .utf8)
            text.replace("\"step\": 9", with: "\"step\": 8")
            try text.write(toFile: file, atomically: false, encoding: .utf8)
        }
    }

    @Test func `the newest two are kept`() throws {
        let run = try TinyRun(steps: 9)
        run.plan.checkpointEvery = 2
        let store = try run.store()
        _ = try run.run(method, store)
        #expect(run.checkpoints == [2, 4, 6, 8, 9])
        #expect(store.steps == [9, 8])
    }

    @Test(arguments: damages)
    func `a damaged checkpoint is moved aside and the one before it is taken`(kind: String) throws {
        let run = try TinyRun(steps: 9)
        run.plan.checkpointEvery = 3
        let store = try run.store()
        let whole = try run.run(method, store)
        let folder = try newest(store)
        try damage(kind, folder)

        let again = try run.run(method, store, resume: true)
        #expect(run.warnings.count == 1)
        #expect(run.warnings.first?.contains("the checkpoint of step 9 is damaged") == true)
        #expect(run.losses.keys.sorted() == [7, 8, 9])
        #expect(try run.numbers(again.parameters) == run.numbers(whole.parameters))
        let aside = try FileManager.default.contentsOfDirectory(atPath: store.folder).filter {
            $0.hasPrefix("damaged-9-")
        }
        #expect(aside.count == 1)
        #expect(store.steps == [9, 6])
    }

    @Test func `where every checkpoint is damaged, the run begins again and says why`() throws {
        let run = try TinyRun(steps: 4)
        run.plan.checkpointEvery = 2
        let store = try run.store()
        let whole = try run.run(method, store)
        for step in store.steps { try damage("truncated", store.folder + "/step-0000000\(step)") }
        let again = try run.run(method, store, resume: true)
        #expect(run.warnings.count == 3)
        #expect(run.warnings.first?.contains("step 4 is damaged") == true)
        #expect(run.warnings.last?.contains("starting from the beginning") == true)
        #expect(run.losses.count == 4)
        #expect(try run.numbers(again.parameters) == run.numbers(whole.parameters))
    }

    @Test func `a run with other settings is refused with the difference`() throws {
        let run = try TinyRun(steps: 4)
        _ = try run.run(method, run.store(), stopAfter: 2)
        run.plan.learningRate = 2e-2
        let error = #expect(throws: HoneError.self) { try run.run(method, run.store(), resume: true) }
        #expect(error?.code == .mismatch)
        #expect(error?.item == "plan.learning_rate (was 0.01, now 0.02)")
        #expect(try run.store().steps == [2], "a refused checkpoint is left where it is")
    }

    @Test func `a checkpoint of a newer version is refused, not moved aside`() throws {
        let run = try TinyRun(steps: 2)
        let store = try run.store()
        _ = try run.run(method, store)
        let file = try newest(store) + "/manifest.json"
        var text = try String(contentsOfFile: file, encoding: .utf8)
        text.replace("\"version\": 1", with: "\"version\": 2")
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let error = #expect(throws: HoneError.self) { try run.run(method, store, resume: true) }
        #expect(error?.code == .unsupported)
        #expect(store.steps == [2])
    }

    @Test func `a new run in the folder of a longer one keeps its own checkpoints only`() throws {
        let run = try TinyRun(steps: 9)
        run.plan.checkpointEvery = 4
        let store = try run.store()
        _ = try run.run(method, store)
        run.plan.learningRate = 2e-2
        let other = try run.store()
        let stopped = try run.run(method, other, stopAfter: 3)
        #expect(stopped.ending == .interrupted)
        #expect(other.steps == [3])
        let outcome = try run.run(method, other, resume: true)
        #expect(run.losses.keys.sorted() == [4, 5, 6, 7, 8, 9])
        #expect(outcome.ending == .finished)
    }

    @Test func `what a killed writer has left behind is not taken for a checkpoint`() throws {
        let run = try TinyRun(steps: 3)
        let store = try run.store()
        for name in [".hone-abc.tmp", "step-", "step-x", "damaged-2-00000000"] {
            try FileManager.default.createDirectory(
                atPath: store.folder + "/" + name, withIntermediateDirectories: true)
        }
        let outcome = try run.run(method, store, resume: true)
        #expect(outcome.steps == 3)
        #expect(run.warnings == ["there is no checkpoint to go on from; starting from the beginning"])
    }
}
