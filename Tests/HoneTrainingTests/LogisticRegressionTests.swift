import Foundation
import HoneFormats
import HoneMethods
import HoneTorch
import Testing

/// The linear probe against scikit-learn (Scripts/fixtures/logistic_regression.py).
@Suite struct LogisticRegressionTests {
    struct Case: Decodable, Sendable, CustomTestStringConvertible {
        var strength: Double
        var width, classes: Int
        var features: [Float]
        var labels: [Int]
        var coefficients, intercepts, probabilities: [Double]
        var testDescription: String { "\(classes) classes, strength \(strength)" }
    }

    static let cases: [Case] = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
        guard let data = try? Data(contentsOf: folder.appending(path: "Fixtures/logistic-regression.json")) else {
            return []
        }
        return (try? JSONDecoder().decode([Case].self, from: data)) ?? []
    }()

    @Test func `the fixture is there`() { #expect(Self.cases.count == 4) }

    @Test(arguments: cases) func `the solution is that of scikit-learn`(reference: Case) throws {
        let probe = LinearProbe(
            try MethodSettings(LinearProbe.card, json: ["strength": .number(reference.strength), "normalise": false]))
        let features = try Tensor(reference.features, shape: [reference.labels.count, reference.width])
        let solved = try probe.solve(features: features, labels: reference.labels, classes: reference.classes)
        let weight = try solved.tensor(ClassificationHead.weight)
        let bias = try solved.tensor(ClassificationHead.bias)
        let probabilities = try features.linear(weight, bias: bias).softmax(-1).elements(Double.self)
        #expect(largest(probabilities, reference.probabilities) < 1e-3)

        if reference.classes == 2 {
            let difference = try (weight.at(1) - weight.at(0)).elements(Double.self)
            #expect(largest(difference, reference.coefficients) < 1e-2)
        } else {
            #expect(largest(try weight.elements(), reference.coefficients) < 1e-2)
            // Biases carry no penalty, so that only their differences are determined.
            let found = try (bias - bias.mean()).elements(Double.self)
            let mean = reference.intercepts.reduce(0, +) / Double(reference.classes)
            #expect(largest(found, reference.intercepts.map { $0 - mean }) < 1e-2)
        }
    }

    @Test func `the solution does not depend on the order of the rows`() throws {
        let reference = try #require(Self.cases.first)
        let probe = LinearProbe(try MethodSettings(LinearProbe.card))
        let features = try Tensor(reference.features, shape: [reference.labels.count, reference.width])
        let order = Array((0..<reference.labels.count).reversed())
        let plain = try probe.solve(features: features, labels: reference.labels, classes: 3)
        let turned = try probe.solve(
            features: features.selecting(Tensor(order)), labels: order.map { reference.labels[$0] }, classes: 3)
        let distance = largest(
            try plain.tensor(ClassificationHead.weight).elements(),
            try turned.tensor(ClassificationHead.weight).elements())
        #expect(distance < 1e-2)
    }

    private func largest(_ found: [Double], _ expected: [Double]) -> Double {
        guard found.count == expected.count else { return .infinity }
        return zip(found, expected).map { abs($0 - $1) }.max() ?? 0
    }
}
