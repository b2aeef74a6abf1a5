import HoneMethods
import HoneModels
import HoneTorch

/// What the layers below the lowest one that a method acts on make of every training row: computed once, before the first
/// step, instead of in every epoch.
///
/// Rows are computed in the order of the file, so that a resumed run has the same numbers to the last bit.
struct TrunkCache {
    /// The layer that the states enter.
    let layer: Int
    private let rows: [Tensor]
    /// The most memory that the states may take.
    private static let mostBytes = 1 << 30
    private static let rowsAtOnce = 64

    /// The cache for a run, where it pays: with layers that nothing acts on, rows that come again, and room for their states.
    init?(_ objective: Objective, _ examples: [EncodedExample], parameters: ParameterSet, plan: TrainingPlan) throws {
        // Where something is attached does not depend on the row.
        let attachments = try objective.method.attachments(
            parameters, model: objective.model.transformer, dropout: nil, rows: Array(examples.prefix(1)))
        let transformer = try objective.model.transformer.attaching(attachments)
        let layer = transformer.untouchedLayers
        let configuration = transformer.configuration
        let bytes =
            examples.reduce(0) { $0 + $1.length } * configuration.width * (transformer.dtype == .float32 ? 4 : 2)
        guard layer > 0, !configuration.computesExactly, bytes <= TrunkCache.mostBytes,
            plan.steps * plan.batchSize >= 2 * examples.count
        else { return nil }
        self.layer = layer
        var rows: [Tensor] = []
        for start in stride(from: 0, to: examples.count, by: TrunkCache.rowsAtOnce) {
            let some = Array(examples[start..<min(start + TrunkCache.rowsAtOnce, examples.count)])
            rows += try objective.trunk(some, transformer, below: layer).rows
        }
        self.rows = rows
    }

    /// The states of some rows.
    func states(of places: [Int]) -> TrunkStates { TrunkStates(layer: layer, rows: places.map { rows[$0] }) }
}
