import Foundation
import HoneFormats

/// A file of the cache that is arriving, with the hash of what is there.
final class GrowingBlob {
    /// How many bytes it will have; `nil` until that is known.
    private(set) var length: Int?
    /// How many bytes are there.
    private(set) var received = 0
    private let expectedHash: String
    private let file: CacheFile
    private let name: String
    private let report: (_ gained: Int, _ arrived: Int) -> Void
    private var hash: ContentHash?
    private var isInsideAnswer = false

    /// The most bytes of a file whose length the server does not say.
    private static let mostUnannounced = 64 << 20

    /// Takes over what an earlier attempt has left in the file.
    ///
    /// - Parameters:
    ///   - name: for messages.
    ///   - report: told how many bytes there are more, or fewer, than before, and how many have just arrived.
    init(
        _ facts: HubRequests.FileFacts, file: CacheFile, name: String,
        report: @escaping (_ gained: Int, _ arrived: Int) -> Void
    ) throws {
        length = facts.length
        expectedHash = facts.hash
        self.file = file
        self.name = name
        self.report = report
        hash = startedHash
        let there = try file.length()
        if let length, there <= length {
            try file.forEachPiece(upTo: there) { hash?.update($0) }
            received = there
            report(there, 0)
        } else {
            try file.truncate(to: 0)
        }
    }

    /// Whether all bytes are there; right or wrong ones.
    var isComplete: Bool { received == length }

    /// Throws away what is there.
    func restart() throws {
        try file.truncate(to: 0)
        report(-received, 0)
        received = 0
        hash = startedHash
    }

    /// Says that another answer begins.
    func beginAnswer() { isInsideAnswer = false }

    /// Says that an answer of unknown length has ended.
    func endAnswer() { length = length ?? received }

    /// Appends a piece of an answer.
    ///
    /// - Throws: `HoneError`: `.mismatch` for what cannot become the file, `.network` for an answer to another question.
    func take(_ bytes: UnsafeRawBufferPointer, of head: Transfer.Head) throws {
        if !isInsideAnswer {
            try check(head)
            isInsideAnswer = true
        }
        let limit = length ?? GrowingBlob.mostUnannounced
        guard bytes.count <= limit - received else {
            throw HoneError(
                .mismatch, "the server sends more than the \(limit) bytes that it announced; nothing of it was kept",
                item: name)
        }
        try file.write(bytes, at: received)
        hash?.update(bytes)
        received += bytes.count
        report(bytes.count, bytes.count)
    }

    /// Checks that an answer continues where the file ends.
    private func check(_ head: Transfer.Head) throws {
        guard head.status == 206 else {
            // The server does not know ranges: from the beginning, then.
            if received > 0 { try restart() }
            return
        }
        let range = (head.headers["content-range"] ?? "").lowercased()
        guard range.hasPrefix("bytes \(received)-") else {
            throw HoneError(
                .mismatch, "the server sends another part of the file than the one asked for; nothing of it was kept",
                item: name)
        }
        if let length, let total = range.split(separator: "/").last, total != "*", Int(total) != length {
            throw HoneError(
                .mismatch, "the server announced \(length) bytes and now says \(total); nothing of it was kept",
                item: name)
        }
    }

    /// Whether the content has the hash that the Hub announced.
    func isRight() throws -> Bool {
        if var hash { return hash.finish() == expectedHash }
        // Git's hash begins with the length, so without that the content is read again at the end.
        var hash = ContentHash(.gitBlob(length: received))
        try file.forEachPiece(upTo: received) { hash.update($0) }
        return hash.finish() == expectedHash
    }

    /// What to say where it is not.
    var mismatch: HoneError {
        HoneError(
            .mismatch,
            "what the server sends does not have the \(expectedHash.utf8.count == 64 ? "SHA-256" : "git hash") "
                + "\(expectedHash.prefix(12))… that it announced; nothing of it was kept", item: name)
    }

    private var startedHash: ContentHash? {
        expectedHash.utf8.count == 64 ? ContentHash(.sha256) : length.map { ContentHash(.gitBlob(length: $0)) }
    }
}
