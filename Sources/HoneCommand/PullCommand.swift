import ArgumentParser
import HoneFormats
import HoneHub

/// `hone pull`
struct PullCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull",
        abstract: "Downloads a model from the Hub, or brings it up to date, and prints its folder.",
        discussion: """
            The model goes into the cache that Hugging Face's own tools use (`hone doctor` says where). Only configuration, \
            tokenizer and safetensors are fetched. What breaks off goes on where it was. The other verbs download by \
            themselves what the cache does not have; only `pull` asks whether a branch has moved.

              hone pull Qwen/Qwen2.5-0.5B
              hone pull owner/name@refs/pr/1 --json
            """)

    @Argument(help: ArgumentHelp("owner/name or owner/name@revision.", valueName: "model")) var name: String
    @Flag(help: "Print one JSON object on standard output.") var json = false
    @Flag(help: "No progress.") var quiet = false

    func run() throws {
        let location = try DownloadVoice.client(quiet: quiet).pull(ModelReference(name))
        guard json else {
            Console.print(location.folder)
            return
        }
        Console.print(json: [
            "folder": .string(location.folder), "repository": .string(location.repository ?? name),
            "revision": .string(location.revision ?? ""), "commit": .string(location.commit ?? ""),
        ])
    }
}
