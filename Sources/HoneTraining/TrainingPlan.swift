import Glibc
import HoneFormats
import HoneMethods

/// How a training run goes: everything that decides its numbers besides model, method and data.
public struct TrainingPlan: Hashable, Sendable {
    /// How the learning rate changes over the run.
    public enum Schedule: String, Sendable, CaseIterable {
        /// It stays.
        case constant
        /// It falls to zero in a straight line.
        case linear
        /// It falls to zero along half a cosine.
        case cosine
    }

    /// In which order rows are taken.
    public enum Order: String, Sendable, CaseIterable {
        /// As they stand in the file, again and again.
        case file
        /// Shuffled anew in every epoch, rows of similar length together.
        case shuffled
    }

    /// How gradients become steps.
    public enum Rule: String, Sendable, CaseIterable {
        /// By running means and squares of each number's gradient (Loshchilov and Hutter 2019): all move about as far.
        case adamW = "adamw"
        /// By the gradient itself, without momentum: few numbers move far.
        case gradientDescent = "sgd"
    }

    /// How many optimiser steps the run has.
    public var steps: Int
    /// How gradients become steps.
    public var rule = Rule.adamW
    /// How many rows a step has.
    public var batchSize = 32
    /// Into how many pieces a step is cut to save memory; the result is the same up to rounding.
    public var accumulation = 1
    /// The highest learning rate.
    public var learningRate: Double
    /// The learning rate of the classification head over that of the rest; 0 leaves it as it starts.
    public var headLearningRateFactor = 1.0
    /// How the learning rate changes.
    public var schedule = Schedule.linear
    /// The share of the steps in which the learning rate rises from zero.
    public var warmup = 0.0
    /// Decoupled weight decay.
    public var weightDecay = 0.0
    /// The decay of the gradients' running mean.
    public var beta1 = 0.9
    /// The decay of their running square.
    public var beta2 = 0.999
    /// What keeps the division finite.
    public var epsilon = 1e-8
    /// The largest norm of a step's gradient; 0 for no limit.
    public var maximumGradientNorm = 0.0
    /// In which order rows are taken.
    public var order = Order.shuffled
    /// What the order and the dropout masks are drawn from.
    public var seed: UInt64 = 0
    /// Evaluate on validation after so many steps; 0 for the end only.
    public var evaluateEvery = 0
    /// Stop after so many evaluations without improvement; 0 for never.
    public var patience = 0
    /// Write a checkpoint after so many steps; 0 goes by time instead.
    public var checkpointEvery = 0

    /// A plan of so many steps at a learning rate.
    public init(steps: Int, learningRate: Double) {
        self.steps = steps
        self.learningRate = learningRate
    }

    /// The learning rate of a step, counted from 1.
    ///
    /// The first step of a falling schedule without warm-up has the full rate; after the last step it would be zero.
    public func learningRate(at step: Int) -> Double {
        let done = Double(step - 1)
        let rising = (warmup * Double(steps)).rounded(.up)
        if done < rising { return learningRate * (done + 1) / rising }
        let share = (done - rising) / max(1, Double(steps) - rising)
        switch schedule {
        case .constant: return learningRate
        case .linear: return learningRate * max(0, 1 - share)
        case .cosine: return learningRate * 0.5 * (1 + cosine(share))
        }
    }

    /// What a method is told of a step.
    func report(of step: Int) -> StepReport { StepReport(step: step, totalSteps: steps, seed: seed) }

    /// Checks that everything is within bounds.
    ///
    /// - Throws: `HoneError` with code `.usage` that names the option.
    public func check() throws {
        func require(_ holds: Bool, _ option: String, _ sentence: String) throws {
            if !holds { throw HoneError(.usage, sentence, item: option) }
        }
        try require(steps >= 1, "--steps", "must be at least 1, not \(steps)")
        try require((1...65536).contains(batchSize), "--batch-size", "must be from 1 to 65536, not \(batchSize)")
        try require(
            learningRate > 0 && learningRate.isFinite, "--learning-rate",
            "must be a number above 0, not \(learningRate)")
        try require((1...batchSize).contains(accumulation), "--accumulate", "must be from 1 to the batch size")
        try require((0...1).contains(warmup), "--warmup", "must be a share from 0 to 1, not \(warmup)")
        try require(weightDecay >= 0 && weightDecay.isFinite, "--weight-decay", "must not be below 0")
        try require(maximumGradientNorm >= 0, "--clip", "must not be below 0")
        try require(patience >= 0, "--patience", "must not be below 0")
        try require(evaluateEvery >= 0, "--evaluate-every", "must not be below 0")
        try require(checkpointEvery >= 0, "--checkpoint-every", "must not be below 0")
        try require(
            headLearningRateFactor >= 0 && headLearningRateFactor.isFinite, "--head-rate",
            "must not be below 0, not \(headLearningRateFactor)")
        for (beta, option) in [(beta1, "--beta1"), (beta2, "--beta2")] {
            try require(beta >= 0 && beta < 1, option, "must be from 0 up to, not including, 1, not \(beta)")
        }
        try require(epsilon > 0 && epsilon.isFinite, "--epsilon", "must be a number above 0, not \(epsilon)")
    }

    /// The plan as JSON, for `run.json` and to tell whether a resumed run is the same.
    public var json: JSON {
        var object = common.object ?? JSONObject()
        if rule != .adamW { object["optimizer"] = .string(rule.rawValue) }
        return .object(object)
    }

    private var common: JSON {
        [
            "steps": .integer(steps), "batch_size": .integer(batchSize), "accumulation": .integer(accumulation),
            "learning_rate": .number(learningRate), "head_learning_rate_factor": .number(headLearningRateFactor),
            "schedule": .string(schedule.rawValue), "warmup": .number(warmup), "weight_decay": .number(weightDecay),
            "beta1": .number(beta1), "beta2": .number(beta2), "epsilon": .number(epsilon),
            "maximum_gradient_norm": .number(maximumGradientNorm), "order": .string(order.rawValue),
            "seed": .integer(Int(truncatingIfNeeded: seed)), "evaluate_every": .integer(evaluateEvery),
            "patience": .integer(patience),
        ]
    }
}

private func cosine(_ share: Double) -> Double { Glibc.cos(Double.pi * min(1, share)) }
