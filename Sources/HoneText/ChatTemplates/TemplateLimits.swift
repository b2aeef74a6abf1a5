import Foundation
import HoneFormats

/// How much a chat template may ask for; what goes beyond is refused with the line.
///
/// Chat templates come with models, from strangers: none of them may hang the program or fill the memory.
public struct ChatTemplateLimits: Hashable, Sendable {
    /// The longest template, in bytes; the largest in use have about 30 kB.
    public var sourceBytes = 256 << 10
    /// The most statements, operations and calls that are carried out; long texts count more.
    public var steps = 100_000
    /// The longest output, in bytes of UTF-8.
    public var outputBytes = 1 << 20
    /// How deep expressions, blocks and calls of macros may nest.
    public var depth = 64
    /// How long a rendering may take, in seconds of processor time.
    public var seconds = 1.0
    /// How many scalars, list elements and map entries may be made in all, freed ones included.
    public var items = 12 << 20

    /// The limits that every honest template keeps.
    public init() {}
}

/// Why a template cannot go on, before the line is known.
struct TemplateProblem: Error {
    var code: HoneError.Code
    var message: String

    /// A value of the wrong kind, a name that is not there, and the like.
    init(_ message: String, code: HoneError.Code = .badFile) {
        self.code = code
        self.message = message
    }

    /// Something of Jinja that Hone does not have.
    static func unsupported(_ message: String) -> TemplateProblem { TemplateProblem(message, code: .unsupported) }
}

/// Counts what a rendering uses.
final class TemplateMeter {
    let limits: ChatTemplateLimits
    private var steps = 0
    private var items = 0
    private var work = 0
    private var untilClock = 0
    private var depth = 0
    private var calls = 0
    private let start: Double

    init(_ limits: ChatTemplateLimits) {
        self.limits = limits
        start = Self.processorSeconds()
    }

    /// Counts a statement, an operation or a call.
    func step() throws {
        steps += 1
        guard steps <= limits.steps else {
            throw TemplateProblem.unsupported("the template takes more than \(limits.steps) steps")
        }
        untilClock -= 1
        if untilClock <= 0 { try checkClock() }
    }

    /// Counts comparisons or copies of single scalars; 256 of them are a step.
    func work(_ count: Int) throws {
        work += count
        while work >= 256 {
            let whole = work / 256
            work -= whole * 256
            steps += whole
            untilClock -= whole
            try step()
        }
    }

    /// Counts memory before it is taken: scalars, list elements (8 each) or map entries (16 each).
    func take(_ count: Int) throws {
        guard count <= limits.items - items else {
            throw TemplateProblem.unsupported("the template makes more than \(limits.items) scalars of text in all")
        }
        items += count
        try work(count / 16)
    }

    /// One level deeper in the syntax; each `enter` has its `leave`.
    func enter() throws {
        depth += 1
        // Calls of macros multiply the nesting of the syntax; the stack must bear the product.
        guard depth <= limits.depth * 6 else { throw tooDeep }
    }

    func leave() { depth -= 1 }

    /// One more macro or recursive loop that is under way.
    func enterCall() throws {
        calls += 1
        guard calls <= limits.depth else { throw tooDeep }
    }

    func leaveCall() { calls -= 1 }

    private var tooDeep: TemplateProblem { .unsupported("the template nests deeper than \(limits.depth) levels") }

    private func checkClock() throws {
        untilClock = 64
        guard Self.processorSeconds() - start <= limits.seconds else {
            throw TemplateProblem.unsupported("the template takes longer than \(limits.seconds) seconds")
        }
    }

    /// Processor time of this thread: other work on the machine does not count.
    private static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
