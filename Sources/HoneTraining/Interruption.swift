import Glibc
import Synchronization

/// Ctrl-C and SIGTERM as a wish to stop: training asks after every step, writes a checkpoint and ends.
public enum Interruption {
    private static let wished = Atomic<Bool>(false)

    /// Whether the process was asked to stop.
    public static var isWished: Bool { wished.load(ordering: .relaxed) }

    /// Takes the signals over. A second one ends the process at once.
    public static func install() {
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                if Interruption.wished.exchange(true, ordering: .relaxed) { _exit(128 + number) }
            }
        }
    }
}
