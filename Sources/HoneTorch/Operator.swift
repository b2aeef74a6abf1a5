import CHoneTorch
import Glibc
import HoneFormats

/// One ATen operator, found by name through libtorch's dispatcher.
///
/// This is how the whole of ATen is reachable; the typed operators of `Tensor` are one line each on top of it.
///
///     static let flip = Operator("aten::flip")
///     let mirrored = try flip(image, [2])
public struct Operator: Sendable {
    /// The name with its namespace, `aten::add`.
    public let name: String
    /// The overload, `Tensor` or empty.
    public let overload: String
    /// The address of the handle, which lives as long as the process; 0 where libtorch has no such operator.
    private let address: UInt

    /// Looks the operator up; an unknown one is reported when it is called.
    public init(_ name: String, _ overload: String = "") {
        self.name = name
        self.overload = overload
        var found: hone_operator?
        address = hone_find(name, overload, &found) == 0 ? UInt(bitPattern: found) : 0
    }

    /// One argument of an operator.
    public enum Argument {
        /// Absent; the operator's own meaning of none.
        case none
        /// A tensor.
        case tensor(Tensor)
        /// A whole number, also a `DType`'s raw value.
        case integer(Int)
        /// A real number.
        case real(Double)
        /// A truth value.
        case boolean(Bool)
        /// Whole numbers: a shape, dimensions.
        case integers([Int])
        /// Real numbers.
        case reals([Double])
        /// Tensors, some of which may be absent where the operator allows it.
        case tensors([Tensor?])
        /// A word: a mode, or a device.
        case string(String)
        /// A generator with this seed, for operators that draw random numbers.
        case seed(UInt64)

        /// A tensor that may be absent.
        public static func optional(_ tensor: Tensor?) -> Argument { tensor.map { .tensor($0) } ?? .none }
    }

    /// Calls the operator with positional arguments; those left out take their defaults. Gives all results, lists of
    /// tensors element by element.
    ///
    /// - Throws: `HoneError` with code `.engine` and libtorch's own words.
    public func results(_ arguments: [Argument], capacity: Int = 64) throws -> [Tensor] {
        try withUnsafeTemporaryAllocation(of: hone_value.self, capacity: capacity) { results in
            let produced = try call(arguments, results: results)
            var tensors: [Tensor] = []
            tensors.reserveCapacity(produced)
            for value in results[..<produced] where value.tag == HONE_TENSOR {
                tensors.append(Tensor(owning: value.tensor))
            }
            return tensors
        }
    }

    /// Calls the operator and gives its first tensor.
    public func callAsFunction(_ arguments: Argument...) throws -> Tensor {
        try withUnsafeTemporaryAllocation(of: hone_value.self, capacity: 4) { results in
            let produced = try call(arguments, results: results)
            var first: Tensor?
            for value in results[..<produced] where value.tag == HONE_TENSOR {
                let tensor = Tensor(owning: value.tensor)
                first = first ?? tensor
            }
            guard let first else { throw HoneError(.engine, "gave no tensor", item: name) }
            return first
        }
    }

    /// Calls an operator whose result does not matter, such as one that works in place.
    public func run(_ arguments: Argument...) throws { _ = try results(arguments) }

    private func call(_ arguments: [Argument], results: UnsafeMutableBufferPointer<hone_value>) throws -> Int {
        guard let op = hone_operator(bitPattern: address) else {
            throw HoneError(.engine, "libtorch has no operator \(name).\(overload)")
        }
        // Every list element is 8 bytes wide; all lists share one buffer, so that nothing has to stay pinned.
        let listed = arguments.reduce(0) { $0 + $1.listLength }
        return try withUnsafeTemporaryAllocation(of: Int64.self, capacity: max(1, listed)) { lists in
            try withUnsafeTemporaryAllocation(of: hone_value.self, capacity: max(1, arguments.count)) { values in
                var used = 0
                var words: [UnsafeMutablePointer<CChar>] = []
                defer { words.forEach { free($0) } }
                for (index, argument) in arguments.enumerated() {
                    values[index] = argument.encoded(lists: lists, used: &used, words: &words)
                }
                var produced = 0
                let status = withExtendedLifetime(arguments) {
                    hone_call(op, values.baseAddress, arguments.count, results.baseAddress, results.count, &produced)
                }
                try check(status, in: name)
                return produced
            }
        }
    }
}

extension Operator.Argument {
    fileprivate var listLength: Int {
        switch self {
        case .integers(let list): list.count
        case .reals(let list): list.count
        case .tensors(let list): list.count
        default: 0
        }
    }

    fileprivate func encoded(
        lists: UnsafeMutableBufferPointer<Int64>, used: inout Int, words: inout [UnsafeMutablePointer<CChar>]
    ) -> hone_value {
        var value = hone_value()
        func place(_ elements: some Sequence<Int64>) -> UnsafeRawPointer {
            let start = used
            for element in elements {
                lists[used] = element
                used += 1
            }
            value.count = Int64(used - start)
            return UnsafeRawPointer(lists.baseAddress! + start)
        }
        switch self {
        case .none:
            value.tag = HONE_NONE
        case .tensor(let tensor):
            value.tag = HONE_TENSOR
            value.tensor = tensor.raw
        case .integer(let number):
            value.tag = HONE_INTEGER
            value.integer = Int64(number)
        case .real(let number):
            value.tag = HONE_REAL
            value.real = number
        case .boolean(let truth):
            value.tag = HONE_BOOLEAN
            value.integer = truth ? 1 : 0
        case .integers(let list):
            value.tag = HONE_INTEGERS
            value.integers = place(list.lazy.map { Int64($0) }).assumingMemoryBound(to: Int64.self)
        case .reals(let list):
            value.tag = HONE_REALS
            value.reals = place(list.lazy.map { Int64(bitPattern: $0.bitPattern) })
                .assumingMemoryBound(to: Double.self)
        case .tensors(let list):
            value.tag = HONE_TENSORS
            value.tensors = place(list.lazy.map { Int64(Int(bitPattern: $0?.raw)) })
                .assumingMemoryBound(to: hone_tensor?.self)
        case .string(let text):
            value.tag = HONE_STRING
            if let copy = strdup(text) {
                words.append(copy)
                value.string = UnsafePointer(copy)
            }
        case .seed(let seed):
            value.tag = HONE_SEED
            value.integer = Int64(bitPattern: seed)
        }
        return value
    }
}
