import Synchronization
import Testing

@testable import HoneReports

struct TerminalTests {
    /// What was written, and a clock that is moved by hand.
    final class Recorder: Sendable {
        let text = Mutex("")
        let time = Mutex(0.0)

        func progress(_ mode: TerminalProgress.Mode, columns: Int = 80, hasColour: Bool = false) -> TerminalProgress {
            TerminalProgress(
                mode: mode, hasColour: hasColour, columns: { columns }, now: { self.time.withLock { $0 } },
                write: { written in self.text.withLock { $0 += written } })
        }
        var written: String { text.withLock { $0 } }
        func wait(_ seconds: Double) { time.withLock { $0 += seconds } }
    }

    @Test func `redraws a live line at most ten times a second and clears it`() {
        let recorder = Recorder()
        var progress = recorder.progress(.live)
        for step in 0..<100 {
            progress.update(ProgressState(activity: "lora", step: step, totalSteps: 1000, loss: 0.5))
            recorder.wait(0.01)
        }
        let drawn = recorder.written.split(separator: "\r").count
        #expect((8...11).contains(drawn))
        progress.finish("done")
        #expect(recorder.written.hasSuffix("\r\u{1b}[2Kdone\n"))
    }

    @Test func `fits the live line to the terminal`() {
        let state = ProgressState(
            activity: "a rather long name of a method", step: 450, totalSteps: 1000, loss: 0.2134,
            tokensPerSecond: 12_400,
            secondsLeft: 62)
        let full = state.liveLine(width: 120, hasColour: false)
        #expect(full.contains("45 %") && full.contains("step 450/1,000") && full.contains("loss 0.213"))
        #expect(full.contains("12.4 k tokens/s") && full.contains("1 min 02 s left"))
        for width in 20...120 { #expect(TerminalText.width(state.liveLine(width: width, hasColour: false)) <= width) }
        #expect(!full.contains("\u{1b}") && state.liveLine(width: 80, hasColour: true).contains("\u{1b}[1m"))
    }

    @Test func `estimates the time left from the steps`() {
        let recorder = Recorder()
        var progress = recorder.progress(.live, columns: 120)
        progress.update(ProgressState(activity: "lora", step: 0, totalSteps: 100))
        recorder.wait(10)
        progress.update(ProgressState(activity: "lora", step: 20, totalSteps: 100))
        #expect(recorder.written.hasSuffix("40 s left"))
    }

    @Test func `writes few plain lines without escape sequences`() {
        let recorder = Recorder()
        var progress = recorder.progress(.plain)
        for step in 1...100 {
            progress.update(ProgressState(activity: "lora", step: step, totalSteps: 100))
            recorder.wait(0.2)
        }
        progress.finish()
        let lines = recorder.written.split(separator: "\n")
        #expect((4...6).contains(lines.count))
        #expect(lines.last == "lora: step 100/100, 0 s left")
        #expect(!recorder.written.contains("\u{1b}"))
    }

    @Test func `is silent when quiet`() {
        let recorder = Recorder()
        var progress = recorder.progress(.quiet)
        progress.update(ProgressState(activity: "lora", step: 1))
        progress.note("hello")
        progress.finish("done")
        #expect(recorder.written.isEmpty)
    }

    @Test func `aligns tables`() {
        var table = TextTable(["method", "accuracy", "note"])
        table.add(["lora", "0.934", "chosen"])
        table.add(["日本語", "–"])
        table.add(["x\u{1b}[31m", "12.5", "a\nb", "surplus"])
        #expect(
            table.text() == """
                method  accuracy  note
                ──────  ────────  ──────
                lora       0.934  chosen
                日本語         –
                x\u{fffd}[31m      12.5  a b
                """)
    }

    @Test func `cuts wide columns of text to the terminal`() {
        var table = TextTable(["text", "count"])
        table.add([String(repeating: "wide ", count: 30), "12"])
        let lines = table.text(width: 40).split(separator: "\n")
        #expect(lines.allSatisfy { TerminalText.width(String($0)) <= 40 })
        #expect(lines[2].contains("…") && lines[2].hasSuffix("12"))
        #expect(TextTable([]).text().isEmpty)
    }

    @Test func `measures and cuts text by columns`() {
        #expect(TerminalText.width("abc") == 3 && TerminalText.width("日本") == 4)
        #expect(TerminalText.width("e\u{301}") == 1 && TerminalText.width("👍🏽") == 2)
        #expect(TerminalText.truncated("日本語", to: 4) == "日…")
        #expect(TerminalText.truncated("abc", to: 0).isEmpty)
        #expect(TextTable.looksNumeric("0.934 (0.918–0.949)") && TextTable.looksNumeric("−3 s"))
        #expect(!TextTable.looksNumeric("lora") && !TextTable.looksNumeric(""))
    }
}
