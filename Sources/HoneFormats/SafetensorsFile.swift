import Foundation

/// A safetensors file, mapped into memory and read-only.
///
/// Opening reads the header alone; the bytes of a tensor come from the disk when they are first touched. The values are
/// not looked at: NaN and infinity pass.
///
/// Do not change a file that is open here: rename a new one over it, as `AtomicFile` does. A file that has become shorter
/// since is noticed at the next `withBytes`.
public final class SafetensorsFile: Sendable {
    /// The path that the file was opened by.
    public let path: String
    /// The texts under `__metadata__`.
    public let metadata: [String: String]
    /// The tensors, in the order of their bytes in the file.
    public let entries: [SafetensorsEntry]
    private let positions: [ExactString: Int]
    private let mapping: FileMapping

    /// Opens a file and checks its header.
    ///
    /// - Throws: `HoneError`: `.fileSystem` when the file cannot be opened, `.badFile` where it is not, or not quite,
    ///   safetensors (a pickle is refused by its content, with advice), `.unsupported` for unknown element types.
    public init(path: String) throws {
        let mapping = try FileMapping(path: path)
        let start = try mapping.copy(0..<min(64, mapping.length))
        let length = try SafetensorsHeader.length(start: start, fileLength: mapping.length, file: path)
        // The header is copied before it is checked, so that nobody can change it in between.
        let header = try SafetensorsHeader(
            json: try mapping.copy(8..<8 + length), fileLength: mapping.length, file: path)
        self.path = path
        self.mapping = mapping
        metadata = header.metadata
        entries = header.entries
        var positions: [ExactString: Int] = [:]
        positions.reserveCapacity(entries.count)
        for (position, entry) in entries.enumerated() { positions[ExactString(entry.name)] = position }
        self.positions = positions
    }

    /// The tensor of a name; `nil` where there is none.
    public func entry(named name: String) -> SafetensorsEntry? {
        positions[ExactString(name)].map { entries[$0] }
    }

    /// Hands the bytes of a tensor to a closure: its elements in row-major order, little-endian.
    ///
    /// The bytes are valid only during the call. They begin at any address: use `loadUnaligned`, or copy them.
    ///
    /// - Parameters:
    ///   - name: the name of the tensor.
    ///   - body: what to do with the bytes.
    /// - Throws: `HoneError` (`.badFile`) where there is no such tensor or the file has become shorter; the errors of
    ///   `body`.
    public func withBytes<Result>(
        of name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        guard let entry = entry(named: name) else {
            throw HoneError(
                .badFile, "there is no such tensor in the file", file: path,
                item: "tensor \(SafetensorsHeader.quoted(name))")
        }
        return try mapping.withBytes(entry.byteRange, body)
    }

    /// The length of the file when it was opened, in bytes.
    public var length: Int { mapping.length }

    /// What tells this file from others and from itself after a change.
    public struct Identity: Hashable, Sendable {
        /// Device, file number, length, and the times of the last change of content and of status.
        public let text: String
        /// The later of the two times, in seconds since 1970.
        public let seconds: Double
    }

    /// The identity of the opened file now; `nil` where the system does not tell it.
    public func identity() throws -> Identity? { try mapping.identity() }

    /// SHA-256 of the opened file, as 64 lower-case hexadecimal digits; read in pieces beside the mapping, so that it does
    /// not become resident.
    ///
    /// - Throws: `HoneError` (`.fileSystem`) when it cannot be read.
    public func sha256() throws -> String { try mapping.sha256() }

    /// The bytes of a tensor, copied: its elements in row-major order, little-endian.
    ///
    /// - Throws: as `withBytes(of:_:)`.
    public func bytes(of name: String) throws -> [UInt8] {
        try withBytes(of: name) { Array($0) }
    }
}

/// A file mapped into memory, read-only, for as long as somebody holds this.
final class FileMapping: Sendable {
    /// The length at the time of opening, in bytes.
    let length: Int
    private let descriptor: FileDescriptor
    /// The address as a number, because pointers are not `Sendable`; nobody writes to what is there.
    private let address: UInt

    init(path: String) throws {
        let descriptor = try FileDescriptor(reading: path, onlyRegular: true)
        self.descriptor = descriptor
        length = try descriptor.length()
        guard length > 0 else {
            address = 0
            return
        }
        guard let start = mmap(nil, length, PROT_READ, MAP_PRIVATE, descriptor.number, 0), start != MAP_FAILED else {
            throw FileProblem.error("cannot map into memory", path, errno)
        }
        address = UInt(bitPattern: start)
    }

    deinit {
        if address != 0 { munmap(UnsafeMutableRawPointer(bitPattern: address), length) }
    }

    /// Hands out bytes of the file, after a look at whether they are still there: touching mapped bytes beyond the end
    /// of the file would end the process.
    func withBytes<Result>(
        _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        guard range.lowerBound >= 0, range.upperBound <= length, try descriptor.length() >= length else {
            throw HoneError(
                .badFile, "the file has become shorter since it was opened; something else is writing to it",
                file: descriptor.path)
        }
        let all = UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: address), count: length)
        return try withExtendedLifetime(self) { try body(UnsafeRawBufferPointer(rebasing: all[range])) }
    }

    func identity() throws -> SafetensorsFile.Identity? {
        var status = stat()
        guard fstat(descriptor.number, &status) == 0 else { return nil }
        let times = [status.st_mtim, status.st_ctim]
        let parts =
            [Int(status.st_dev), Int(status.st_ino), Int(status.st_size)] + times.flatMap { [$0.tv_sec, $0.tv_nsec] }
        return SafetensorsFile.Identity(
            text: parts.map(String.init).joined(separator: "-"), seconds: times.map { Double($0.tv_sec) }.max() ?? 0)
    }

    func sha256() throws -> String {
        var hash = ContentHash(.sha256)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        var offset = 0
        while true {
            let got = pread(descriptor.number, buffer.baseAddress, buffer.count, offset)
            if got == 0 { return hash.finish() }
            if got < 0 {
                if errno == EINTR { continue }
                throw FileProblem.error("cannot read", descriptor.path, errno)
            }
            hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
            offset += got
        }
    }

    /// Bytes of the file, copied.
    func copy(_ range: Range<Int>) throws -> [UInt8] {
        try withBytes(range) { Array($0) }
    }
}
