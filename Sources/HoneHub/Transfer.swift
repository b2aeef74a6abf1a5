import CHoneTransfer
import HoneFormats

/// One connection to servers, used for one request after the other; not for several threads.
final class Transfer {
    /// What to ask for.
    struct Request {
        var address: WebAddress
        var isHead = false
        var headers: [String] = []
        var certificates: String?
        /// Seconds until the connection must stand.
        var connectTimeout = 10
        /// Seconds that the whole may take; 0 for no limit.
        var totalTimeout = 0
        /// Seconds that fewer than `slowestBytes` a second may arrive; 0 for no limit.
        var stallTimeout = 0
        var slowestBytes = 128
    }

    /// What came back before the body.
    struct Head {
        var status = 0
        /// By lower-case name; of a header that comes twice the last one.
        var headers: [String: String] = [:]
    }

    /// Why no whole answer came.
    enum Failure: Error {
        /// The receiver threw this.
        case stopped(any Error)
        /// Libcurl's kind and words.
        case transport(kind: Int32, words: String)
    }

    private let handle: OpaquePointer

    /// The version of libcurl; `nil` where there is none.
    static var version: String? { hone_transfer_version().map { String(cString: $0) } }

    /// A connection that is not open yet.
    ///
    /// - Throws: `HoneError` where libcurl is not installed.
    init() throws {
        guard let handle = hone_transfer_new() else {
            throw HoneError(
                .network,
                "downloads need the library libcurl (libcurl.so.4), which is not installed; Debian and Ubuntu have it as "
                    + "libcurl4")
        }
        self.handle = handle
    }

    deinit { hone_transfer_free(handle) }

    /// What the C side calls back with; it lives on the stack of `perform`.
    private final class Receiver {
        var head = Head()
        var headerBytes = 0
        var isAfterHead = false
        var failure: (any Error)?
        let receive: (Head, UnsafeRawBufferPointer) throws -> Void
        let wait: () throws -> Void

        init(
            receive: @escaping (Head, UnsafeRawBufferPointer) throws -> Void, wait: @escaping () throws -> Void
        ) {
            self.receive = receive
            self.wait = wait
        }

        func header(_ bytes: UnsafeRawBufferPointer) -> Bool {
            headerBytes += bytes.count
            guard headerBytes <= 1 << 18 else {
                failure = HoneError(.network, "the server sends headers without end")
                return false
            }
            let line = String(decoding: bytes, as: UTF8.self)
            if line.hasPrefix("HTTP/") {
                // Interim answers (100, 103) and those of proxies come before the one that counts.
                head = Head()
                head.status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
                return true
            }
            guard let colon = line.firstIndex(of: ":") else { return true }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            head.headers[line[..<colon].lowercased()] = String(value.prefix { !$0.isNewline })
            return true
        }
    }

    /// Makes a request. Redirects are not followed.
    ///
    /// - Parameters:
    ///   - receive: takes pieces of the body, with the headers; may throw to stop.
    ///   - wait: called about once a second; may throw to stop.
    /// - Throws: `Failure`.
    func perform(
        _ request: Request, receive: (Head, UnsafeRawBufferPointer) throws -> Void, wait: () throws -> Void = {}
    ) throws(Failure) -> Head {
        do {
            return try withoutActuallyEscaping(receive) { receive in
                try withoutActuallyEscaping(wait) { wait in
                    try perform(request, Receiver(receive: receive, wait: wait))
                }
            }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw .stopped(error)
        }
    }

    private func perform(_ request: Request, _ receiver: Receiver) throws -> Head {
        var raw = hone_transfer_request()
        raw.is_head = request.isHead ? 1 : 0
        raw.connect_milliseconds = request.connectTimeout * 1000
        raw.total_milliseconds = request.totalTimeout * 1000
        raw.slowest_bytes = request.slowestBytes
        raw.slowest_seconds = request.stallTimeout
        raw.context = Unmanaged.passUnretained(receiver).toOpaque()
        raw.on_header = { context, bytes, count in
            guard let context, let bytes else { return 0 }
            let receiver = Unmanaged<Receiver>.fromOpaque(context).takeUnretainedValue()
            return receiver.header(UnsafeRawBufferPointer(start: bytes, count: count)) ? 1 : 0
        }
        raw.on_body = { context, bytes, count in
            guard let context else { return 0 }
            let receiver = Unmanaged<Receiver>.fromOpaque(context).takeUnretainedValue()
            do {
                try receiver.receive(receiver.head, UnsafeRawBufferPointer(start: bytes, count: count))
                return 1
            } catch {
                receiver.failure = error
                return 0
            }
        }
        raw.on_wait = { context in
            guard let context else { return 0 }
            let receiver = Unmanaged<Receiver>.fromOpaque(context).takeUnretainedValue()
            do {
                try receiver.wait()
                return 1
            } catch {
                receiver.failure = error
                return 0
            }
        }
        var status = 0
        var kind: Int32 = 0
        // A proxy has no business with this machine's own servers.
        let proxy: String? = request.address.isLoopback ? "" : nil
        let words = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { words in
            withCStrings([request.address.text] + [proxy, request.certificates] + request.headers) { strings in
                raw.url = strings[0]
                raw.proxy = strings[1]
                raw.certificates = strings[2]
                let headers = Array(strings[3...])
                headers.withUnsafeBufferPointer { headers in
                    raw.headers = headers.baseAddress
                    raw.header_count = headers.count
                    kind = withExtendedLifetime(receiver) {
                        hone_transfer_perform(handle, &raw, &status, words.baseAddress)
                    }
                }
            }
            return words.baseAddress.map { String(cString: $0) } ?? ""
        }
        if let failure = receiver.failure { throw Failure.stopped(failure) }
        guard Int(kind) == HONE_TRANSFER_DONE else { throw Failure.transport(kind: kind, words: words) }
        receiver.head.status = status
        return receiver.head
    }

    /// C strings that live during a call; `nil` stays `nil`.
    private func withCStrings(_ texts: [String?], _ body: ([UnsafePointer<CChar>?]) -> Void) {
        func descend(_ place: Int, _ found: [UnsafePointer<CChar>?]) {
            guard place < texts.count else { return body(found) }
            if let text = texts[place] {
                text.withCString { descend(place + 1, found + [$0]) }
            } else {
                descend(place + 1, found + [nil])
            }
        }
        descend(0, [])
    }
}

extension HoneError.Code {
    /// A server that cannot be reached, or answers otherwise than it should.
    public static let network = HoneError.Code(name: "network")
}
