import HoneFormats
import HoneModels
import HoneTorch

extension TriAdaptLoRA {
    private static let file = "weights.safetensors"

    /// Writes every block, under PEFT's names for modules, and what growth has seen and done.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        let modules = PEFTModules.names(of: model)
        let maps = try TriAdaptLoRA.maps(parameters)
        var tensors: [(name: String, tensor: Tensor)] = []
        for map in maps {
            guard let module = modules[map.path] else { continue }
            for part in TriAdaptLoRA.parts {
                for (block, tensor) in map[keyPath: part.place].enumerated() {
                    tensors.append(("\(PEFTModules.wrapper)\(module)\(part.name).\(block)", tensor))
                }
            }
        }
        tensors += try History(parameters, maps: maps).tensors
        try folder.writeTensors(tensors, file: TriAdaptLoRA.file)
    }

    /// Reads what `write` has written.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: TriAdaptLoRA, parameters: ParameterSet)
    {
        let method = TriAdaptLoRA(try folder.settings(card))
        let states = ["growth.norms", "growth.events", "growth.ranks"]
        let tensors = try SiteTensors.read(
            folder, for: model, "TriAdaptLoRA", without: states,
            split: { name in
                let pieces = name.split(separator: ".")
                guard pieces.count > 2, let block = Int(pieces[pieces.count - 1]), block >= 0,
                    parts.contains(where: { $0.name == "." + pieces[pieces.count - 2] })
                else { return nil }
                return (pieces.dropLast(2).joined(separator: "."), ".\(pieces[pieces.count - 2]).\(block)")
            },
            fits: { part, shape, target in
                if part.hasPrefix(".lora_A") { return shape.count == 2 && shape[1] == target.inputs }
                if part.hasPrefix(".lora_B") { return shape.count == 2 && shape[0] == target.outputs }
                return shape.count == 2
            })
        let names = PEFTModules.names(of: model)
        let maps = try method.targets(model.configuration).map { target in
            guard let found = tensors[target.path], let map = map(target.path, found) else {
                throw HoneError(
                    .mismatch, "blocks of this module are missing or do not fit each other", file: folder.tensorFile,
                    item: names[target.path] ?? target.path)
            }
            return map
        }
        var parameters = ParameterSet()
        for state in states where folder.tensorNames.contains(state) {
            parameters.set(state, try folder.tensor(state).to(.float32).cloned(), group: .state)
        }
        let history = try History(parameters, maps: maps)
        try set(maps, history, in: &parameters)
        return (method, parameters)
    }

    /// The map of some blocks; `nil` where one is missing or of another size.
    private static func map(_ path: String, _ found: [String: Tensor]) -> Map? {
        var map = Map(path: path)
        while let down = found[".lora_A.\(map.blockCount)"] {
            let (block, before) = (map.blockCount, map.rank)
            let (own, rank) = (down.size(0), before + down.size(0))
            guard let up = found[".lora_B.\(block)"], up.size(1) == own, let lower = found[".lora_L.\(block)"],
                lower.shape == [own, rank], let upper = found[".lora_U.\(block)"], upper.shape == [rank, own]
            else { return nil }
            map.downs.append(down)
            map.ups.append(up)
            map.lowers.append(lower)
            map.uppers.append(upper)
        }
        return map.blockCount > 0 && found.count == map.blockCount * parts.count ? map : nil
    }
}
