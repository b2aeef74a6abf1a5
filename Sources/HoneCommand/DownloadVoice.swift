import Foundation
import HoneHub
import HoneReports
import Synchronization

/// What the verbs say while a model is downloaded.
enum DownloadVoice {
    /// A client of the Hub that shows its progress on standard error.
    static func client(quiet: Bool) throws -> HubClient {
        let progress = Mutex(TerminalProgress(quiet: quiet))
        return try HubClient(report: { state in
            progress.withLock { progress in
                guard !state.isDone else {
                    progress.clear()
                    if state.bytesReceived > 0 {
                        progress.note(
                            "\(state.model): \(state.files) files, \(megabytes(state.bytes)), "
                                + "\(megabytes(state.bytesReceived)) downloaded in \(TimeSpan.text(state.seconds))")
                    }
                    return
                }
                progress.update(
                    ProgressState(
                        activity: (state.isWaiting ? "waiting for another download of " : "downloading ") + state.model,
                        step: state.bytesDone >> 20, totalSteps: max(1, state.bytes >> 20)))
            }
        })
    }

    /// Bytes in words.
    static func megabytes(_ bytes: Int) -> String {
        bytes < 1_000_000 ? "\((bytes + 999) / 1000) kB" : "\((bytes + 500_000) / 1_000_000) MB"
    }
}
