import CHoneTransfer
import Foundation
import HoneFormats

/// Questions to the Hub: addresses, the token, redirects, retries, and refusals in plain words.
///
/// For one thread, because it keeps one connection.
final class HubRequests {
    let settings: HubSettings
    private let transfer: Transfer
    private let endpoint: WebAddress
    private let progress: ProgressCounter

    /// What the Hub says about a file before it is fetched.
    struct FileFacts {
        /// Where its content is.
        var address: WebAddress
        /// The hash of the content, which also is the name of its blob: 40 digits of git's, or 64 of SHA-256.
        var hash: String
        /// Its length in bytes; `nil` where the server does not say.
        var length: Int?
    }

    init(_ settings: HubSettings, progress: ProgressCounter) throws {
        guard let endpoint = WebAddress(settings.endpoint) else {
            throw HoneError(.usage, "`\(settings.endpoint)` is no address", item: "HF_ENDPOINT")
        }
        self.settings = settings
        self.endpoint = endpoint
        self.progress = progress
        transfer = try Transfer()
    }

    /// The commit that a reference means and the names of its files.
    func listing(_ reference: ModelReference) throws -> (commit: String, names: [String]) {
        let path = "/api/models/\(reference.repository)/revision/\(WebAddress.escaped(reference.revision))"
        var body: [UInt8] = []
        let (head, _) = try asking(reference, file: nil) {
            body = []
            return try follow(request(path), stopsAway: false) { _, bytes in
                guard body.count + bytes.count <= 64 << 20 else {
                    throw HoneError(.network, "the Hub's answer has no end", item: reference.repository)
                }
                body += bytes
            }
        }
        guard head.status == 200 else { throw refusal(head, reference, file: nil) }
        let json: JSON
        do {
            json = try JSON.parse(body)
        } catch {
            throw HoneError(
                .network,
                "\(endpoint.host) does not answer like the Hub; check HF_ENDPOINT, and whether a proxy or a login page "
                    + "stands between", item: reference.repository)
        }
        guard let commit = json["sha"]?.string, ModelReference.isCommit(commit) else {
            throw HoneError(.network, "the Hub names no commit of 40 digits", item: "\(reference)")
        }
        guard !reference.isCommit || commit == reference.revision else {
            throw HoneError(
                .network, "the Hub answers with another commit than the one asked for", item: "\(reference)")
        }
        guard let siblings = json["siblings"]?.array else {
            throw HoneError(.network, "the Hub lists no files", item: "\(reference)")
        }
        return (commit, siblings.compactMap { $0["rfilename"]?.string })
    }

    /// What the Hub says about a file of a commit.
    func facts(_ reference: ModelReference, commit: String, file: String) throws -> FileFacts {
        let path = "/\(reference.repository)/resolve/\(commit)/\(WebAddress.escaped(file, keeping: "/"))"
        var request = try request(path)
        request.isHead = true
        request.totalTimeout = settings.answerTimeout
        let (head, address) = try asking(reference, file: file) {
            try follow(request, stopsAway: true) { _, _ in }
        }
        guard (200...399).contains(head.status) else { throw refusal(head, reference, file: file) }
        let name = "\(reference.repository)/\(file)"
        if let named = head.headers["x-repo-commit"], named != commit {
            throw HoneError(.network, "the Hub answers with another commit than the one asked for", item: name)
        }
        guard let tag = head.headers["x-linked-etag"] ?? head.headers["etag"] else {
            throw HoneError(.network, "the server names no hash (ETag), so the file could not be verified", item: name)
        }
        let hash = FileFacts.normalised(tag)
        guard [40, 64].contains(hash.utf8.count), hash.utf8.allSatisfy(ModelReference.isLowerHexadecimal) else {
            throw HoneError(
                .network, "the ETag \(ModelReference.shown(tag)) is no hash, so the file could not be verified",
                item: name)
        }
        let lengthText = head.headers["x-linked-size"] ?? (head.status < 300 ? head.headers["content-length"] : nil)
        var length: Int?
        if let lengthText {
            guard let number = Int(lengthText), (0...1 << 44).contains(number) else {
                throw HoneError(.network, "the length \(ModelReference.shown(lengthText)) is no length", item: name)
            }
            length = number
        }
        return FileFacts(address: address, hash: hash, length: length)
    }

