import Foundation
import HoneFormats
import Synchronization

/// Which weights a model has: SHA-256 over all bytes of its weight files, taken when it is first asked for.
///
/// Reading half a gigabyte takes as long as everything else that a program does with it at the start, so the hash of a large
/// file is remembered in `$XDG_CACHE_HOME/hone/weights` (`~/.cache/hone/weights`), under the file's identity: device, file
/// number, length, and the times of its last change of content and of status, to the nanosecond. Any change of the file
/// through the system makes another identity; a file that changed within the last two seconds is not remembered, since
/// clocks tick coarsely. So equal fingerprints mean equal weights, unless somebody writes to the disk behind the system's
/// back, sets its clock back while changing files, or forges the remembered hash in the user's own folder.
final class WeightIdentity: Sendable {
    private enum State {
        case known(String)
        case files(WeightFolder)
    }

    private let state: Mutex<State>

    /// The identity of opened files.
    init(_ files: WeightFolder) { state = Mutex(.files(files)) }

    /// An identity that is known.
    init(known fingerprint: String) { state = Mutex(.known(fingerprint)) }

    /// Of one file its hash; of several the hash of their hashes, in order.
    func fingerprint() throws -> String {
        try state.withLock { state in
            switch state {
            case .known(let fingerprint): return fingerprint
            case .files(let folder):
                let digests = try folder.files.map { try WeightIdentity.hash($0) }
                let fingerprint = digests.count == 1 ? digests[0] : FileHash.sha256(of: digests.joined(separator: "\n"))
                state = .known(fingerprint)
                return fingerprint
            }
        }
    }

    /// Smaller files are hashed faster than remembered.
    private static let remembered = 16 << 20

    private static func hash(_ file: SafetensorsFile) throws -> String {
        guard file.length >= remembered, let identity = try file.identity(), let folder = memory else {
            return try file.sha256()
        }
        let path = folder + "/" + FileHash.sha256(of: identity.text)
        if let known = try? JSON.read(file: path), known["identity"]?.string == identity.text,
            let hash = known["sha256"]?.string, hash.utf8.count == 64
        {
            return hash
        }
        let hash = try file.sha256()
        // Changed while it was read, or too shortly before to tell a later change by its time?
        if try file.identity() == identity, Date().timeIntervalSince1970 - identity.seconds > 2 {
            try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let json: JSON = ["identity": .string(identity.text), "sha256": .string(hash)]
            // A convenience: where it cannot be kept, the next program reads the file again.
            try? AtomicFile.write(json.text(pretty: true) + "\n", to: path)
        }
        return hash
    }

    private static var memory: String? {
        let environment = ProcessInfo.processInfo.environment
        if let cache = environment["XDG_CACHE_HOME"], cache.hasPrefix("/") { return cache + "/hone/weights" }
        guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
        return home + "/.cache/hone/weights"
    }
}
