/// An addressable place in a transformer where a method, a probe or a patch may act.
///
/// The path is that of the weights around it, such as `layers.3.attention.query`; `TransformerConfiguration.sites` lists
/// every site that a model has.
public struct Site: Hashable, Sendable {
    /// What can be done at a site, and on what it acts.
    public enum Kind: Hashable, Sendable {
        /// A linear map: its output can be changed with its input at hand.
        case linear(outputs: Int, inputs: Int)
        /// Vectors `[batch, length, width]` that can be observed and replaced.
        case state(width: Int)
        /// The heads' outputs before the output projection, `[batch, length, heads, width]`.
        case heads(count: Int, width: Int)
    }

    /// The address, such as `layers.3.attention.heads`.
    public var path: String
    /// What it is.
    public var kind: Kind
}

extension TransformerConfiguration {
    /// Every site, in the order of the forward pass.
    public var sites: [Site] {
        stacks.flatMap { stack in stack.stackSites.map { Site(path: stack.prefix + $0.path, kind: $0.kind) } }
    }

    /// The sites of one stack, without its prefix.
    private var stackSites: [Site] {
        var all = [Site(path: "embeddings", kind: .state(width: width))]
        for layer in 0..<layerCount {
            for sublayer in hasCrossAttention ? ["attention", "crossAttention"] : ["attention"] {
                let maps = linearMaps.filter { $0.name.hasPrefix(sublayer + ".") }
                for map in maps where map.name != sublayer + ".output" { all.append(site(layer, map)) }
                all.append(
                    Site(path: "layers.\(layer).\(sublayer).heads", kind: .heads(count: headCount, width: headWidth)))
                for map in maps where map.name == sublayer + ".output" { all.append(site(layer, map)) }
                all.append(Site(path: "layers.\(layer).\(sublayer)", kind: .state(width: width)))
            }
            for map in linearMaps where map.name.hasPrefix("mlp.") { all.append(site(layer, map)) }
            all.append(Site(path: "layers.\(layer).mlp", kind: .state(width: width)))
            all.append(Site(path: "layers.\(layer)", kind: .state(width: width)))
        }
        all.append(Site(path: "states", kind: .state(width: width)))
        return all
    }

    /// The sites that are linear maps.
    public var linearSites: [Site] {
        sites.filter { if case .linear = $0.kind { true } else { false } }
    }

    private func site(_ layer: Int, _ map: (name: String, outputs: Int, inputs: Int, hasBias: Bool)) -> Site {
        Site(path: "layers.\(layer).\(map.name)", kind: .linear(outputs: map.outputs, inputs: map.inputs))
    }
}
