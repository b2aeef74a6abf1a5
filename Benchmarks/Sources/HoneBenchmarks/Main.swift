import ArgumentParser

/// What the benchmark driver runs where the `hone` command is not enough.
@main
struct Main: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "HoneBenchmarks", abstract: "Parts of benchmarks that need the library.",
        subcommands: [Rates.self, Allocations.self])
}