    /// One attempt to fetch a file's content from a place in it.
    ///
    /// - Throws: `Transfer.Failure`, and what `receive` throws inside of it.
    func fetch(
        _ facts: FileFacts, from offset: Int, receive: (UnsafeRawBufferPointer, Transfer.Head) throws -> Void
    ) throws -> Transfer.Head {
        var request = Transfer.Request(address: facts.address)
        request.stallTimeout = settings.stallTimeout
        request.slowestBytes = settings.slowestBytes
        if offset > 0 { request.headers.append("Range: bytes=\(offset)-") }
        return try follow(request, stopsAway: false) { try receive($1, $0) }.head
    }

    private func request(_ path: String) throws -> Transfer.Request {
        guard let address = WebAddress(settings.endpoint + path) else {
            throw HoneError(.network, "the address \(ModelReference.shown(settings.endpoint + path)) is none")
        }
        var request = Transfer.Request(address: address)
        request.totalTimeout = 6 * settings.answerTimeout
        request.stallTimeout = settings.answerTimeout
        return request
    }

    /// Follows redirects, at most ten; the token goes to the Hub's own address alone.
    ///
    /// - Parameter stopsAway: whether to stop at the redirect that leads away from the Hub, whose headers describe the file.
    private func follow(
        _ first: Transfer.Request, stopsAway: Bool,
        receive: (Transfer.Head, UnsafeRawBufferPointer) throws -> Void
    ) throws -> (head: Transfer.Head, address: WebAddress) {
        var request = first
        request.certificates = settings.certificates
        request.connectTimeout = settings.answerTimeout
        for _ in 0...10 {
            var sent = request
            sent.headers += ["Accept-Encoding: identity", "User-Agent: hone"]
            if let token = settings.token, request.address.hasSameOrigin(as: endpoint) {
                sent.headers.append("Authorization: Bearer \(token)")
            }
            var ignored = 0
            let head = try transfer.perform(sent) { head, bytes in
                // What comes with a redirect or a refusal is of no interest, but must not go on for ever.
                if (200...299).contains(head.status) { return try receive(head, bytes) }
                ignored += bytes.count
                guard ignored <= 1 << 20 else { throw HoneError(.network, "the server's answer has no end") }
            } wait: {
                if self.progress.isStopped { throw CancellationError() }
            }
            guard [301, 302, 303, 307, 308].contains(head.status) else { return (head, request.address) }
            guard let location = head.headers["location"], let next = request.address.following(location) else {
                throw HoneError(.network, "\(request.address.host) redirects to something that is no safe address")
            }
            if stopsAway, !next.hasSameOrigin(as: endpoint) { return (head, next) }
            request.address = next
        }
        throw HoneError(.network, "\(first.address.host) redirects without end")
    }

    /// Asks again where that may help: after lost connections, and where the server says that it is busy.
    private func asking(
        _ reference: ModelReference, file: String?, _ ask: () throws -> (head: Transfer.Head, address: WebAddress)
    ) throws -> (head: Transfer.Head, address: WebAddress) {
        var attempt = 0
        while true {
            attempt += 1
            do {
                let answer = try ask()
                guard HubRequests.isWorthRetrying(answer.head.status), attempt < settings.attempts,
                    try pause(attempt, asked: answer.head)
                else { return answer }
            } catch let failure as Transfer.Failure {
                guard case .transport(let kind, _) = failure, HubRequests.isWorthRetrying(kind: kind),
                    attempt < settings.attempts
                else { throw problem(failure, item: file.map { "\(reference.repository)/\($0)" } ?? "\(reference)") }
                _ = try pause(attempt, asked: nil)
            }
        }
    }

    /// Statuses that may change when asked again.
    static func isWorthRetrying(_ status: Int) -> Bool { [408, 429, 500, 502, 503, 504].contains(status) }

