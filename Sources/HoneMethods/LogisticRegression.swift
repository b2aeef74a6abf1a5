import HoneFormats
import HoneTorch

/// Multinomial logistic regression with a quadratic penalty, solved to convergence by L-BFGS.
///
/// Minimises `Σ cross-entropy + ‖W‖² / (2 · strength)`; biases carry no penalty. This is scikit-learn's objective with
/// `C = strength`; for two classes, where scikit-learn has one weight vector instead of two, with `C = 2 · strength`.
struct LogisticRegression {
    /// The inverse of the penalty's weight.
    var strength: Double
    /// The most passes over the features.
    var maximumIterations = 200
    /// Stops when no element of the gradient of the mean objective is larger.
    var tolerance = 1e-5
    /// How many past steps shape the next one.
    var memory = 10

    /// Solves for features `[rows, width]` and classes.
    ///
    /// - Returns: the weight `[classes, width]` and the bias `[classes]`.
    func solve(features: Tensor, labels: [Int], classes: Int, start: (weight: Tensor, bias: Tensor)? = nil) throws
        -> (weight: Tensor, bias: Tensor)
    {
        try withoutGradients {
            let width = features.size(1)
            let rows = Double(features.size(0))
            let ones = try Tensor.full([features.size(0), 1], 1, features.dtype, on: features.device)
            let inputs = try Tensor.concatenated([features, ones], dimension: 1)
            let targets = try Tensor(labels, on: features.device)
            let wanted = try Tensor.zeros([features.size(0), classes], features.dtype, on: features.device)
            try wanted.copyInPlace(oneHot(targets, classes: classes, like: features))
            // The penalty leaves out the last column, the bias.
            let penalty = try Tensor.concatenated(
                [
                    Tensor.full([1, width], 1 / (strength * rows), features.dtype, on: features.device),
                    Tensor.zeros([1, 1], features.dtype, on: features.device),
                ], dimension: 1)
            func objective(_ point: Tensor) throws -> (value: Double, gradient: Tensor) {
                let scores = try inputs.linear(point)
                let logSums = try scores.logSumExp(1)
                let own = try (scores * wanted).sum([1])
                let loss = try (logSums - own).sum().item() / rows
                let extra = try (point * point * penalty).sum().item() / 2
                let excess = try (scores - logSums.unsqueezed(1)).exp() - wanted
                let gradient = try excess.transpose(0, 1).matmul(inputs) / rows + point * penalty
                return (loss + extra, gradient)
            }
            var point = try Tensor.zeros([classes, width + 1], features.dtype, on: features.device)
            if let start { point = try Tensor.concatenated([start.weight, start.bias.unsqueezed(1)], dimension: 1) }
            point = try minimise(from: point, objective)
            return (
                try point.narrowed(1, from: 0, length: width).contiguous().cloned(),
                try point.narrowed(1, from: width, length: 1).squeezed(1).contiguous().cloned()
            )
        }
    }

    private func oneHot(_ targets: Tensor, classes: Int, like: Tensor) throws -> Tensor {
        try targets.unsqueezed(1).equal(Tensor.range(0, classes, on: like.device).unsqueezed(0)).to(like.dtype)
    }

    /// L-BFGS with the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4) and a backtracking line search.
    private func minimise(from start: Tensor, _ objective: (Tensor) throws -> (value: Double, gradient: Tensor)) throws
        -> Tensor
    {
        func dot(_ left: Tensor, _ right: Tensor) throws -> Double { try (left * right).sum().item() }
        var point = start
        var (value, gradient) = try objective(point)
        var history: [(step: Tensor, change: Tensor, curvature: Double)] = []
        for _ in 0..<maximumIterations {
            if try gradient.abs().max().item() < tolerance { break }
            var direction = gradient
            var weights: [Double] = []
            for past in history.reversed() {
                let weight = try dot(past.step, direction) / past.curvature
                weights.append(weight)
                direction = try direction - past.change * weight
            }
            if let last = history.last { direction = try direction * (last.curvature / dot(last.change, last.change)) }
            for (past, weight) in zip(history, weights.reversed()) {
                let other = try dot(past.change, direction) / past.curvature
                direction = try direction + past.step * (weight - other)
            }
            direction = try -direction
            var slope = try dot(direction, gradient)
            if slope >= 0 {
                history = []
                direction = try -gradient
                slope = try dot(direction, gradient)
            }
            var length = history.isEmpty ? min(1, 1 / max(1e-12, try gradient.norm().item())) : 1.0
            var found: (point: Tensor, value: Double, gradient: Tensor)?
            for _ in 0..<25 {
                let candidate = try point + direction * length
                let (newValue, newGradient) = try objective(candidate)
                if newValue <= value + 1e-4 * length * slope {
                    found = (candidate, newValue, newGradient)
                    break
                }
                length /= 2
            }
            guard let found else { break }
            let step = try found.point - point
            let change = try found.gradient - gradient
            let curvature = try dot(step, change)
            if curvature > 1e-12 {
                history.append((step, change, curvature))
                if history.count > memory { history.removeFirst() }
            }
            (point, value, gradient) = found
        }
        return point
    }
}
