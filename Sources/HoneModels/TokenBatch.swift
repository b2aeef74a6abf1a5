import HoneFormats
import HoneTorch

/// Rows of token numbers, padded to one length; or images, whose patches are the tokens.
public struct TokenBatch {
    /// Where the padding stands.
    public enum Side: Sendable {
        /// After the row's tokens: training and scoring.
        case right
        /// Before them, so that generation goes on at the end of every row.
        case left
    }

    /// `[rows, length]`, `int64`; of images, `[rows, 0]`.
    public let ids: Tensor
    /// `[rows, length]`, `int64`; absent where all are of type 0.
    public let typeIds: Tensor?
    /// `[rows, channels, height, width]`, where the rows are images.
    public let pixels: Tensor?
    /// How many tokens each row has.
    public let lengths: [Int]
    /// Where the padding stands.
    public let side: Side
    /// `[rows, length]`, `bool`, true for tokens; absent where nothing is padded.
    public let valid: Tensor?
    /// The rows as they were given.
    let rows: [[Int]]
    /// The states with which the rows enter a layer, where they are known.
    private(set) var trunk: TrunkStates?
    /// Which token of each row is the last of its prompt, counted from the row's first; `nil` where it has none here.
    private var givenPromptEnds: [Int?]?

    /// The length of the longest row.
    public let length: Int
    /// How many rows there are.
    public var rowCount: Int { lengths.count }
    /// How many tokens there are, without padding.
    public var tokenCount: Int { lengths.reduce(0, +) }

    /// The same rows with known states: a forward pass begins with them.
    public func entering(_ trunk: TrunkStates?) -> TokenBatch {
        precondition(trunk.map { $0.rows.map { $0.size(0) } == lengths } ?? true, "one state for each token")
        var copy = self
        copy.trunk = trunk
        return copy
    }

    /// The same rows, told where their prompts end: what acts on the last token of a prompt acts there. Where nobody tells, the
    /// rows of a first pass are prompts, and those that go on from a cache are text behind one.
    ///
    /// - Parameter ends: for each row the number of that token, counted from the row's first; `nil` for none.
    public func endingPrompts(at ends: [Int?]) -> TokenBatch {
        precondition(
            ends.count == rowCount && zip(ends, lengths).allSatisfy { end, length in end.map { $0 < length } ?? true },
            "a prompt ends with a token of its row")
        var copy = self
        copy.givenPromptEnds = ends
        return copy
    }

    /// Where prompts end in a pass that goes on from a cache or does not.
    func promptEnds(behindOthers: Bool) -> [Int?] {
        givenPromptEnds ?? lengths.map { behindOthers ? nil : $0 - 1 }
    }

    /// Tokens of many rows as one row without padding, `[1, count]`.
    init(packed ids: Tensor, typeIds: Tensor?, count: Int) {
        self.ids = ids
        self.typeIds = typeIds
        pixels = nil
        length = count
        lengths = [count]
        side = .right
        valid = nil
        rows = []
    }

    /// Images of so many tokens each, `[rows, channels, height, width]`.
    init(pixels: Tensor, length: Int) throws {
        ids = try Tensor.zeros([pixels.size(0), 0], .int64)
        typeIds = nil
        self.pixels = pixels
        self.length = length
        lengths = Array(repeating: length, count: pixels.size(0))
        side = .right
        valid = nil
        rows = []
    }

    /// Pads rows to their longest.
    ///
    /// - Parameters:
    ///   - rows: token numbers; a row may not be empty.
    ///   - typeIds: token types, as long as the rows.
    ///   - padId: what fills the padding; attention never looks at it.
    public init(
        _ rows: [[Int]], typeIds: [[Int]]? = nil, padId: Int = 0, side: Side = .right, on device: Device = .cpu
    ) throws {
        let length = rows.map(\.count).max() ?? 0
        guard length > 0, rows.allSatisfy({ !$0.isEmpty }) else {
            throw HoneError(.badData, "a row has no tokens")
        }
        func padded(_ rows: [[Int]], with filler: Int) throws -> Tensor {
            var flat: [Int] = []
            flat.reserveCapacity(rows.count * length)
            for row in rows {
                let padding = repeatElement(filler, count: length - row.count)
                if side == .left { flat += padding }
                flat += row
                if side == .right { flat += padding }
            }
            return try Tensor(flat, shape: [rows.count, length], on: device)
        }
        self.side = side
        self.length = length
        self.rows = rows
        pixels = nil
        lengths = rows.map(\.count)
        ids = try padded(rows, with: padId)
        self.typeIds = try typeIds.map { try padded($0, with: 0) }
        if lengths.allSatisfy({ $0 == length }) {
            valid = nil
        } else {
            valid = try padded(rows.map { $0.map { _ in 1 } }, with: 0).to(.bool)
        }
    }
}
