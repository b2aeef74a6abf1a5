import Foundation
import Synchronization

/// How far a download is.
public struct HubProgress: Hashable, Sendable {
    /// What is downloaded: `owner/name`, with `@revision` where it is not the usual one.
    public var model: String
    /// How many files are there in whole.
    public var filesDone = 0
    /// How many files there are.
    public var files = 0
    /// How many bytes are there, those of former attempts included.
    public var bytesDone = 0
    /// How many bytes there are in all the files whose size is known by now.
    public var bytes = 0
    /// How many bytes came over the network this time.
    public var bytesReceived = 0
    /// Seconds since the beginning.
    public var seconds = 0.0
    /// Whether another program that loads the same file is waited for.
    public var isWaiting = false
    /// Whether everything is done.
    public var isDone = false
}

/// Counts what several threads do and tells it, at most ten times a second.
final class ProgressCounter: Sendable {
    private struct State {
        var progress: HubProgress
        var told = 0.0
        var isStopped = false
    }

    private let state: Mutex<State>
    private let report: (@Sendable (HubProgress) -> Void)?
    private let start = ProgressCounter.now

    init(model: String, report: (@Sendable (HubProgress) -> Void)?) {
        state = Mutex(State(progress: HubProgress(model: model)))
        self.report = report
    }

    /// Changes the numbers and tells them, if it is time.
    func change(force: Bool = false, _ change: @Sendable (inout HubProgress) -> Void) {
        let now = ProgressCounter.now
        let told: HubProgress? = state.withLock { state in
            change(&state.progress)
            guard force || now - state.told >= 0.1 else { return nil }
            state.told = now
            state.progress.seconds = now - start
            return state.progress
        }
        if let told { report?(told) }
    }

    /// Makes every thread stop soon.
    func stop() { state.withLock { $0.isStopped = true } }

    /// Whether the threads should stop.
    var isStopped: Bool { state.withLock { $0.isStopped } }

    private static var now: Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }
}
