import Foundation

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Progress on standard error: one live line on a terminal, now and then a plain line elsewhere, nothing when quiet.
///
/// The live line is redrawn at most ten times a second and fits the terminal's width; results go to standard output and
/// are never touched. `NO_COLOR` (no-color.org) and `TERM=dumb` are respected.
///
///     var progress = TerminalProgress(quiet: options.quiet)
///     progress.update(ProgressState(activity: "lora", step: 12, totalSteps: 100, loss: 0.31))
///     progress.finish()
public struct TerminalProgress: Sendable {
    /// How progress is shown.
    public enum Mode: Hashable, Sendable {
        /// One line that is redrawn.
        case live
        /// A line every few seconds.
        case plain
        /// Nothing.
        case quiet
    }

    /// How progress is shown.
    public let mode: Mode
    private let hasColour: Bool
    private let columns: @Sendable () -> Int
    private let now: @Sendable () -> Double
    private let write: @Sendable (String) -> Void

    private var lastDrawn = -Double.infinity
    private var isLineShown = false
    private var activity: String?
    private var startTime = 0.0
    private var startStep = 0

    /// At most this often, in seconds, a live line is redrawn.
    static let liveInterval = 0.1
    /// At most this often, in seconds, a plain line is written.
    static let plainInterval = 5.0

    /// Progress on standard error, in the way that suits it.
    /// - Parameters:
    ///   - quiet: whether nothing is to be shown.
    ///   - environment: where `NO_COLOR` and `TERM` are looked up.
    public init(quiet: Bool = false, environment: [String: String] = ProcessInfo.processInfo.environment) {
        let isTerminal = isatty(STDERR_FILENO) == 1 && environment["TERM"] != "dumb"
        self.init(
            mode: quiet ? .quiet : isTerminal ? .live : .plain,
            hasColour: isTerminal && (environment["NO_COLOR"] ?? "").isEmpty,
            columns: { Self.terminalWidth(of: STDERR_FILENO) ?? 80 },
            now: { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 },
            write: { text in try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) })
    }

    /// Progress with everything given, for tests and for other places than standard error.
    /// - Parameters:
    ///   - mode: how progress is shown.
    ///   - hasColour: whether escape sequences for colour are written.
    ///   - columns: how wide the terminal is, asked each time.
    ///   - now: a clock in seconds that never goes back.
    ///   - write: where the text goes.
    public init(
        mode: Mode, hasColour: Bool, columns: @escaping @Sendable () -> Int, now: @escaping @Sendable () -> Double,
        write: @escaping @Sendable (String) -> Void
    ) {
        self.mode = mode
        self.hasColour = hasColour
        self.columns = columns
        self.now = now
        self.write = write
    }

    /// Shows how far things are; cheap to call at every step.
    public mutating func update(_ state: ProgressState) {
        guard mode != .quiet else { return }
        let time = now()
        let isNew = activity != state.activity || state.step < startStep
        if isNew {
            activity = state.activity
            startTime = time
            startStep = state.step
        }
        let isLast = state.totalSteps.map { state.step >= $0 } ?? false
        let interval = mode == .live ? Self.liveInterval : Self.plainInterval
        guard isNew || isLast || time - lastDrawn >= interval else { return }
        lastDrawn = time
        let state = withEstimate(state, at: time)
        switch mode {
        case .live:
            // One column stays free: a full line makes some terminals wrap.
            let line = state.liveLine(width: max(columns() - 1, 20), hasColour: hasColour)
            write("\r\u{1b}[2K" + line)
            isLineShown = true
        case .plain: write(state.plainLine + "\n")
        case .quiet: break
        }
    }

    /// Writes a line that stays, above the live one.
    public mutating func note(_ text: String) {
        guard mode != .quiet else { return }
        clear()
        write(TerminalText.printable(text) + "\n")
    }

    /// Takes the live line away; what is written next begins on a clean line.
    public mutating func clear() {
        guard isLineShown else { return }
        write("\r\u{1b}[2K")
        isLineShown = false
    }

    /// Ends the progress, with a last line where one is given.
    public mutating func finish(_ text: String? = nil) {
        clear()
        if let text { note(text) }
        activity = nil
        lastDrawn = -Double.infinity
    }

    /// With the time left, extrapolated from the steps since this activity began, once there is enough to go by.
    private func withEstimate(_ state: ProgressState, at time: Double) -> ProgressState {
        guard state.secondsLeft == nil, let total = state.totalSteps, state.step > startStep, time - startTime > 1
        else {
            return state
        }
        var copy = state
        copy.secondsLeft = (time - startTime) / Double(state.step - startStep) * Double(max(total - state.step, 0))
        return copy
    }

    /// How many columns the terminal behind a file descriptor has; nil where it is no terminal.
    public static func terminalWidth(of descriptor: Int32) -> Int? {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }
}
