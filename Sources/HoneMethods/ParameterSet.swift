import HoneFormats
import HoneTorch

/// One tensor that a method has made, with its name.
public struct Parameter {
    /// Which part it belongs to: parts can have learning rates of their own.
    public enum Group: String, Sendable {
        /// What the method attaches.
        case adapter
        /// The task's classification head.
        case head
        /// What a method keeps beside what it trains, such as masks and running averages: never trained, saved with the rest.
        case state
    }

    /// Its name, unique within the set, such as `layers.0.attention.query.lora_A`.
    public var name: String
    /// The numbers, `float32` and trained in place.
    public var tensor: Tensor
    /// Which part it belongs to.
    public var group: Group
}

/// The tensors that a method has made for one model and one task, in a fixed order: the only thing that training changes.
public struct ParameterSet {
    /// The parameters in order.
    public private(set) var all: [Parameter] = []
    private var places: [String: Int] = [:]

    /// An empty set.
    public init() {}

    /// Adds a parameter, or replaces the one of that name in its place.
    public mutating func set(_ name: String, _ tensor: Tensor, group: Parameter.Group = .adapter) {
        let parameter = Parameter(name: name, tensor: tensor, group: group)
        if let place = places[name] {
            all[place] = parameter
        } else {
            places[name] = all.count
            all.append(parameter)
        }
    }

    /// The tensor of a name.
    public subscript(name: String) -> Tensor? { places[name].map { all[$0].tensor } }

    /// The tensor of a name.
    ///
    /// - Throws: `HoneError` with code `.mismatch` that names what is missing.
    public func tensor(_ name: String) throws -> Tensor {
        guard let tensor = self[name] else {
            throw HoneError(.mismatch, "the adapter does not have this tensor", item: name)
        }
        return tensor
    }

    /// Takes a parameter out, where there is one of that name.
    public mutating func remove(_ name: String) {
        guard let place = places.removeValue(forKey: name) else { return }
        all.remove(at: place)
        for (other, after) in places where after > place { places[other] = after - 1 }
    }

    /// The parameters that are trained.
    public var trained: [Parameter] { all.filter { $0.group != .state } }

    /// How many numbers are trained.
    public var count: Int { trained.reduce(0) { $0 + $1.tensor.count } }

    /// Makes every trained tensor a trainable leaf.
    public func makeTrainable() throws {
        for parameter in trained { try parameter.tensor.setRequiresGradient() }
    }

    /// A copy with memory of its own, not trainable.
    public func copied() throws -> ParameterSet {
        var copy = ParameterSet()
        try withoutGradients {
            for parameter in all {
                copy.set(parameter.name, try parameter.tensor.detached().cloned(), group: parameter.group)
            }
        }
        return copy
    }

    /// Takes over the numbers of another set with the same names and shapes, in place.
    ///
    /// - Throws: `HoneError` with code `.mismatch` that names the first tensor that is missing, too many or misshapen.
    public func copyInPlace(_ other: ParameterSet) throws {
        for parameter in other.all where places[parameter.name] == nil {
            throw HoneError(.mismatch, "a tensor too many", item: parameter.name)
        }
        try withoutGradients {
            for parameter in all {
                let source = try other.tensor(parameter.name)
                guard source.shape == parameter.tensor.shape else {
                    throw HoneError(
                        .mismatch, "has shape \(source.shape), not \(parameter.tensor.shape)", item: parameter.name)
                }
                try parameter.tensor.copyInPlace(source)
            }
        }
    }
}
