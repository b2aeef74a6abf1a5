import HoneFormats
import HoneModels
import HoneTorch

/// One attention head: where its output passes, and which of the site's heads it is.
struct Head: Hashable {
    /// The path of the heads' site, such as `layers.3.attention.heads`.
    var site: String
    /// Counted from 0; of heads that share keys, the query's.
    var number: Int

    /// What a parameter that belongs to the head is called.
    func name(_ part: String) -> String { "\(site).\(number).\(part)" }
}

/// The heads of one attention sublayer.
struct HeadSite: Hashable {
    /// The site's path, such as `layers.3.attention.heads`.
    var path: String
    /// How many heads there are.
    var count: Int
    /// How long a head's output is.
    var width: Int

    /// The map that the heads' outputs go through.
    var output: String { path.dropLast(5) + "output" }

    /// What stands for the site in tables: `3`, or `decoder 3 cross`.
    var title: String {
        let parts = path.split(separator: ".").map(String.init)
        let layer = parts.firstIndex(of: "layers").map { parts[$0 + 1] } ?? path
        return [parts.first == "decoder" ? "decoder" : nil, layer, parts.contains("crossAttention") ? "cross" : nil]
            .compactMap { $0 }.joined(separator: " ")
    }
}

extension TransformerConfiguration {
    /// Where heads' outputs pass, in the order of the forward pass.
    var headSites: [HeadSite] {
        sites.compactMap { site in
            if case .heads(let count, let width) = site.kind {
                HeadSite(path: site.path, count: count, width: width)
            } else {
                nil
            }
        }
    }
}

/// A map of a number for each head, one line a sublayer.
func headMap(_ title: String, note: String, of configuration: TransformerConfiguration, _ values: [String: [Double]])
    -> MethodFigure
{
    let sites = configuration.headSites
    let most = sites.map(\.count).max() ?? 0
    return MethodFigure(
        title, note: note,
        .map(
            rows: sites.map { "layer " + $0.title }, columns: (0..<most).map { "head \($0)" },
            values: sites.map { site in
                let own = values[site.path] ?? []
                return (0..<most).map { own.indices.contains($0) ? own[$0] : .nan }
            }))
}
