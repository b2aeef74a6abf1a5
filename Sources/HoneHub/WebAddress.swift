import Foundation

/// An http or https address, checked strictly: what two readers could understand differently is refused.
struct WebAddress: Hashable, Sendable {
    /// The address as text.
    let text: String
    /// `http` or `https`.
    let scheme: String
    /// The host in lower case.
    let host: String
    /// The port.
    let port: Int

    /// An address, or `nil` where the text is none: other schemes, user names, and characters that do not belong there.
    init?(_ text: String) {
        guard text.utf8.count <= 16384,
            text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !#"\"<>^`{|}"#.utf8.contains($0) }),
            let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
            scheme == "https" || scheme == "http", parts.user == nil, parts.password == nil,
            let host = parts.host?.lowercased(), !host.isEmpty, !host.contains("@"), !host.contains("%")
        else { return nil }
        let port = parts.port ?? (scheme == "https" ? 443 : 80)
        guard (1...65535).contains(port) else { return nil }
        self.text = text
        self.scheme = scheme
        self.host = host
        self.port = port
    }

    /// Whether both are served by the same server: the token may go there.
    func hasSameOrigin(as other: WebAddress) -> Bool {
        scheme == other.scheme && host == other.host && port == other.port
    }

    /// Whether the host is this machine itself.
    var isLoopback: Bool { host == "localhost" || host == "[::1]" || host == "::1" || host.hasPrefix("127.") }

    /// The address that a `Location` header leads to, from here; `nil` for what is no address, or less safe than this.
    func following(_ location: String) -> WebAddress? {
        let absolute: String?
        if location.contains("://") {
            absolute = location
        } else if location.hasPrefix("/"), !location.hasPrefix("//") {
            absolute = origin + location
        } else if location.hasPrefix("//") {
            absolute = scheme + ":" + location
        } else {
            absolute = nil
        }
        guard let next = absolute.flatMap({ WebAddress($0) }), scheme == "http" || next.scheme == "https" else {
            return nil
        }
        return next
    }

    private var origin: String {
        let standard = scheme == "https" ? 443 : 80
        return "\(scheme)://\(host)" + (port == standard ? "" : ":\(port)")
    }

    /// A text as one part of a path: everything but letters, digits, `-`, `.`, `_` and `~` is escaped.
    static func escaped(_ text: String, keeping kept: String = "") -> String {
        var result = ""
        for byte in text.utf8 {
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "-._~".utf8.contains(byte) || kept.utf8.contains(byte)
            if isPlain {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.count < 2 ? "0" : "") + digits
            }
        }
        return result
    }
}
