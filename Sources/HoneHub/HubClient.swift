import Foundation
import HoneFormats
import Synchronization

/// Gets models from the Hub, or from where an earlier download has put them.
///
///     let hub = try HubClient()
///     let location = try hub.location(of: ModelReference("Qwen/Qwen2.5-0.5B"))
///
/// Any number of programs, Hone's and Python's, may use one cache at the same time.
public struct HubClient: Sendable {
    /// Where the Hub and the cache are.
    public var settings: HubSettings
    /// Told how far downloads are, from any thread, at most ten times a second and once at the end.
    public var report: (@Sendable (HubProgress) -> Void)?

    /// A client of the Hub that the environment names.
    ///
    /// - Throws: `HoneError` (`.usage`) where a variable of the environment cannot be used.
    public init(settings: HubSettings? = nil, report: (@Sendable (HubProgress) -> Void)? = nil) throws {
        self.settings = try settings ?? HubSettings()
        self.report = report
    }

    /// The cache.
    public var cache: HubCache { HubCache(root: settings.cache) }

    /// The version of the library that downloads; `nil` where there is none and only the cache can be used.
    public static var transferLibrary: String? {
        Transfer.version.map { String($0.prefix { $0 != " " }) }
    }

    /// Where a model lies, after a download where the cache does not have it.
    ///
    /// What the cache has is taken without asking the Hub whether a branch has moved; `pull` asks.
    ///
    /// - Throws: `HoneError`: `.network` where the Hub does not give the model, `.unsupported` where it has no safetensors,
    ///   `.fileSystem` where the cache cannot be written.
    public func location(of reference: ModelReference) throws -> ModelLocation {
        guard let commit = cache.commit(of: reference) else {
            if settings.isOffline { throw absent(reference, ["everything"]) }
            return try pull(reference)
        }
        let missing = try cache.missing(reference.repository, commit: commit)
        if missing.isEmpty || missing == ["tokenizer.json"] && settings.isOffline {
            return location(reference, commit: commit)
        }
        if settings.isOffline { throw absent(reference, missing) }
        return try pull(reference)
    }

    private func location(_ reference: ModelReference, commit: String) -> ModelLocation {
        ModelLocation(
            folder: cache.snapshot(reference.repository, commit: commit), repository: reference.repository,
            revision: reference.revision, commit: commit)
    }

    private func absent(_ reference: ModelReference, _ missing: [String]) -> HoneError {
        let what =
            missing == ["everything"]
            ? "is not in the Hub cache"
            : "is not whole in the Hub cache (\(missing.prefix(3).joined(separator: ", ")) missing)"
        return HoneError(
            .fileSystem, "\(what), and HF_HUB_OFFLINE forbids to download it", file: settings.cache,
            item: "\(reference)")
    }

    /// Asks the Hub what a revision means now, and fetches what the cache does not have of it.
    ///
    /// - Throws: as `location(of:)`.
    public func pull(_ reference: ModelReference) throws -> ModelLocation {
        guard !settings.isOffline else {
            throw HoneError(.usage, "HF_HUB_OFFLINE forbids to ask the Hub", item: "\(reference)")
        }
        let progress = ProgressCounter(model: "\(reference)", report: report)
        let requests = try HubRequests(settings, progress: progress)
        let (commit, names) = try requests.listing(reference)
        let selection = try ModelFileSelection(names: names, repository: reference.repository)
        let root = try CacheFolder.root(settings.cache)
        let folderName = HubCache.folderName(reference.repository)
        let folder = try root.folder(folderName)
        let locks = try root.folder([".locks", folderName])
        @Sendable func fetch(_ file: String, _ requests: HubRequests) throws {
            try FileDownload(
                requests: requests, reference: reference, commit: commit, file: file, folder: folder, locks: locks,
                progress: progress
            ).run()
            progress.change { $0.filesDone += 1 }
        }
        let first = selection.texts + (selection.hasSingleWeights ? [ModelFileSelection.weights] : [])
        progress.change { $0.files = first.count }
        try together(first, requests, progress, fetch)
        if !selection.hasSingleWeights {
            let index = cache.snapshot(reference.repository, commit: commit) + "/" + ModelFileSelection.index
            let shards = try selection.shards(
                index: FileBytes.read(index, limit: ModelFileSelection.largestText), repository: reference.repository)
            progress.change { $0.files += shards.count }
            try together(shards, requests, progress, fetch)
        }
        if !reference.isCommit, cache.commit(of: reference) != commit {
            let parts = reference.revision.split(separator: "/")
            try folder.folder(["refs"] + parts.dropLast()).write(commit, to: String(parts[parts.count - 1]))
        }
        progress.change(force: true) { $0.isDone = true }
        return location(reference, commit: commit)
    }

    /// Fetches several files at once; after a failure the others stop too.
    private func together(
        _ files: [String], _ first: HubRequests, _ progress: ProgressCounter,
        _ fetch: @escaping @Sendable (String, HubRequests) throws -> Void
    ) throws {
        let state = Mutex((next: 0, failure: (any Error)?.none))
        @Sendable func work(_ requests: HubRequests) {
            while true {
                let file: String? = state.withLock { state in
                    guard state.failure == nil, state.next < files.count else { return nil }
                    state.next += 1
                    return files[state.next - 1]
                }
                guard let file else { return }
                do {
                    try fetch(file, requests)
                } catch {
                    progress.stop()
                    state.withLock { if $0.failure == nil { $0.failure = error } }
                }
            }
        }
        let group = DispatchGroup()
        let settings = settings
        for _ in 1..<max(1, min(settings.workers, files.count)) {
            group.enter()
            // Threads of their own: they wait most of the time, which a pool for computing must not.
            let thread = Thread {
                defer { group.leave() }
                if let requests = try? HubRequests(settings, progress: progress) { work(requests) }
            }
            thread.start()
        }
        work(first)
        group.wait()
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }
}