    static func isWorthRetrying(kind: Int32) -> Bool {
        [HONE_TRANSFER_CUT, HONE_TRANSFER_TIMED_OUT, HONE_TRANSFER_CANNOT_REACH].contains(Int(kind))
    }

    /// Waits before another attempt, as long as the server asks where that is not too long.
    ///
    /// - Returns: Whether to try again.
    func pause(_ attempt: Int, asked head: Transfer.Head?) throws -> Bool {
        var seconds = min(settings.firstDelay * Double(1 << min(attempt - 1, 10)), 8)
        if let wished = head?.headers["retry-after"].flatMap({ Double($0) }), wished >= 0 {
            guard wished <= 60 else { return false }
            seconds = wished
        }
        let end = Date().addingTimeInterval(seconds)
        while Date() < end {
            if progress.isStopped { throw CancellationError() }
            usleep(UInt32(min(0.1, max(0.001, end.timeIntervalSinceNow)) * 1e6))
        }
        return true
    }

    /// A failure in words.
    func problem(_ failure: Transfer.Failure, item: String, host: String? = nil) -> any Error {
        switch failure {
        case .stopped(let error as HoneError):
            var named = error
            named.item = named.item ?? item
            return named
        case .stopped(let error): return error
        case .transport(let kind, let words):
            let host = host ?? endpoint.host
            let sentence =
                switch Int(kind) {
                case HONE_TRANSFER_CANNOT_REACH:
                    "\(host) cannot be reached; check the connection, or set HF_HUB_OFFLINE=1 to use the cache alone"
                case HONE_TRANSFER_TIMED_OUT:
                    "\(host) has not sent anything for too long; try again later: what has arrived is kept"
                case HONE_TRANSFER_CUT:
                    "the connection to \(host) breaks off again and again; try again later: what has arrived is kept"
                case HONE_TRANSFER_NOT_TRUSTED:
                    "\(host) cannot prove who it is; where a proxy with certificates of its own is used, name them in "
                        + "SSL_CERT_FILE"
                default: "the request to \(host) failed"
                }
            let detail = words.split(whereSeparator: \.isNewline).joined(separator: " ")
            return HoneError(.network, sentence + (detail.isEmpty ? "" : " (\(detail))"), item: item)
        }
    }

    /// Why the Hub does not give something, and what to do.
    func refusal(_ head: Transfer.Head, _ reference: ModelReference, file: String?) -> HoneError {
        let host = endpoint.host
        let reason = head.headers["x-error-code"] ?? ""
        let token = settings.token == nil ? "HF_TOKEN is not set" : "the token that is used does not open it"
        let item = file.map { "\(reference.repository)/\($0)" } ?? "\(reference)"
        let sentence: String
        switch (head.status, reason) {
        case (_, "GatedRepo"):
            sentence =
                "access needs the consent of its authors: ask for it on \(settings.endpoint)/\(reference.repository), and set "
                + "HF_TOKEN (\(token))"
        case (401, _): sentence = "\(host) has no such model, or it is private (\(token)); check the name"
        case (403, _): sentence = "\(host) forbids the access (403); \(token)"
        case (404, "RevisionNotFound"):
            sentence = "the model has no revision \(ModelReference.shown(reference.revision))"
        case (404, "EntryNotFound"): sentence = "the revision has no such file"
        case (404, _): sentence = "\(host) has no such model or revision; check the name"
        case (429, _):
            let wait = head.headers["retry-after"].flatMap { Int($0) }.map { " in \($0) s" } ?? " later"
            sentence =
                "\(host) has had too many requests; try again\(wait)"
                + (settings.token == nil ? ", or set HF_TOKEN" : "")
        case (500...599, _): sentence = "\(host) is out of order at the moment (\(head.status)); try again later"
        default: sentence = "\(host) answers with status \(head.status)"
        }
        return HoneError(.network, sentence, item: item)
    }
}

extension HubRequests.FileFacts {
    /// An ETag without the mark of weak ones and without quotes.
    static func normalised(_ tag: String) -> String {
        var text = Substring(tag)
        if text.hasPrefix("W/") { text = text.dropFirst(2) }
        if text.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") { text = text.dropFirst().dropLast() }
        return String(text)
    }
}
