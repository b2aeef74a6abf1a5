extension ModelChoice {
    /// The sentences that say why a candidate was chosen.
    struct Explanation {
        var candidates: [Candidate]
        /// The usable candidates, best first.
        var ordered: [Int]
        var best: Int
        var chosen: Int
        var comparisons: [Comparison?]
        /// How the losses of cheaper candidates with equal scores compare with the best's.
        var lossComparisons: [Comparison?]
        var level: Double
        var confidence: Double

        var text: String {
            let mark = candidates[best]
            let examples = "\(NumberText.count(mark.scores.count)) validation examples"
            guard candidates.count > 1 else {
                return "\(mark.name) was the only method tried; its validation \(mark.scores.name) is \(mean(mark)) "
                    + "on \(examples)."
            }
            guard ordered.count > 1 else {
                return "\(mark.name) is the only method that ended with a finite validation score "
                    + "(\(mark.scores.name) \(mean(mark)) on \(examples))."
            }
            if chosen != best, let comparison = comparisons[chosen] {
                let pick = candidates[chosen]
                if pick.scores.mean == mark.scores.mean {
                    return "\(pick.name) and \(mark.name) have the same validation \(pick.scores.name), \(mean(pick)), "
                        + "on \(examples); \(pick.name) is cheaper\(cost(pick, mark)) and was chosen."
                }
                return
                    "\(pick.name) was chosen: its validation \(pick.scores.name) of \(mean(pick)) cannot be told from the "
                    + "best, \(mark.name) with \(mean(mark)) (\(numbers(comparison)), \(examples)), "
                    + "and it is cheaper\(cost(pick, mark))." + passedOver(for: pick)
            }
            return
                "\(mark.name) was chosen: it has the best validation \(mark.scores.name), \(mean(mark)) on \(examples)"
                + runnerUp
        }

        /// How the best compares with the next best.
        private var runnerUp: String {
            if let worse = ordered.first(where: { lossComparisons[$0] != nil }),
                let comparison = comparisons[worse], let inLoss = lossComparisons[worse],
                let own = candidates[worse].losses?.mean, let wanted = candidates[best].losses?.mean
            {
                return
                    "; \(candidates[worse].name), cheaper, with \(mean(candidates[worse])) cannot be told from it by "
                    + "that (\(numbers(comparison))), but its loss of \(NumberText.significant(own, 3)) is clearly worse "
                    + "than \(NumberText.significant(wanted, 3)) (\(NumberText.pValue(inLoss.pValue)) by "
                    + "\(inLoss.method.words))."
            }
            let second = ordered[1]
            guard let comparison = comparisons[second] else { return "." }
            let next = candidates[second]
            if !ordered.contains(where: { candidates[$0].isCheaper(than: candidates[best]) }) {
                return ", and no other is cheaper; next comes \(next.name) with \(mean(next)) (\(numbers(comparison)))."
            }
            if comparison.pValue > level {
                return
                    ", and no cheaper method comes close enough; \(next.name) with \(mean(next)) cannot be told from it "
                    + "(\(numbers(comparison))) but is not cheaper."
            }
            return ", clearly ahead of the next, \(next.name) with \(mean(next)) (\(numbers(comparison)))."
        }

        /// What was cheaper still and not chosen, because its losses are worse.
        private func passedOver(for pick: Candidate) -> String {
            let passed = ordered.filter { index in
                guard let inLoss = lossComparisons[index] else { return false }
                return candidates[index].isCheaper(than: pick) && inLoss.pValue <= level && inLoss.difference.value < 0
            }
            guard let first = passed.first, let inLoss = lossComparisons[first],
                let own = candidates[first].losses?.mean, let wanted = candidates[best].losses?.mean
            else { return "" }
            let names = passed.map { candidates[$0].name }.joined(separator: " and ")
            let comparison =
                passed.count > 1
                ? "losses are clearly worse than that of \(candidates[best].name)"
                : "loss of \(NumberText.significant(own, 3)) is clearly worse than \(NumberText.significant(wanted, 3)) "
                    + "(\(NumberText.pValue(inLoss.pValue)) by \(inLoss.method.words))"
            return " \(names), cheaper still, \(passed.count > 1 ? "were" : "was") passed over: "
                + "\(passed.count > 1 ? "their" : "its") \(comparison)."
        }

        private func mean(_ candidate: Candidate) -> String { figure(candidate.scores.mean) }

        private func figure(_ value: Double) -> String {
            candidates[best].scores.higherIsBetter ? NumberText.share(value) : NumberText.significant(value, 4)
        }

        /// The difference seen from the best, which is not negative, so that the words need no sign.
        private func numbers(_ comparison: Comparison) -> String {
            let difference = comparison.difference.negated
            return
                "difference \(figure(difference.value)), \(NumberText.significant(confidence * 100)) % interval \(NumberText.range(difference, figure)), "
                + "\(NumberText.pValue(comparison.pValue)) by \(comparison.method.words)"
        }

        /// What makes the first cheaper, where the numbers show it.
        private func cost(_ pick: Candidate, _ mark: Candidate) -> String {
            if pick.trainedParameters < mark.trainedParameters {
                return " (\(NumberText.shortCount(pick.trainedParameters)) trained parameters against "
                    + "\(NumberText.shortCount(mark.trainedParameters)))"
            }
            if pick.seconds < mark.seconds {
                return " (\(NumberText.duration(seconds: pick.seconds)) of training against "
                    + "\(NumberText.duration(seconds: mark.seconds)))"
            }
            return ""
        }
    }
}

extension Comparison.Method {
    /// The test inside a sentence.
    public var words: String {
        switch self {
        case .mcNemarExact: "McNemar's exact test"
        case .mcNemarMidP: "McNemar's mid-p test"
        case .signFlip: "a sign-flip permutation test"
        case .exactSignFlip: "an exact sign-flip permutation test"
        }
    }
}
