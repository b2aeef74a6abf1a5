import HoneFormats

/// The text that a chat template made, and where each part of it comes from.
public struct RenderedChat: Sendable, Hashable {
    let marked: MarkedText

    init(_ marked: MarkedText) { self.marked = marked }

    /// The text.
    public var text: String { marked.string }

    /// Where in the UTF-8 of the text stands what somebody said, and not the template: no special token may begin there.
    public var untrusted: [Range<Int>] { ranges { MarkedText.origin($0) != .template } }

    /// Where in the UTF-8 of the text the `{% generation %}` blocks of the template stand.
    public var generated: [Range<Int>] { ranges { $0 & MarkedText.generationBit != 0 } }

    /// From the first to the last scalar that a turn's words gave, `nil` where there are none.
    func scalars(ofTurn turn: Int) -> Range<Int>? {
        let origin = TextOrigin.turn(turn)
        guard let first = marked.units.firstIndex(where: { MarkedText.origin($0) == origin }),
            let last = marked.units.lastIndex(where: { MarkedText.origin($0) == origin })
        else { return nil }
        return first..<(last + 1)
    }

    /// The longest stretches of scalars whose units satisfy a condition.
    func scalarRanges(_ isWanted: (UInt32) -> Bool) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for (index, unit) in marked.units.enumerated() where isWanted(unit) {
            if let last = ranges.last, last.upperBound == index {
                ranges[ranges.count - 1] = last.lowerBound..<(index + 1)
            } else {
                ranges.append(index..<(index + 1))
            }
        }
        return ranges
    }

    /// The longest stretches of UTF-8 whose units satisfy a condition.
    func ranges(_ isWanted: (UInt32) -> Bool) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var offset = 0
        for unit in marked.units {
            let next = offset + UTF8.width(MarkedText.scalar(unit))
            if isWanted(unit) {
                if let last = ranges.last, last.upperBound == offset {
                    ranges[ranges.count - 1] = last.lowerBound..<next
                } else {
                    ranges.append(offset..<next)
                }
            }
            offset = next
        }
        return ranges
    }

    /// Whether texts are the same, whatever their origins.
    public static func == (left: RenderedChat, right: RenderedChat) -> Bool { left.marked == right.marked }

    /// Feeds the text.
    public func hash(into hasher: inout Hasher) { hasher.combine(marked) }
}
