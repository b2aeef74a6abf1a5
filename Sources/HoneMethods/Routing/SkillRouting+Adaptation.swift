import HoneFormats
import HoneModels
import HoneTorch

extension SkillRouting {
    /// Goes on from an inventory of skills, for the tasks at hand (Caccia et al. 2023, section 3.3).
    ///
    /// A task that the inventory knows by name goes on with its routing; any other begins anew. With `tune=z` the skills stay as they
    /// are. With `tune=mu` what comes out is plain LoRA: under uniform weights all skills would move alike, so that their mean
    /// is all that is learned.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where the earlier adapter is no such inventory.
    public func continuing(
        _ earlier: any Method, _ parameters: ParameterSet, for model: BaseModel, random: inout RandomStream
    ) throws -> (method: any Method, parameters: ParameterSet) {
        guard let inventory = earlier as? any SkillRouting,
            inventory.name == name || (inventory.heads == 1 && !Self.card.hasSetting("splits"))
        else {
            let tune = settings.choice("tune")
            throw HoneError(
                .mismatch,
                "holds an adapter of `\(earlier.name)`, not of `\(name)`"
                    + (tune == "all" ? "" : ": `tune=\(tune)` needs an inventory of skills"))
        }
        if settings.choice("tune") == "mu" { return try inventory.meanSkill(parameters) }
        let method = try Self(settings.taking(inventory.shape, of: Self.card), tasks: tasks)
        let names: [String?] = tasks.isEmpty ? [nil] : tasks
        var started = ParameterSet()
        for parameter in parameters.all {
            if parameter.name.hasSuffix(SkillTensor.router) {
                let rows = try names.map { name in
                    if let known = name.flatMap(inventory.tasks.firstIndex(of:)) {
                        return try parameter.tensor.narrowed(0, from: known, length: 1)
                    }
                    return try method.router(tasks: 1, &random).to(parameter.tensor.device)
                }
                started.set(parameter.name, try Tensor.concatenated(rows))
            } else {
                started.set(parameter.name, parameter.tensor, group: method.keepsSkills ? .state : .adapter)
            }
        }
        return (method, started)
    }

    /// The settings that an inventory's tensors have decided.
    fileprivate var shape: [String: JSON] {
        var shape: [String: JSON] = ["rank": .integer(rank), "skills": .integer(skills), "splits": .integer(heads)]
        for name in ["targets", "layers"] { shape[name] = settings.json[name] }
        return shape
    }

    /// The mean of the skills as LoRA of the same scale.
    fileprivate func meanSkill(_ parameters: ParameterSet) throws -> (method: any Method, parameters: ParameterSet) {
        var mean = ParameterSet()
        try withoutGradients {
            for site in try SkillSite.all(parameters) {
                let update = try site.inventory.mean()
                mean.set(site.path + ".lora_A", update.down)
                mean.set(site.path + ".lora_B", update.up)
            }
        }
        var json: [String: JSON] = ["rank": .integer(rank), "alpha": 1]
        for name in ["targets", "layers"] { json[name] = settings.json[name] }
        let plain = try MethodSettings(LoRA.card)
        return (LoRA(try plain.taking(json, of: LoRA.card)), mean)
    }
}

extension MethodCard {
    /// Whether there is a setting of a name.
    func hasSetting(_ name: String) -> Bool { settings.contains { $0.name == name } }
}

extension MethodSettings {
    /// The same settings with some values in place of their own; those that the card does not have are left out.
    func taking(_ values: [String: JSON], of card: MethodCard) throws -> MethodSettings {
        var object = json.object ?? JSONObject()
        for (name, value) in values where card.hasSetting(name) { object[name] = value }
        return try MethodSettings(card, json: .object(object))
    }
}
