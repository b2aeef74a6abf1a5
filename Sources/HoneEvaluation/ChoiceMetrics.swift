import HoneFormats

/// A multiple-choice question as a model has scored it.
public struct ScoredChoices: Hashable, Sendable {
    /// The log-likelihood of each choice, in nats.
    public var logLikelihoods: [Double]
    /// The length of each choice, in characters.
    public var lengths: [Int]
    /// Which choice is right, counted from 0, where that is known.
    public var answer: Int?

    /// A scored question.
    public init(logLikelihoods: [Double], lengths: [Int], answer: Int? = nil) {
        self.logLikelihoods = logLikelihoods
        self.lengths = lengths
        self.answer = answer
    }

    /// The likeliest choice; the first of equally likely ones.
    public var predicted: Int { ScoredChoices.first(logLikelihoods) }

    /// The choice with the highest log-likelihood per character, so that long choices are not at a disadvantage.
    public var predictedByLength: Int {
        ScoredChoices.first(zip(logLikelihoods, lengths).map { $0 / Double(max(1, $1)) })
    }

    private static func first(_ scores: [Double]) -> Int {
        scores.indices.reduce(0) { scores[$1] > scores[$0] ? $1 : $0 }
    }
}

/// What is measured on multiple-choice questions: how often the likeliest choice is the right one.
public struct ChoiceMetrics: Hashable, Sendable {
    /// How many questions have a known answer.
    public let count: Int
    /// The share of questions whose likeliest choice is right.
    public let accuracy: Interval
    /// The same with log-likelihoods divided by the choices' lengths in characters.
    public let accuracyByLength: Interval
    /// The mean log-likelihood of the right choice, in nats.
    public let logLikelihood: Interval

    /// Measures the questions whose answer is known; `nil` where there is none.
    ///
    /// - Throws: `HoneError` of kind `badData` where an answer or the lengths do not fit the choices.
    public init?(_ questions: [ScoredChoices], bootstrap: Bootstrap = Bootstrap()) throws {
        var (right, rightByLength): (Int, Int) = (0, 0)
        var likelihoods: [Double] = []
        for question in questions {
            guard question.lengths.count == question.logLikelihoods.count else {
                throw HoneError(.badData, "choices and their lengths differ in number")
            }
            guard let answer = question.answer else { continue }
            guard question.logLikelihoods.indices.contains(answer) else {
                throw HoneError(.badData, "an answer is none of the choices")
            }
            right += question.predicted == answer ? 1 : 0
            rightByLength += question.predictedByLength == answer ? 1 : 0
            likelihoods.append(question.logLikelihoods[answer])
        }
        guard !likelihoods.isEmpty else { return nil }
        count = likelihoods.count
        accuracy = bootstrap.proportion(right, of: count, stream: "choice accuracy")
        accuracyByLength = bootstrap.proportion(rightByLength, of: count, stream: "choice accuracy by length")
        logLikelihood = bootstrap.mean(of: likelihoods, stream: "choice log-likelihood")
    }
}
