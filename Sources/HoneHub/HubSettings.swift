import Foundation
import HoneFormats

/// Where the Hub and its cache are, as the environment says: the variables of Hugging Face's own tools.
///
/// | variable | meaning |
/// |---|---|
/// | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE` | the cache; the first that is set counts |
/// | `HF_HOME` | its parent, where those are not set: the cache is `$HF_HOME/hub`, the token `$HF_HOME/token` |
/// | `XDG_CACHE_HOME` | the parent of `huggingface`, where `HF_HOME` is not set; `~/.cache` by default |
/// | `HF_ENDPOINT` | the Hub, `https://huggingface.co` by default |
/// | `HF_TOKEN`, `HF_TOKEN_PATH` | the token, or the file that holds it |
/// | `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` | `1`, `on`, `yes` or `true`: nothing is asked of the network |
/// | `HF_HUB_ETAG_TIMEOUT`, `HF_HUB_DOWNLOAD_TIMEOUT` | seconds without an answer, seconds without data; 10 each |
/// | `HF_HUB_DISABLE_SYMLINKS` | files of a snapshot are copies instead of links |
/// | `SSL_CERT_FILE`, `CURL_CA_BUNDLE` | certificates to trust instead of the system's |
public struct HubSettings: Sendable {
    /// The cache's folder.
    public var cache: String
    /// The Hub's address, without a slash at the end.
    public var endpoint: String
    /// What identifies the user; only ever sent to the Hub itself.
    public var token: String?
    /// Whether the network is left alone.
    public var isOffline: Bool
    /// Seconds to wait for an answer.
    public var answerTimeout: Int
    /// Seconds a download may stand still.
    public var stallTimeout: Int
    /// Whether snapshots hold copies.
    public var copiesFiles: Bool
    /// A file with certificates.
    public var certificates: String?
    /// How many files are downloaded at once.
    public var workers = 4
    /// Seconds before the first retry; each further one waits twice as long, at most 8 s.
    var firstDelay = 0.5
    /// How often something is tried that fails without getting any further.
    var attempts = 5
    /// Gives up where fewer bytes than this arrive in a second over `stallTimeout` seconds.
    var slowestBytes = 128

    /// The settings of an environment.
    ///
    /// - Throws: `HoneError` (`.usage`) that names a variable which cannot be used.
    public init(environment: [String: String] = ProcessInfo.processInfo.environment) throws {
        func value(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        func isTrue(_ name: String) -> Bool { ["1", "ON", "YES", "TRUE"].contains(value(name)?.uppercased()) }
        func seconds(_ name: String) throws -> Int {
            guard let text = value(name) else { return 10 }
            guard let seconds = Int(text), (1...3600).contains(seconds) else {
                throw HoneError(.usage, "`\(text)` is no number of seconds from 1 to 3600", item: name)
            }
            return seconds
        }
        let userHome = value("HOME") ?? NSHomeDirectory()
        func path(_ text: String) -> String { HubSettings.expanded(text, home: userHome, environment: environment) }
        let home = path(value("HF_HOME") ?? (value("XDG_CACHE_HOME") ?? userHome + "/.cache") + "/huggingface")
        cache = path(value("HF_HUB_CACHE") ?? value("HUGGINGFACE_HUB_CACHE") ?? home + "/hub")
        var endpoint = value("HF_ENDPOINT") ?? "https://huggingface.co"
        while endpoint.hasSuffix("/") { endpoint.removeLast() }
        guard WebAddress(endpoint) != nil else {
            throw HoneError(.usage, "`\(endpoint)` is no address of the form https://host", item: "HF_ENDPOINT")
        }
        self.endpoint = endpoint
        isOffline = isTrue("HF_HUB_OFFLINE") || isTrue("TRANSFORMERS_OFFLINE")
        answerTimeout = try seconds("HF_HUB_ETAG_TIMEOUT")
        stallTimeout = try seconds("HF_HUB_DOWNLOAD_TIMEOUT")
        copiesFiles = isTrue("HF_HUB_DISABLE_SYMLINKS")
        certificates = value("SSL_CERT_FILE") ?? value("CURL_CA_BUNDLE")
        token = try HubSettings.token(
            value("HF_TOKEN"), file: path(value("HF_TOKEN_PATH") ?? home + "/token"))
    }

    /// The token of the environment, else that of the file.
    private static func token(_ given: String?, file: String) throws -> String? {
        func checked(_ text: String, from place: String) throws -> String? {
            let token = text.trimmingCharacters(in: .whitespacesAndNewlines)
            if token.isEmpty { return nil }
            // Anything else could write further header lines.
            guard token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), token.utf8.count <= 4096 else {
                throw HoneError(.usage, "the token has characters that no token has", item: place)
            }
            return token
        }
        if let given { return try checked(given, from: "HF_TOKEN") }
        guard FileStatus.exists(file), !FileStatus.isFolder(file) else { return nil }
        return try checked(String(decoding: FileBytes.read(file, limit: 1 << 16), as: UTF8.self), from: file)
    }

    /// A path with `~` and `$NAME` or `${NAME}` replaced, as Python's tools do.
    static func expanded(_ path: String, home: String, environment: [String: String]) -> String {
        var result = ""
        var rest = Substring(path)
        if rest == "~" || rest.hasPrefix("~/") {
            result = home
            rest = rest.dropFirst()
        }
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[rest.index(after: dollar)...]
            let isBraced = rest.hasPrefix("{")
            let name = (isBraced ? rest.dropFirst() : rest).prefix {
                $0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber)
            }
            let after = rest.dropFirst(name.count + (isBraced ? 1 : 0))
            if !name.isEmpty, !isBraced || after.hasPrefix("}"), let value = environment[String(name)] {
                result += value
                rest = isBraced ? after.dropFirst() : after
            } else {
                result += "$"
            }
        }
        return result + rest
    }
}
