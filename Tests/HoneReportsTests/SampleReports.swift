import Foundation
import HoneEvaluation
import HoneFormats

@testable import HoneReports

/// Made-up reports to look at and to test with; no figure in them was measured.
enum SampleReports {
    /// A `fit` of support tickets with the given number of classes.
    static func classification(classCount: Int, examples: Int = 1000) throws -> ReportContent {
        var generator = SeededGenerator(seed: 11, stream: "sample")
        let names = labels(classCount)
        let outcomes = try outcomes(classCount: classCount, examples: examples, generator: &generator)
        let metrics = ClassificationMetrics(outcomes, bootstrap: Bootstrap(resamples: 300))
        var content = ReportContent(
            title: "Sample: support tickets", kind: "Sample of a fit", date: Date(timeIntervalSince1970: 1_795_467_900),
            verdict: "lora: validation accuracy 0.934 (0.919–0.950), test accuracy "
                + "\(NumberText.interval(metrics.accuracy)). Full fine-tuning is not measurably better and trains 75 times as "
                + "many parameters.")
        content.headlines = [
            .init(
                name: "Test accuracy", value: NumberText.share(metrics.accuracy.value),
                note: "\(NumberText.range(metrics.accuracy)), \(NumberText.count(examples)) examples"),
            .init(
                name: "Test macro-F1", value: NumberText.share(metrics.macroF1.value),
                note: NumberText.range(metrics.macroF1)),
            .init(name: "Zero-shot before", value: "0.612", note: "0.581–0.642"),
            .init(name: "Training time", value: "41.2 s", note: "of 3 min 20 s for all methods"),
            .init(name: "Adapter", value: "1.13 MiB", note: "295 k parameters, 1.3 % of the base"),
        ]
        content.warnings = ["23 validation rows have the same text as a training row; they were moved to train."]
        content.task = [
            .init("Kind", "classification"), .init("File", "tickets.csv"), .init("Text column", "message"),
            .init("Labels", "\(classCount), the rarest has 31 rows"), .init("Duplicates removed", "112 of 6,112"),
            .init("Longest text", "214 tokens (limit 256)"),
        ]
        content.splits = [
            .init(name: "train", count: 4000), .init(name: "validation", count: 1000),
            .init(name: "test", count: examples),
        ]
        content.baseModel = [
            .init("Name", "all-MiniLM-L6-v2"), .init("Family", "BERT, 6 layers, width 384"),
            .init("Parameters", "22.7 M"), .init("Precision", "float32"),
            .init("SHA-256", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
        ]
        content.explanation =
            "lora was chosen: its validation accuracy of 0.934 cannot be told from the best, full with 0.938 "
            + "(difference 0.004, 95 % interval −0.006 to 0.014, p = 0.48 by McNemar's mid-p test, 1,000 validation examples), "
            + "and it is cheaper (295 k trained parameters against 22.7 M)."
        content.methods = methods
        content.methods[1].test = [
            .init("accuracy", metrics.accuracy), .init("macro-F1", metrics.macroF1),
            .init("log loss", metrics.logLoss ?? .none, style: .number, higherIsBetter: false),
            .init("calibration error", metrics.calibration?.expectedCalibrationError ?? .none, higherIsBetter: false),
        ]
        content.curves = curves(&generator)
        content.classification = .init(split: "test", labels: names, metrics: metrics)
        content.errors = errors(names)
        content.commands = [
            .init("Predict one text", "hone predict runs/tickets-1 \"my card is stuck in the machine\""),
            .init("Predict a file", "hone predict runs/tickets-1 --data new.csv --out predictions.jsonl"),
            .init("Measure on other data", "hone eval runs/tickets-1 --data new.jsonl"),
            .init("Serve it", "hone serve runs/tickets-1"),
        ]
        content.reproducibility = [
            .init("Command", "hone fit tickets.csv --seed 7 --budget 5m"), .init("Seed", "7"),
            .init("Hone", "0.1.0"), .init("libtorch", "2.11.0"), .init("Threads", "2"),
            .init("Machine", "x86-64, AVX-512, 2 cores, 8 GiB"),
            .init("Data SHA-256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        ]
        content.settings =
            "{\n  \"method\": \"lora\",\n  \"rank\": 8,\n  \"alpha\": 16,\n  \"learning_rate\": 0.0005\n}"
        return content
    }

    /// A `train` of a generator.
    static func generation() -> ReportContent {
        var content = ReportContent(
            title: "Sample: recipe titles", kind: "Sample of a training",
            date: Date(timeIntervalSince1970: 1_795_467_900),
            verdict:
                "lora: validation loss per token 1.284 (1.241–1.329), exact match 0.412 (0.361–0.463) on 364 examples.")
        content.headlines = [
            .init(name: "Exact match", value: "0.412", note: "0.361–0.463"),
            .init(name: "Perplexity", value: "3.61", note: "3.46–3.78"),
        ]
        var method = ReportContent.Method(name: "lora", status: .chosen)
        method.validation = [
            .init(
                "loss per token", Interval(value: 1.284, low: 1.241, high: 1.329), style: .number, higherIsBetter: false
            ),
            .init("perplexity", Interval(value: 3.611, low: 3.459, high: 3.777), style: .number, higherIsBetter: false),
            .init("exact match", Interval(value: 0.412, low: 0.361, high: 0.463)),
        ]
        method.seconds = 754
        method.trainedParameters = 460_800
        method.learningRate = 2e-4
        content.methods = [method]
        content.curves = [
            .init(
                method: "lora", metric: "training loss",
                points: (0..<900).map { .init(x: Double($0), y: 1.2 + 2 * exp(-Double($0) / 150)) })
        ]
        content.samples = [
            .init(
                input: "Ingredients: flour, water, salt, yeast", output: "Simple white bread",
                reference: "Simple white bread",
                isRight: true),
            .init(
                input: "Ingredients: chickpeas, tahini, lemon, garlic", output: "Garlic dip", reference: "Hummus",
                isRight: false),
        ]
        return content
    }

    private static func labels(_ count: Int) -> [String] {
        let first = [
            "card lost", "card stuck in machine", "transfer pending", "exchange rate", "refund not received",
            "pin blocked",
            "top-up failed", "verify identity", "cash withdrawal fee", "change of address", "direct debit",
            "<script>alert(1)</script>",
        ]
        return (0..<count).map { first.indices.contains($0) ? first[$0] : "intent \($0 + 1)" }
    }

    private static func outcomes(
        classCount: Int, examples: Int, generator: inout SeededGenerator
    ) throws -> ClassificationOutcomes {
        var labels: [Int] = []
        var probabilities: [Float] = []
        for _ in 0..<examples {
            let label = min(generator.below(classCount), generator.below(classCount + 3) % classCount)
            let hardness = generator.uniform()
            var row = (0..<classCount).map { _ in Float(generator.uniform() * 0.5) + 0.01 }
            let neighbour = (label / 2 * 2 + (label + 1) % 2) % classCount
            let confused = generator.uniform() < 0.6 ? neighbour : generator.below(classCount)
            let size = Double(classCount) * 6
            row[confused] += Float(pow(hardness, 4) * size * 0.8)
            row[label] += Float((1 - hardness * 0.55) * size)
            let sum = row.reduce(0, +)
            probabilities += row.map { $0 / sum }
            labels.append(label)
        }
        return try ClassificationOutcomes(labels: labels, probabilities: probabilities, classCount: classCount)
    }

    private static var methods: [ReportContent.Method] {
        func method(
            _ name: String, _ status: ReportContent.Method.Status, _ reason: String, _ accuracy: Double,
            _ half: Double, _ f1: Double, _ error: Double, _ seconds: Double, _ memory: Int, _ parameters: Int,
            _ rate: Double?
        ) -> ReportContent.Method {
            var method = ReportContent.Method(name: name, status: status, reason: reason)
            method.validation = [
                .init("accuracy", Interval(value: accuracy, low: accuracy - half, high: accuracy + half)),
                .init("macro-F1", Interval(value: f1, low: f1 - half * 1.3, high: f1 + half * 1.2)),
                .init(
                    "calibration error", Interval(value: error, low: error * 0.8, high: error * 1.4),
                    higherIsBetter: false),
            ]
            method.seconds = seconds
            method.peakMemory = memory << 20
            method.trainedParameters = parameters
            method.learningRate = rate
            return method
        }
        var broken = ReportContent.Method(
            name: "prefix", status: .failed, reason: "the loss was not finite at step 12; nothing was kept")
        broken.learningRate = 0.1
        return [
            method("full", .completed, "", 0.938, 0.0145, 0.931, 0.031, 96.4, 1420, 22_713_216, 5e-5),
            method("lora", .chosen, "", 0.934, 0.0155, 0.927, 0.024, 41.2, 612, 294_912, 5e-4),
            method("ia3", .completed, "", 0.917, 0.017, 0.905, 0.019, 36.9, 590, 18_432, 5e-3),
            method("linear probe", .completed, "", 0.889, 0.0195, 0.871, 0.042, 4.1, 310, 4_620, 1e-2),
            method(
                "prompt", .droppedEarly, "clearly behind after 200 of 800 steps", 0.742, 0.027, 0.69, 0.11, 19.8, 588,
                7_680,
                3e-2),
            method("zero-shot", .completed, "", 0.612, 0.0305, 0.588, 0.164, 1.9, 290, 0, nil),
            broken,
        ]
    }

    private static func curves(_ generator: inout SeededGenerator) -> [ReportContent.Curve] {
        let shapes: [(String, Double, Double, Int)] = [
            ("full", 0.12, 130, 800), ("lora", 0.16, 170, 800), ("ia3", 0.24, 240, 800), ("prompt", 0.9, 300, 200),
        ]
        return shapes.flatMap { name, floor, speed, steps -> [ReportContent.Curve] in
            let loss = (0..<steps).map { step in
                ChartPoint(
                    x: Double(step), y: floor + 2.2 * exp(-Double(step) / speed) + 0.12 * (generator.uniform() - 0.5))
            }
            let accuracy = stride(from: 100, through: steps, by: 100).map { step in
                ChartPoint(x: Double(step), y: 0.97 - floor * 0.2 - 0.8 * exp(-Double(step) / speed * 1.2))
            }
            return [
                .init(method: name, metric: "training loss", points: loss),
                .init(method: name, metric: "validation accuracy", points: accuracy),
            ]
        }
    }

    private static func errors(_ names: [String]) -> [ReportContent.ErrorExample] {
        let name = { (index: Int) in names[index % names.count] }
        return [
            .init(
                text: "I tried to take out 50 and the machine kept my card, what now?", label: name(1),
                prediction: name(0),
                confidence: 0.91, place: "test row 17"),
            .init(
                text: "the money left my account <b>two weeks</b> ago & the shop says it never came", label: name(2),
                prediction: name(4), confidence: 0.84, place: "test row 203"),
            .init(
                text: "why is it 1.12 today?\nyesterday it was 1.09", label: name(3), prediction: name(8),
                confidence: 0.77,
                place: "test row 411"),
            .init(
                text: "هل يمكنني تغيير عنواني؟", label: name(9), prediction: name(7), confidence: 0.63,
                place: "test row 640"),
        ]
    }
}
