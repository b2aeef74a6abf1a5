import Foundation
import HoneFormats

/// What `strftime_now` takes for now.
public struct ChatTemplateClock: Sendable {
    /// Seconds since 1970; `nil` stands for the time of the call.
    public var seconds: Int?
    /// Whether the time of the machine's zone is meant, or UTC.
    public var isLocal: Bool

    /// The machine's own clock.
    public static let system = ChatTemplateClock(seconds: nil, isLocal: true)

    /// A clock that stands still, for tests and for runs that have to repeat to the letter.
    public static func fixed(secondsSince1970 seconds: Int) -> ChatTemplateClock {
        ChatTemplateClock(seconds: seconds, isLocal: false)
    }

    private init(seconds: Int?, isLocal: Bool) {
        self.seconds = seconds
        self.isLocal = isLocal
    }

    /// The time in a format of `strftime`, in English.
    ///
    /// - Throws: for a directive that Python and C do not share.
    func text(_ format: String) throws -> String {
        var moment = time_t(seconds ?? time(nil))
        var parts = tm()
        _ = isLocal ? localtime_r(&moment, &parts) : gmtime_r(&moment, &parts)
        var result = ""
        var characters = Array(format)[...]
        while let character = characters.popFirst() {
            guard character == "%" else {
                result.append(character)
                continue
            }
            var directive = characters.popFirst() ?? "%"
            var flag = ""
            if directive == "-" {
                flag = "-"
                directive = characters.popFirst() ?? "%"
            }
            switch directive {
            // Python's time here has no zone and no fraction that would mean anything.
            case "Z", "z": continue
            case "f": result += "000000"
            case _ where "aAbBcdHIjmMpSuUVwWxXyYGFTDReeCnth%".contains(directive):
                var buffer = [CChar](repeating: 0, count: 128)
                let length = strftime(&buffer, buffer.count, "%\(flag)\(directive)", &parts)
                result += String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            default:
                throw TemplateProblem.unsupported("the directive %\(directive) of strftime_now is not supported")
            }
        }
        return result
    }
}
