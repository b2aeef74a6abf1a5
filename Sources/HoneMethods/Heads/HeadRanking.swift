import HoneFormats
import HoneModels

/// Heads in the order of how much a task wants them changed, and the file that keeps it for other tasks: `heads.json`.
struct HeadRanking: Hashable {
    /// The name of the file in an adapter's folder.
    static let file = "heads.json"

    /// A head with its score, where one is known.
    struct Entry: Hashable {
        var head: Head
        var score: Double?
    }

    /// The highest score first.
    var entries: [Entry]

    /// Heads from their scores by site; equal scores in the order of the forward pass.
    init(scores: [String: [Double]], of configuration: TransformerConfiguration) {
        let all = configuration.headSites.flatMap { site in
            (scores[site.path] ?? []).enumerated().map { Entry(head: Head(site: site.path, number: $0), score: $1) }
        }
        entries = all.enumerated().sorted { first, second in
            let (left, right) = (first.element.score ?? 0, second.element.score ?? 0)
            return left == right ? first.offset < second.offset : left > right
        }.map(\.element)
    }

    /// Heads without scores.
    init(_ heads: [Head]) { entries = heads.map { Entry(head: $0, score: nil) } }

    /// The scores by site; `nil` where some head has none.
    func scores(of configuration: TransformerConfiguration) -> [String: [Double]]? {
        var known: [String: [Double]] = [:]
        for site in configuration.headSites { known[site.path] = Array(repeating: .nan, count: site.count) }
        for entry in entries {
            guard let score = entry.score else { return nil }
            known[entry.head.site]?[entry.head.number] = score
        }
        return known.values.allSatisfy { $0.allSatisfy { !$0.isNaN } } ? known : nil
    }

    /// The file's content.
    func json(of configuration: TransformerConfiguration) -> JSON {
        let heads = entries.map { entry -> JSON in
            var object = JSONObject()
            object["site"] = .string(entry.head.site)
            object["head"] = .integer(entry.head.number)
            if let score = entry.score { object["score"] = .number(score) }
            return .object(object)
        }
        return ["version": 1, "heads": .array(heads)]
    }

    /// Reads the file for a model.
    ///
    /// - Throws: `HoneError` with code `.badFile` for a damaged file, `.mismatch` for one that names heads which the model does
    ///   not have.
    init(file: String, for configuration: TransformerConfiguration) throws {
        let json = try JSON.read(file: file)
        guard json["version"]?.integer == 1, let heads = json["heads"]?.array else {
            throw HoneError(.badFile, "is no list of heads that this version reads", file: file)
        }
        let sites = Dictionary(uniqueKeysWithValues: configuration.headSites.map { ($0.path, $0) })
        var entries: [Entry] = []
        var seen = Set<Head>()
        for (place, json) in heads.enumerated() {
            guard let path = json["site"]?.string, let number = json["head"]?.integer else {
                throw HoneError(.badFile, "an entry has no site or no head", file: file, item: "heads.\(place)")
            }
            guard let site = sites[path], (0..<site.count).contains(number) else {
                throw HoneError(
                    .mismatch, "this model has no head \(number) at `\(path)`; the list is for another model",
                    file: file, item: "heads.\(place)")
            }
            let head = Head(site: path, number: number)
            guard seen.insert(head).inserted else {
                throw HoneError(.badFile, "a head comes twice", file: file, item: head.name("heads"))
            }
            entries.append(Entry(head: head, score: json["score"]?.number))
        }
        self.entries = entries
    }
}
