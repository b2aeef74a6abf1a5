import Glibc
import Synchronization

/// Ctrl-C and SIGTERM as a wish to stop: training asks after every step, writes a checkpoint and ends; a chat stops its answer.
public enum Interruption {
    private static let wished = Atomic<Bool>(false)
    private static let isResting = Atomic<Bool>(false)

    /// Whether the process was asked to stop.
    public static var isWished: Bool { wished.load(ordering: .relaxed) }

    /// Takes the signals over. A second one ends the process at once.
    public static func install(_ signals: [Int32] = [SIGINT, SIGTERM]) {
        for number in signals {
            signal(number) { number in
                let isSecond = Interruption.wished.exchange(true, ordering: .relaxed)
                if isSecond || Interruption.isResting.load(ordering: .relaxed) { _exit(128 + number) }
            }
        }
    }

    /// Runs a body that a signal ends early; outside of it, one signal ends the process. For programs that work on request.
    public static func during<Result>(_ body: () throws -> Result) rethrows -> Result {
        wished.store(false, ordering: .relaxed)
        isResting.store(false, ordering: .relaxed)
        defer { rest() }
        return try body()
    }

    /// From now on, one signal ends the process.
    public static func rest() {
        isResting.store(true, ordering: .relaxed)
        wished.store(false, ordering: .relaxed)
    }
}
