import HoneFormats
import HoneTorch

/// Looks at the weights of a model once, while they are used for the first time: one that is not finite is named instead of
/// surfacing as a strange loss.
///
/// Weights are mapped from their file; a look at all of them on opening would read the whole file before anything else
/// happens. Here it costs one pass at memory speed over what the first forward pass reads in any case.
final class FiniteCheck {
    private let folder: String
    private var waiting: [String: [(name: String, tensor: Tensor)]] = [:]

    /// A check of weights by Hone's names.
    init(_ weights: [String: Tensor], folder: String) {
        self.folder = folder
        for (name, tensor) in weights.sorted(by: { $0.key < $1.key }) {
            waiting[FiniteCheck.part(name), default: []].append((name, tensor))
        }
    }

    /// Checks the weights of a layer (`layers.3.`), the first time.
    ///
    /// - Throws: `HoneError` (`.notFinite`) that names the tensor.
    func check(layer path: String) throws { try check(part: path) }

    /// Checks what belongs to no layer, the first time: embeddings, the last norm, a head.
    ///
    /// - Throws: `HoneError` (`.notFinite`) that names the tensor.
    func checkRest() throws { try check(part: "") }

    private func check(part: String) throws {
        guard let weights = waiting[part] else { return }
        try withoutGradients {
            for (name, tensor) in weights {
                // A sum is finite unless an element is not, or the sum overflows; only then is every element looked at.
                if try tensor.sum().to(.float64).item().isFinite { continue }
                if try tensor.isFinite().all().item() == 0 {
                    throw HoneError(.notFinite, "holds numbers that are not finite", file: folder, item: name)
                }
            }
        }
        waiting[part] = nil
    }

    /// `layers.3.`, or `decoder.layers.3.`, of the weights of a layer; nothing of others.
    private static func part(_ name: String) -> String {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard let place = parts.firstIndex(of: "layers"), place + 1 < parts.count else { return "" }
        return parts[...(place + 1)].joined(separator: ".") + "."
    }
}
