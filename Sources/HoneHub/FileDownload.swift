import Foundation
import HoneFormats

/// Fetches one file of a model into the cache: resumed, measured, verified, and only then given its name.
struct FileDownload {
    let requests: HubRequests
    let reference: ModelReference
    let commit: String
    /// The path of the file in the model.
    let file: String
    /// The open folder of the model in the cache.
    let folder: CacheFolder
    let locks: CacheFolder
    let progress: ProgressCounter

    private var name: String { "\(reference.repository)/\(file)" }

    /// Makes sure that the snapshot has the file.
    func run() throws {
        let parts = file.split(separator: "/").map(String.init)
        let place = try folder.folder(["snapshots", commit] + parts.dropLast())
        guard let last = parts.last else { return }
        if let length = place.length(last) {
            progress.change {
                $0.bytes += length
                $0.bytesDone += length
            }
            return
        }
        let facts = try requests.facts(reference, commit: commit, file: file)
        let limit = file.hasSuffix(".safetensors") ? Int.max : ModelFileSelection.largestText
        guard facts.length ?? 0 <= limit else {
            throw HoneError(
                .network, "the Hub says that it has \(facts.length ?? 0) bytes; no file of this kind is that large",
                item: name)
        }
        progress.change { $0.bytes += facts.length ?? 0 }
        let blobs = try folder.folder("blobs")
        let lock = try BlobLock(folder: locks, name: facts.hash + ".lock") {
            if progress.isStopped { throw CancellationError() }
            progress.change { $0.isWaiting = true }
        }
        try withExtendedLifetime(lock) {
            progress.change { $0.isWaiting = false }
            if let length = blobs.length(facts.hash), facts.length == nil || length == facts.length {
                progress.change { $0.bytesDone += length }
            } else {
                try fetch(facts, into: blobs)
            }
            try expose(facts.hash, in: blobs, as: last, at: place, depth: parts.count)
        }
    }

    /// Puts a link to the blob into the snapshot, or the file itself where links are not wanted or not there.
    private func expose(_ hash: String, in blobs: CacheFolder, as name: String, at place: CacheFolder, depth: Int)
        throws
    {
        let target = String(repeating: "../", count: depth + 1) + "blobs/" + hash
        if !requests.settings.copiesFiles, try place.link(name, to: target) { return }
        try blobs.rename(hash, to: name, in: place)
    }

    /// Fetches a blob. What has arrived stays in `HASH.hone.incomplete` until it is whole and right.
    private func fetch(_ facts: HubRequests.FileFacts, into blobs: CacheFolder) throws {
        let temporary = facts.hash + ".hone.incomplete"
        if let length = facts.length, let free = blobs.freeBytes {
            let there = blobs.length(temporary) ?? 0
            guard length - there <= free else {
                throw HoneError(
                    .fileSystem, "\(length - there) bytes are needed and \(free) are free; set HF_HOME to another disk",
                    file: blobs.path)
            }
        }
        let incomplete = try blobs.file(temporary)
        // Where the lock of the blob is not honoured, this one may be.
        flock(incomplete.descriptor, LOCK_EX)
        let blob = try GrowingBlob(facts, file: incomplete, name: name) { [progress] gained, arrived in
            progress.change {
                $0.bytesDone += gained
                $0.bytesReceived += arrived
            }
        }
        do {
            try receive(blob, facts)
            try incomplete.synchronize()
            try blobs.rename(temporary, to: facts.hash)
            blobs.synchronize()
        } catch let error as HoneError where error.code == .mismatch {
            blobs.remove(temporary)
            throw HoneError(.network, error.message, file: error.file, item: error.item)
        }
    }

    /// Less than this in one attempt is no progress: a server must not keep us by single bytes.
    private static let fruit = 1 << 20

    /// Asks for the rest until everything is there and has the right hash.
    private func receive(_ blob: GrowingBlob, _ first: HubRequests.FileFacts) throws {
        var facts = first
        var (fruitless, wrong) = (0, 0)
        while true {
            if blob.isComplete {
                if try blob.isRight() { return }
                wrong += 1
                // What an earlier attempt has left may be to blame, once.
                guard wrong < 2 else { throw blob.mismatch }
                try blob.restart()
            }
            let before = blob.received
            let (head, failure) = try attempt(blob, facts)
            fruitless = blob.received - before >= FileDownload.fruit ? 0 : fruitless + 1
            if failure == nil {
                switch head.status {
                case 200, 206:
                    blob.endAnswer()
                    if blob.isComplete { continue }
                case 416: try blob.restart()
                case 401, 403, 404, 410:
                    // Signed addresses run out: ask for a new one.
                    guard fruitless < 3 else { throw requests.refusal(head, reference, file: file) }
                    let renewed = try requests.facts(reference, commit: commit, file: file)
                    guard renewed.hash == facts.hash, renewed.length == facts.length else {
                        throw HoneError(.network, "the Hub describes the file in two different ways", item: name)
                    }
                    facts = renewed
                default:
                    guard HubRequests.isWorthRetrying(head.status) else {
                        throw requests.refusal(head, reference, file: file)
                    }
                }
            }
            guard fruitless < requests.settings.attempts, try requests.pause(max(1, fruitless), asked: head) else {
                if let failure { throw requests.problem(failure, item: name, host: facts.address.host) }
                if head.status >= 400 { throw requests.refusal(head, reference, file: file) }
                throw HoneError(
                    .network,
                    "\(facts.address.host) sends \(blob.received) of \(facts.length ?? 0) bytes and then ends; try again "
                        + "later", item: name)
            }
        }
    }

    /// One request, with what ended it where asking again may help.
    private func attempt(_ blob: GrowingBlob, _ facts: HubRequests.FileFacts) throws -> (
        Transfer.Head, Transfer.Failure?
    ) {
        blob.beginAnswer()
        do {
            return (try requests.fetch(facts, from: blob.received, receive: blob.take(_:of:)), nil)
        } catch let failure as Transfer.Failure {
            guard case .transport(let kind, _) = failure, HubRequests.isWorthRetrying(kind: kind) else {
                throw requests.problem(failure, item: name, host: facts.address.host)
            }
            return (Transfer.Head(), failure)
        }
    }
}
