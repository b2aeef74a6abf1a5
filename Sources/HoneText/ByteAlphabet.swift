/// GPT-2's alphabet: a printable character for each of the 256 bytes, so that a vocabulary can be kept as text
/// (Radford et al. 2019, `bytes_to_unicode` in the released code).
enum ByteAlphabet {
    /// The character that stands for each byte.
    static let scalarOfByte: [UInt16] = {
        var scalars = [UInt16](repeating: 0, count: 256)
        var next: UInt16 = 256
        for byte in 0..<256 {
            if isPrintable(byte) {
                scalars[byte] = UInt16(byte)
            } else {
                scalars[byte] = next
                next += 1
            }
        }
        return scalars
    }()

    /// The byte that each character below 0x144 stands for, or -1.
    static let byteOfScalar: [Int16] = {
        var bytes = [Int16](repeating: -1, count: 0x144)
        for (byte, scalar) in scalarOfByte.enumerated() { bytes[Int(scalar)] = Int16(byte) }
        return bytes
    }()

    private static func isPrintable(_ byte: Int) -> Bool {
        (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
    }

    /// The character that stands for each byte, as UTF-8.
    private static let utf8OfByte: [[UInt8]] = scalarOfByte.map { scalar in
        var bytes: [UInt8] = []
        appendScalar(UInt32(scalar), to: &bytes)
        return bytes
    }

    /// The character that stands for a byte, as UTF-8.
    static func utf8(of byte: UInt8) -> [UInt8] { utf8OfByte[Int(byte)] }

    /// Appends the characters that stand for some bytes, as UTF-8.
    static func append(_ bytes: some Sequence<UInt8>, to output: inout [UInt8]) {
        for byte in bytes { appendScalar(UInt32(scalarOfByte[Int(byte)]), to: &output) }
    }

    /// Appends the bytes that a text in the alphabet stands for; false, with a part appended, where it holds any other
    /// character.
    static func append(bytesOf text: ArraySlice<UInt8>, to output: inout [UInt8]) -> Bool {
        let table = byteOfScalar
        var index = text.startIndex
        while index < text.endIndex {
            var scalar = Int(text[index])
            index += 1
            if scalar >= 0x80 {
                // The alphabet has two-byte characters only; longer ones end here.
                guard scalar < 0xE0, index < text.endIndex else { return false }
                scalar = (scalar & 0x1F) << 6 | Int(text[index] & 0x3F)
                index += 1
            }
            guard scalar < table.count, table[scalar] >= 0 else { return false }
            output.append(UInt8(truncatingIfNeeded: table[scalar]))
        }
        return true
    }
}
