/// Where a byte of a rewritten text comes from: a scalar of the original, as a range of bytes.
struct Origin: Sendable, Equatable {
    var start: Int32
    var end: Int32
}

/// A text on its way through the stages and, where offsets are asked for, where each of its bytes comes from.
struct AlignedText: Sendable {
    var bytes: [UInt8]
    /// One for each byte; empty where nobody asked.
    private(set) var origins: [Origin] = []
    /// Whether `origins` is kept up.
    let isTracked: Bool

    /// The original text, not rewritten yet.
    ///
    /// - Parameter tracks: keep up where each byte comes from; only for texts of less than 2 GiB.
    init(_ bytes: [UInt8], tracks: Bool) {
        self.bytes = bytes
        isTracked = tracks && bytes.count < Int(Int32.max)
        guard isTracked else { return }
        origins.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            let end = min(bytes.count, index + scalarLength(bytes[index]))
            let origin = Origin(start: Int32(index), end: Int32(end))
            for _ in index..<end { origins.append(origin) }
            index = end
        }
    }

    private init(bytes: [UInt8], origins: [Origin], isTracked: Bool) {
        self.bytes = bytes
        self.origins = origins
        self.isTracked = isTracked
    }

    /// A part of the text.
    subscript(range: TextMatch) -> AlignedText {
        AlignedText(
            bytes: Array(bytes[range.start..<range.end]),
            origins: isTracked ? Array(origins[range.start..<range.end]) : [], isTracked: isTracked)
    }

    /// Keeps only the bytes for whose scalars `keep` holds, which takes where the scalar stands.
    mutating func removeScalars(where isRemoved: (_ scalar: UInt32, _ hasKept: Bool) -> Bool) {
        var index = 0
        var kept = 0
        while index < bytes.count {
            let start = index
            if isRemoved(nextScalar(bytes, &index, bytes.count), kept > 0) { continue }
            move(start, index, to: &kept)
        }
        truncate(to: kept)
    }

    /// Moves bytes towards the start.
    @inline(__always)
    mutating func move(_ start: Int, _ end: Int, to target: inout Int) {
        for source in start..<end {
            bytes[target] = bytes[source]
            if isTracked { origins[target] = origins[source] }
            target &+= 1
        }
    }

    /// Cuts off what lies behind an index.
    mutating func truncate(to count: Int) {
        bytes.removeSubrange(count...)
        if isTracked { origins.removeSubrange(count...) }
    }

    /// Cuts off what lies before an index.
    mutating func removePrefix(_ count: Int) {
        bytes.removeSubrange(..<count)
        if isTracked { origins.removeSubrange(..<count) }
    }

    /// Puts bytes before the text; they come from where its first byte comes from.
    mutating func prepend(_ prefix: [UInt8]) {
        if bytes.isEmpty { return }
        if isTracked { origins.insert(contentsOf: repeatElement(origins[0], count: prefix.count), at: 0) }
        bytes.insert(contentsOf: prefix, at: 0)
    }
}

/// The new form of a text while it is put together, from left to right.
struct TextRewriter {
    /// The text before.
    let source: AlignedText
    private var bytes: [UInt8] = []
    private var origins: [Origin] = []
    /// Up to where the source has been dealt with.
    private var position = 0

    init(_ source: AlignedText, reserving extra: Int = 0) {
        self.source = source
        bytes.reserveCapacity(source.bytes.count + extra)
        if source.isTracked { origins.reserveCapacity(source.bytes.count + extra) }
    }

    /// Whether nothing was changed so far.
    var isUntouched: Bool { position == 0 && bytes.isEmpty }

    /// Takes over what lies before an index unchanged.
    @inline(__always)
    mutating func keep(upTo end: Int) {
        guard position < end else { return }
        bytes.append(contentsOf: source.bytes[position..<end])
        if source.isTracked { origins.append(contentsOf: source.origins[position..<end]) }
        position = end
    }

    /// Leaves out what lies before an index.
    @inline(__always)
    mutating func skip(to end: Int) { position = max(position, end) }

    /// Appends bytes that come from where a byte of the source comes from.
    @inline(__always)
    mutating func append(_ added: some Collection<UInt8>, from index: Int) {
        bytes.append(contentsOf: added)
        if source.isTracked { origins.append(contentsOf: repeatElement(source.origins[index], count: added.count)) }
    }

    /// Appends scalars that replace a part of the source, as the reference aligns them.
    ///
    /// Each comes with a change: 0 where it takes the place of the next scalar of the source, 1 where it is new and belongs
    /// to the one before, -n where n more scalars of the source go with the one that it replaces.
    ///
    /// - Parameter start: where the first scalar of the source stands that is replaced.
    mutating func append(_ scalars: [(scalar: UInt32, change: Int)], replacing start: Int) {
        var index = start
        func skipScalar() {
            if index < source.bytes.count { index += scalarLength(source.bytes[index]) }
        }
        for (scalar, change) in scalars {
            let before = bytes.count
            appendScalar(scalar, to: &bytes)
            guard source.isTracked else { continue }
            var origin = Origin(start: 0, end: 0)
            if change > 0 {
                if index > 0 { origin = source.origins[min(index, source.origins.count) - 1] }
            } else {
                if !source.origins.isEmpty { origin = source.origins[min(index, source.origins.count - 1)] }
                for _ in 0...(-change) { skipScalar() }
            }
            for _ in before..<bytes.count { origins.append(origin) }
        }
    }

    /// The new text, with the rest of the source.
    mutating func finish() -> AlignedText {
        keep(upTo: source.bytes.count)
        return source.replaced(by: bytes, origins)
    }
}

extension AlignedText {
    fileprivate func replaced(by bytes: [UInt8], _ origins: [Origin]) -> AlignedText {
        AlignedText(bytes: bytes, origins: origins, isTracked: isTracked)
    }
}
