import Foundation
import HoneFormats
import HoneTorch

extension BaseModel {
    /// Writes the model's folder anew with other numbers in some of its weights: files, names, shards, element types and
    /// everything beside the weights stay as they are, so that whatever reads the base reads this.
    ///
    /// - Parameters:
    ///   - path: where the folder shall be; nothing may be there yet, except an empty folder.
    ///   - weights: new weights by Hone's names; they are converted to the element types that the files have. Biases of attention
    ///     that the model lacks are added where the family's `config.json` can say so (`TransformerConfiguration.completing`).
    ///   - extra: adds files to the folder whose path it is given.
    /// - Throws: `HoneError` with code `.mismatch` where the folder's weights are no longer those that were read, or a new
    ///   weight has no place; `.fileSystem` where the folder cannot be written.
    public func write(
        to path: String, replacing weights: [String: Tensor], adding extra: (String) throws -> Void = { _ in }
    ) throws {
        let files = try WeightFolder.open(folder)
        guard try WeightIdentity(files).fingerprint() == fingerprint else {
            throw HoneError(.mismatch, "the weights have changed since they were read", file: folder)
        }
        var sources: [String: WeightName] = [:]
        for name in family.weightNames(configuration) { sources[name.source] = name }
        func place(_ name: String) -> WeightName? {
            sources[name.hasPrefix(family.prefix) ? String(name.dropFirst(family.prefix.count)) : name]
        }
        var found = Set<String>()
        try AtomicFolder.create(at: path) { temporary in
            var added: (names: [String], file: String)?
            for (number, file) in files.files.enumerated() {
                var tensors = try file.entries.map { entry in
                    let own = try place(entry.name) ?? copied(of: entry, in: file, among: files, place)
                    guard let own, let new = weights[own.name] else {
                        return SafetensorsTensor(name: entry.name, dtype: entry.dtype, shape: entry.shape) { sink in
                            try file.withBytes(of: entry.name, sink)
                        }
                    }
                    found.insert(own.name)
                    let plain = try withoutGradients {
                        let tensor = try new.detached().to(.cpu).to(DType(entry.dtype))
                        return try own.toFile(tensor).contiguous()
                    }
                    guard plain.shape == entry.shape else {
                        throw HoneError(.mismatch, "has shape \(plain.shape), not \(entry.shape)", item: entry.name)
                    }
                    return SafetensorsTensor(name: entry.name, dtype: entry.dtype, shape: entry.shape) { sink in
                        try plain.withBytes(sink)
                    }
                }
                if number == files.files.count - 1 {
                    let grown = try grownWeights(weights, besides: file)
                    tensors += grown.map(\.tensor)
                    found.formUnion(grown.map(\.name))
                    if !grown.isEmpty { added = (grown.map(\.tensor.name), file.path) }
                }
                let name = (file.path as NSString).lastPathComponent
                try SafetensorsWriter.write(
                    tensors, metadata: file.metadata.isEmpty ? nil : file.metadata, to: temporary + "/" + name)
            }
            if let lost = weights.keys.sorted().first(where: { !found.contains($0) }) {
                throw HoneError(.mismatch, "the model's files have no place for this weight", file: folder, item: lost)
            }
            try copyCompanions(to: temporary)
            if let added { try declareAttentionBiases(added.names, in: added.file, of: temporary) }
            try extra(temporary)
        }
    }

    /// The weight that a tensor without a place of its own repeats, such as a head that is the token embedding: it has to
    /// change with it.
    private func copied(
        of entry: SafetensorsEntry, in file: SafetensorsFile, among files: WeightFolder,
        _ place: (String) -> WeightName?
    ) throws -> WeightName? {
        for name in files.names {
            guard let own = place(name), own.name == "embeddings.tokens.weight", let holder = files.file(of: name),
                let other = holder.entry(named: name), other.dtype == entry.dtype, other.shape == entry.shape
            else { continue }
            let isSame = try file.withBytes(of: entry.name) { left in
                try holder.withBytes(of: name) { right in left.elementsEqual(right) }
            }
            return isSame ? own : nil
        }
        return nil
    }

    /// Config, tokenizer, template and preprocessing, and those of the folders that sentence encoders have; no weights in
    /// other formats and no page that describes the base.
    private func copyCompanions(to target: String) throws {
        let endings = ["json", "txt", "model", "jinja"]
        let manager = FileManager.default
        for name in try manager.contentsOfDirectory(atPath: folder).sorted() {
            let source = folder + "/" + name
            if FileStatus.isFolder(source) {
                guard FileStatus.exists(source + "/config.json"), name.first?.isNumber == true else { continue }
                try AtomicFolder.makeWithParents(target + "/" + name)
                try AtomicFile.write(
                    Data(FileBytes.read(source + "/config.json")), to: target + "/" + name + "/config.json")
            } else if endings.contains((name as NSString).pathExtension), !name.hasPrefix(".") {
                try AtomicFile.write(Data(FileBytes.read(source)), to: target + "/" + name)
            }
        }
    }
}
