import HoneFormats
import HoneModels
import HoneTorch

/// The tensors of an adapter file, by the linear map that they are for and what they are of it.
struct SiteTensors {
    private var found: [String: [String: Tensor]] = [:]
    private var modules: [String: String] = [:]

    /// Reads every tensor of a folder, except those of a task's head and of modules that change nothing which the base computes.
    ///
    /// - Parameters:
    ///   - title: what the tensors are, for what is said.
    ///   - others: names of tensors that are of no module.
    ///   - split: the module and the part of a tensor's name; `nil` for a name that does not belong into the file.
    ///   - fits: whether a part may have a shape on a map of so many outputs and inputs.
    /// - Throws: `HoneError` that names the first tensor which is foreign, misshapen or not finite.
    static func read(
        _ folder: AdapterFolderReader, for model: BaseModel, _ title: String, without others: [String] = [],
        split: (_ name: String) -> (module: String, part: String)?,
        fits: (_ part: String, _ shape: [Int], _ target: LinearTargets.Target) -> Bool
    ) throws -> SiteTensors {
        let sites = PEFTModules.sites(of: model)
        let targets = Dictionary(
            LinearTargets.all(model.configuration).map { ($0.path, $0) }
        ) { first, _ in first }
        var tensors = SiteTensors()
        for name in folder.tensorNames.sorted() where !folder.isHead(name) && !others.contains(name) {
            guard let (module, part) = split(name) else {
                throw HoneError(
                    .mismatch, "is no \(title) tensor that this version knows", file: folder.tensorFile, item: name)
            }
            guard let site = sites[module], let target = targets[site] else {
                if PEFTModules.isUnused(module, by: model) { continue }
                throw HoneError(
                    .mismatch, "the base model has no such module; this adapter is for another base",
                    file: folder.tensorFile, item: name)
            }
            let tensor = try folder.tensor(name).to(.float32).to(model.transformer.device).contiguous().cloned()
            guard fits(part, tensor.shape, target) else {
                throw HoneError(
                    .mismatch, "shape \(tensor.shape) does not fit the base's \([target.outputs, target.inputs])",
                    file: folder.tensorFile, item: name)
            }
            tensors.found[site, default: [:]][part] = tensor
            tensors.modules[site] = String(module.dropFirst(PEFTModules.wrapper.count))
        }
        guard !tensors.found.isEmpty else {
            throw HoneError(.badFile, "holds no \(title) tensors", file: folder.tensorFile)
        }
        return tensors
    }

    /// Whether there is anything for a site.
    func isAdapted(_ site: String) -> Bool { found[site] != nil }

    /// The parts of a site; `nil` where there are none.
    subscript(site: String) -> [String: Tensor]? { found[site] }

    /// The sites that have tensors, in the order of the forward pass, with the names that the file has for their modules.
    func sites(of model: BaseModel) -> [(site: String, module: String)] {
        model.configuration.linearSites.compactMap { site in modules[site.path].map { (site.path, $0) } }
    }
}
