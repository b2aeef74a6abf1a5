import Foundation

/// The figures of scikit-learn, SciPy and NumPy that Scripts/fixtures/evaluation.py wrote.
struct Reference: Decodable {
    struct Classification: Decodable {
        var classCount: Int
        var labels: [Int]
        var probabilities: [Float]
        var predictions: [Int]
        var accuracy, macroF1, logLoss, brier, entropy, calibrationError: Double
        var precision, recall, f1: [Double]
        var support, confusion: [Int]
        var bins: [[Double?]]
    }
    struct ExactRows: Decodable {
        var classCount: Int
        var labels: [Int]
        var probabilities: [Float]
        var logLoss, brier: Double
    }
    struct McNemarCase: Decodable {
        var onlyFirst, onlySecond: Int
        var exact, midP: Double
    }
    struct SignFlipCase: Decodable {
        var differences: [Double]
        var p: Double
    }
    struct WilsonCase: Decodable {
        var count, total: Int
        var confidence, low, high: Double
    }
    struct BinomialCase: Decodable {
        var count, trials: Int
        var probability, mass: Double
    }
    var classification: [Classification]
    var exactRows: ExactRows
    var mcnemar: [McNemarCase]
    var signFlips: [SignFlipCase]
    var wilson: [WilsonCase]
    var binomial: [BinomialCase]

    static func load() throws -> Reference {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
        let data = try Data(contentsOf: folder.appending(path: "Fixtures/reference.json"))
        return try JSONDecoder().decode(Reference.self, from: data)
    }
}

/// Whether two numbers agree to 1e-9, relative where they are large.
func agree(_ first: Double, _ second: Double, within tolerance: Double = 1e-9) -> Bool {
    abs(first - second) <= tolerance * max(1, abs(second))
}
