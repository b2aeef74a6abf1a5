import Glibc
import HoneFormats
import HoneModels
import HoneTorch

extension SkillRouting {
    /// How tasks mix skills: by layer, how decided they are, and how alike.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] {
        let most = 16
        let weights = try withoutGradients {
            try SkillSite.all(parameters).map { site in
                (path: site.path, byTask: try split(RoutingWeights.weights(site.router, heads: heads)))
            }
        }
        guard let first = weights.first else { return [] }
        let names = (tasks.isEmpty ? ["the task"] : tasks).prefix(most)
        var figures = [
            MethodFigure(
                "Skills and routing",
                .sentences([
                    "\(skills) skills of rank \(rank) in \(SkillFigures.counted(weights.count, "map")), mixed by "
                        + "\(SkillFigures.counted(taskCount, "task")) in \(SkillFigures.counted(heads, "block")) each: \(taskCount * heads * skills) routing numbers a map."
                        + (taskCount > most ? " The first \(most) tasks are shown." : "")
                ]))
        ]
        let layers = SkillFigures.layers(weights.map(\.path))
        func mean(_ task: Int, _ paths: Set<String>, _ value: ([Double]) -> Double) -> Double {
            let own = weights.filter { paths.contains($0.path) }.flatMap { $0.byTask[task] }
            return own.reduce(0) { $0 + value($1) } / Double(max(1, own.count))
        }
        let columns = (1...skills).map { "skill \($0)" }
        for (task, name) in names.enumerated() {
            figures.append(
                MethodFigure(
                    "How \(name) mixes skills",
                    note:
                        "Weights by layer, the mean over its maps and their blocks; \(SkillFigures.short(1 / Double(skills))) is even.",
                    .map(
                        rows: layers.map(\.name), columns: columns,
                        values: layers.map { layer in
                            (0..<skills).map { skill in mean(task, layer.paths) { $0[skill] } }
                        }
                    )))
        }
        if skills > 1 {
            figures.append(
                MethodFigure(
                    "How undecided tasks are",
                    note: "The entropy of the weights over that of even ones, by layer: 1 is even, 0 a single skill.",
                    .map(
                        rows: layers.map(\.name), columns: Array(names),
                        values: layers.map { layer in
                            names.indices.map { mean($0, layer.paths, SkillFigures.evenness) }
                        })))
        }
        if names.count > 1, first.byTask.count > 1 {
            let directions = names.indices.map { task in
                weights.flatMap { $0.byTask[task].flatMap { $0.map { $0 - 1 / Double(skills) } } }
            }
            figures.append(
                MethodFigure(
                    "How alike tasks mix",
                    note:
                        "The cosine between the weights of two tasks over all maps and blocks, the even share taken off.",
                    .map(
                        rows: Array(names), columns: Array(names),
                        values: directions.map { one in directions.map { SkillFigures.cosine(one, $0) } })))
        }
        return figures
    }

    /// The weights of each task as numbers: for each block those of the skills.
    private func split(_ weights: Tensor) throws -> [[[Double]]] {
        let flat = try weights.elements(Double.self)
        return (0..<weights.size(0)).map { task in
            (0..<heads).map { head in
                let start = (task * heads + head) * skills
                return Array(flat[start..<start + skills])
            }
        }
    }
}

/// Arithmetic of the figures.
private enum SkillFigures {
    /// The maps of each layer.
    static func layers(_ paths: [String]) -> [(name: String, paths: Set<String>)] {
        var layers: [(name: String, paths: Set<String>)] = []
        for path in paths {
            let parts = path.split(separator: ".")
            let end = parts.firstIndex(of: "layers").map { min($0 + 2, parts.count) } ?? parts.count
            let name = parts[..<end].joined(separator: ".")
            if layers.last?.name == name {
                layers[layers.count - 1].paths.insert(path)
            } else {
                layers.append((name, [path]))
            }
        }
        return layers
    }

    /// The entropy over the largest that is possible.
    static func evenness(_ weights: [Double]) -> Double {
        -weights.reduce(0) { $0 + ($1 > 0 ? $1 * Glibc.log($1) : 0) } / Glibc.log(Double(weights.count))
    }

    static func cosine(_ first: [Double], _ second: [Double]) -> Double {
        func product(_ one: [Double], _ other: [Double]) -> Double { zip(one, other).reduce(0) { $0 + $1.0 * $1.1 } }
        return product(first, second) / (product(first, first) * product(second, second)).squareRoot()
    }

    static func counted(_ number: Int, _ noun: String) -> String { "\(number) \(noun)" + (number == 1 ? "" : "s") }

    static func short(_ value: Double) -> String {
        var text = "\((value * 1000).rounded() / 1000)"
        while text.hasSuffix("0"), text.contains(".") { text.removeLast() }
        return text
    }
}
