import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneHub
import HoneModels
import HoneTorch

/// `hone doctor`
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Says what is installed, how many threads and devices there are, and where models are.")

    @Option(help: "Also load this model (a folder, or a name on the Hub) and say how long that takes.")
    var model: String?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        try Engine.start()
        var facts = SystemFacts.json.object ?? JSONObject()
        facts["processors"] = .integer(Engine.availableProcessors)
        facts["calibrated_threads"] = .integer(try Engine.calibratedThreads())
        facts["gigaflops_f32"] = .number(try speed(.float32))
        facts["gigaflops_bf16"] = .number(try speed(.bfloat16))
        facts["cuda_devices"] = .integer(Engine.cudaDevices)
        let hub = try HubSettings()
        facts["hub_cache"] = .string(hub.cache)
        facts["hub_models_cached"] = .integer(HubCache(root: hub.cache).repositories.count)
        facts["hub"] = .string(hub.isOffline ? "offline (HF_HUB_OFFLINE)" : hub.endpoint)
        facts["hub_token"] = .string(hub.token == nil ? "none" : "set")
        facts["hub_downloads"] = .string(HubClient.transferLibrary ?? "not possible: libcurl.so.4 is not installed")
        if let model {
            facts["model"] = try load(DefaultModel.location(model, hub: DownloadVoice.client(quiet: json)))
        }
        var problem: HoneError?
        do {
            facts["default_model"] = .string(try DefaultModel.folder())
        } catch let error as HoneError {
            facts["default_model"] = .null
            problem = error
        }
        if json {
            Console.print(json: .object(facts))
        } else {
            for (name, value) in facts.pairs {
                let label = name.replacingOccurrences(of: "_", with: " ")
                Console.print(label.padding(toLength: 24, withPad: " ", startingAt: 0) + (value.string ?? value.text()))
            }
        }
        if let problem { throw problem }
    }

    /// How long a model takes until it can be used, and how much memory it takes.
    private func load(_ location: ModelLocation) throws -> JSON {
        func milliseconds(_ work: () throws -> Void) rethrows -> JSON {
            let start = monotonicSeconds()
            try work()
            return .number(((monotonicSeconds() - start) * 10_000).rounded() / 10)
        }
        let before = SystemFacts.residentBytes
        var loaded: BaseModel?
        let opening = try milliseconds { loaded = try BaseModel(location) }
        guard let loaded else { return .null }
        let opened = SystemFacts.residentBytes
        let configuration = loaded.configuration
        let batch =
            try configuration.patches.map {
                try TokenBatch(
                    pixels: Tensor.zeros([1, $0.channels, $0.imageHeight, $0.imageWidth]), for: configuration)
            } ?? TokenBatch([[0]], padId: loaded.padId)
        let first = try milliseconds { try withoutGradients { _ = try loaded.transformer.states(batch) } }
        let used = SystemFacts.residentBytes
        let second = try milliseconds { try withoutGradients { _ = try loaded.transformer.states(batch) } }
        let hashing = try milliseconds { _ = try loaded.fingerprint }
        return [
            "folder": .string(location.folder), "parameters": .integer(loaded.configuration.parameterCount),
            "milliseconds_to_open": opening, "milliseconds_of_first_pass": first,
            "milliseconds_of_second_pass": second, "milliseconds_of_fingerprint": hashing,
            "resident_mib_of_opening": .integer((opened - before) >> 20),
            "resident_mib_after_first_pass": .integer((used - before) >> 20),
        ]
    }

    /// Billions of floating-point operations a second in a matrix product of a layer's size.
    private func speed(_ dtype: DType) throws -> Double {
        try withoutGradients {
            let (rows, inner, columns) = (512, 384, 1536)
            let input = try Tensor.full([rows, inner], 0.5, dtype)
            let weight = try Tensor.full([columns, inner], 0.25, dtype)
            var best = Double.infinity
            for _ in 0..<5 {
                let start = monotonicSeconds()
                _ = try input.linear(weight)
                best = min(best, monotonicSeconds() - start)
            }
            return (2 * Double(rows * inner * columns) / best / 1e9 * 10).rounded() / 10
        }
    }
}
