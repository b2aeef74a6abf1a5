import Foundation
import Synchronization

/// A server on this machine that says exactly what a test wants, also what no honest server says.
final class TestServer: Sendable {
    struct Request: Sendable {
        var method: String
        var path: String
        /// By lower-case name.
        var headers: [String: String]

        /// Where a wanted range begins.
        var rangeStart: Int? {
            headers["range"].flatMap { Int($0.dropFirst("bytes=".count).prefix { $0 != "-" }) }
        }
    }

    struct Reply: Sendable {
        var status = 200
        var headers: [(String, String)] = []
        var body: [UInt8] = []
        /// What stands in `Content-Length`, where that is not the truth.
        var claimedLength: Int?
        /// Closes the connection after so many bytes of the body.
        var cutAfter: Int?
        /// Sends the body's bytes and then nothing, with the connection open.
        var stalls = false
        /// Sends the body again and again.
        var isEndless = false
        /// Seconds before anything is said.
        var delay = 0.0
    }

    let port: Int
    private let listener: Int32
    private let handler: @Sendable (Request) -> Reply
    private let state = Mutex((requests: [Request](), isStopped: false, open: Set<Int32>()))

    init(_ handler: @escaping @Sendable (Request) -> Reply) throws {
        self.handler = handler
        // Processes that other tests start must not have these sockets: closing them here would not end a connection.
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) + listen(descriptor, 64) + getsockname(descriptor, $0, &length)
            }
        }
        struct Failure: Error {}
        guard status == 0 else { throw Failure() }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread { [self] in accept() }.start()
    }

    var address: String { "http://127.0.0.1:\(port)" }

    /// What was asked so far.
    var requests: [Request] { state.withLock { $0.requests } }

    /// Ends the server and what is open. Who serves a connection closes it, and who waits for one the listener: a number that was
    /// given back may already be another's.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            shutdown(listener, Int32(SHUT_RDWR))
            for descriptor in state.open { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    private func accept() {
        defer { close(listener) }
        while !isStopped {
            let connection = Foundation.accept(listener, nil, nil)
            _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
            guard connection >= 0 else {
                if errno == EINTR { continue }
                return
            }
            _ = state.withLock { $0.open.insert(connection) }
            Thread { [self] in
                while serve(connection) {}
                state.withLock { state in
                    state.open.remove(connection)
                    shutdown(connection, Int32(SHUT_RDWR))
                    close(connection)
                }
            }.start()
        }
    }

    /// One request; whether another may follow on the connection.
    private func serve(_ connection: Int32) -> Bool {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        let end = Array("\r\n\r\n".utf8)
        while !bytes.suffix(4).elementsEqual(end) {
            let got = recv(connection, &buffer, buffer.count, 0)
            guard got > 0 else { return false }
            bytes += buffer[..<got]
        }
        let lines = String(decoding: bytes, as: UTF8.self).components(separatedBy: "\r\n")
        let first = lines[0].split(separator: " ").map(String.init)
        guard first.count == 3 else { return false }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(
                in: .whitespaces)
        }
        let request = Request(method: first[0], path: first[1], headers: headers)
        state.withLock { $0.requests.append(request) }
        let reply = handler(request)
        if reply.delay > 0 { usleep(UInt32(reply.delay * 1e6)) }
        var text = "HTTP/1.1 \(reply.status) Said\r\n"
        for (name, value) in reply.headers { text += "\(name): \(value)\r\n" }
        if !reply.isEndless { text += "Content-Length: \(reply.claimedLength ?? reply.body.count)\r\n" }
        guard send(connection, Array((text + "\r\n").utf8)) else { return false }
        if request.method == "HEAD" { return true }
        if let cut = reply.cutAfter {
            _ = send(connection, Array(reply.body.prefix(cut)))
            return false
        }
        repeat {
            guard send(connection, reply.body) else { return false }
        } while reply.isEndless && !isStopped
        if reply.stalls {
            // Until the other side gives up.
            while recv(connection, &buffer, buffer.count, 0) > 0 {}
            return false
        }
        return reply.claimedLength == nil
    }

    private func send(_ connection: Int32, _ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            let sent = bytes[done...].withUnsafeBytes {
                Foundation.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return false }
            done += sent
        }
        return true
    }
}
