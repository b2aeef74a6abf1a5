/// Writes small image files, for tests.
public enum TinyImage {
    /// A PNG file of grey samples, row after row, not compressed.
    public static func png(width: Int, height: Int, grey samples: [UInt8]) -> [UInt8] {
        precondition(samples.count == width * height, "an image has a sample for each pixel")
        var rows: [UInt8] = []
        for row in 0..<height { rows += [0] + samples[row * width..<(row + 1) * width] }
        precondition(rows.count <= 65535, "a stored block of the zlib format has at most 65535 bytes")
        let length = UInt16(rows.count)
        let header = bigEndian(UInt32(width)) + bigEndian(UInt32(height)) + [8, 0, 0, 0, 0]
        let data =
            [0x78, 0x01, 0x01, UInt8(length & 0xFF), UInt8(length >> 8), UInt8(~length & 0xFF), UInt8(~length >> 8)]
            + rows + bigEndian(adler(rows))
        return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + chunk("IHDR", header) + chunk("IDAT", data)
            + chunk("IEND", [])
    }

    private static func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
        let content = Array(name.utf8) + data
        return bigEndian(UInt32(data.count)) + content + bigEndian(cyclicSum(content))
    }

    private static func bigEndian(_ value: UInt32) -> [UInt8] {
        [UInt8(value >> 24), UInt8(value >> 16 & 0xFF), UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)]
    }

    /// CRC-32 (ISO 3309), as chunks have it.
    private static func cyclicSum(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~0 as UInt32) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
        }
    }

    /// Adler-32 (RFC 1950), as the zlib format has it.
    private static func adler(_ bytes: [UInt8]) -> UInt32 {
        var (low, high) = (1 as UInt32, 0 as UInt32)
        for byte in bytes {
            low = (low + UInt32(byte)) % 65521
            high = (high + low) % 65521
        }
        return high << 16 | low
    }
}
