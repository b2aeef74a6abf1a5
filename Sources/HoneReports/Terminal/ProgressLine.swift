import HoneEvaluation

/// How far a method's training is.
public struct ProgressState: Hashable, Sendable {
    /// The method, or another word for what is going on.
    public var activity: String
    /// How many steps are done.
    public var step: Int
    /// How many there will be, where known.
    public var totalSteps: Int?
    /// The current training loss.
    public var loss: Double?
    /// How many tokens are processed in a second.
    public var tokensPerSecond: Double?
    /// How long the rest takes, in seconds; `TerminalProgress` estimates it from the steps where it is left out.
    public var secondsLeft: Double?

    /// How far a method's training is.
    public init(
        activity: String, step: Int, totalSteps: Int? = nil, loss: Double? = nil, tokensPerSecond: Double? = nil,
        secondsLeft: Double? = nil
    ) {
        self.activity = activity
        self.step = step
        self.totalSteps = totalSteps
        self.loss = loss
        self.tokensPerSecond = tokensPerSecond
        self.secondsLeft = secondsLeft
    }

    /// The share that is done, where the total is known.
    public var share: Double? {
        guard let totalSteps, totalSteps > 0 else { return nil }
        return min(max(Double(step) / Double(totalSteps), 0), 1)
    }

    private var steps: String {
        guard let totalSteps else { return "step \(NumberText.count(step))" }
        return "step \(NumberText.count(step))/\(NumberText.count(totalSteps))"
    }

    /// The parts after the name, each with how soon it is given up where space is short (larger: sooner).
    private var parts: [(text: String, rank: Int)] {
        var parts: [(String, Int)] = [(steps, 1)]
        if let loss { parts.append(("loss \(NumberText.significant(loss))", 2)) }
        if let rate = tokensPerSecond, rate.isFinite, rate >= 0, rate < 1e15 {
            parts.append(("\(NumberText.shortCount(Int(rate))) tokens/s", 4))
        }
        if let left = secondsLeft, left.isFinite, left >= 0 {
            parts.append(("\(NumberText.coarseDuration(seconds: left)) left", 3))
        }
        return parts
    }

    /// One line of words, for a log.
    var plainLine: String {
        "\(TerminalText.printable(activity)): " + parts.map(\.text).joined(separator: ", ")
    }

    /// One line with a bar that takes no more columns than `width`; less important parts are left out where it is
    /// narrow.
    func liveLine(width: Int, hasColour: Bool) -> String {
        let name = TerminalText.truncated(TerminalText.printable(activity), to: max(width / 3, 8))
        var kept = parts
        func used() -> Int {
            TerminalText.width(name) + kept.reduce(0) { $0 + 2 + TerminalText.width($1.text) }
        }
        while used() > width, let worst = kept.indices.max(by: { kept[$0].rank < kept[$1].rank }) {
            kept.remove(at: worst)
        }
        var line = hasColour ? "\u{1b}[1m\(name)\u{1b}[0m" : name
        let room = min(width - used() - 8, 24)
        if let share, room >= 8 {
            let filled = Int((share * Double(room)).rounded(.down))
            let bar = String(repeating: "━", count: filled)
            let rest = String(repeating: hasColour ? "━" : "─", count: room - filled)
            line += hasColour ? "  \u{1b}[36m\(bar)\u{1b}[0m\u{1b}[90m\(rest)\u{1b}[0m" : "  \(bar)\(rest)"
            line += TerminalText.padded("\(Int(share * 100)) %", to: 6, rightAligned: true)
        }
        for part in kept { line += "  \(part.text)" }
        return TerminalText.width(name) > width ? "" : line
    }
}
