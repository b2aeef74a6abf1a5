import HoneModels

/// Drawings of ranks that differ from map to map.
enum RankFigures {
    /// The layer of a map's path with its stack, and what the map is in it: `("decoder.layers.3", "attention.query")`.
    static func place(_ path: String) -> (layer: String, map: String) {
        let parts = path.split(separator: ".")
        guard let layers = parts.firstIndex(of: "layers"), layers + 1 < parts.count else { return (path, "") }
        return (
            parts[...(layers + 1)].joined(separator: "."), parts[(layers + 2)...].joined(separator: ".")
        )
    }

    /// The members of a list in the order of their first appearance.
    private static func distinct(_ list: [String]) -> [String] {
        var seen: Set<String> = []
        return list.filter { seen.insert($0).inserted }
    }

    /// The rank of every map: a row a layer, a column a kind of map.
    static func map(_ title: String, note: String, ranks: [(path: String, rank: Int)]) -> MethodFigure {
        let places = ranks.map { (place: place($0.path), rank: Double($0.rank)) }
        let (rows, columns) = (distinct(places.map(\.place.layer)), distinct(places.map(\.place.map)))
        var values = rows.map { _ in columns.map { _ in Double.nan } }
        for (place, rank) in places {
            guard let row = rows.firstIndex(of: place.layer), let column = columns.firstIndex(of: place.map) else {
                continue
            }
            values[row][column] = rank
        }
        return MethodFigure(title, note: note, .map(rows: rows, columns: columns, values: values))
    }

    /// The mean rank of every layer's maps at some times: a row a layer, a column a time.
    static func byLayer(
        _ title: String, note: String, paths: [String], times: [(name: String, ranks: [Int])]
    ) -> MethodFigure {
        let layers = paths.map { place($0).layer }
        let rows = distinct(layers)
        let values = rows.map { row in
            let members = layers.indices.filter { layers[$0] == row }
            return times.map { time in
                Double(members.reduce(0) { $0 + time.ranks[$1] }) / Double(max(1, members.count))
            }
        }
        return MethodFigure(title, note: note, .map(rows: rows, columns: times.map(\.name), values: values))
    }
}
