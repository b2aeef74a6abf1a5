import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneHub
import HoneTorch

/// `hone doctor`
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Says what is installed, how many threads and devices there are, and where models are.")

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
