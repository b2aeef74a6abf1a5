/// Runs a program over a text.
struct ExpressionMatcher {
    /// A way to go on that has not been tried.
    private enum Resume {
        case at(step: Int, index: Int)
        /// Behind a run of a set: one scalar less each time, down to `least`.
        case shorter(step: Int, index: Int, least: Int)
        /// Behind a lazy run: one scalar more.
        case longer(step: Int, index: Int, set: Int, left: Int)
        /// The place that was noted before.
        case slot(Int, Int)
    }

    let program: ExpressionProgram
    let bytes: [UInt8]
    let start: Int
    let end: Int
    /// How many steps may still be taken.
    private(set) var budget: Int
    private var resumes: [Resume] = []
    private var slots: [Int]

    init(_ program: ExpressionProgram, _ bytes: [UInt8], _ start: Int, _ end: Int, budget: Int) {
        self.program = program
        self.bytes = bytes
        self.start = start
        self.end = end
        self.budget = budget
        slots = [Int](repeating: -1, count: program.slotCount)
    }

    /// Where the match ends that starts at an index; `nil` where there is none, or the budget is used up.
    mutating func match(at index: Int, from step: Int = 0) -> Int? {
        let base = resumes.count
        defer { resumes.removeSubrange(base...) }
        var step = step
        var index = index
        while budget > 0 {
            budget &-= 1
            if advance(&step, &index) {
                if case .end = program.steps[step] { return index }
            } else if !goBack(to: base, &step, &index) {
                return nil
            }
        }
        return nil
    }

    /// Takes one step; false where it leads nowhere.
    private mutating func advance(_ step: inout Int, _ index: inout Int) -> Bool {
        switch program.steps[step] {
        case .end: return true
        case .set(let set):
            guard index < end, program.sets[set].contains(nextScalar(bytes, &index, end)) else {
                return false
            }
            step += 1
        case .run(let set, let least, let most, let kind):
            return run(set, least, most, kind, &step, &index)
        case .either(let first, let second):
            resumes.append(.at(step: second, index: index))
            step = first
        case .jump(let target): step = target
        case .look(let stop, let isAhead, let isNegative, let width):
            var place = index
            if !isAhead {
                for _ in 0..<width {
                    guard place > start else { return isNegative ? leave(stop, &step) : false }
                    place = scalarStart(bytes, before: place)
                }
            }
            let found = match(at: place, from: step + 1)
            guard (found != nil) != isNegative else { return false }
            step = stop
        case .atomic(let stop):
            guard let found = match(at: index, from: step + 1) else { return false }
            index = found
            step = stop
        case .boundary(let boundary):
            guard holds(boundary, index) else { return false }
            step += 1
        case .enter(let slot):
            resumes.append(.slot(slot, slots[slot]))
            slots[slot] = index
            step += 1
        case .leaveIfEmpty(let slot, let target): step = slots[slot] == index ? target : step + 1
        }
        return true
    }

    private func leave(_ stop: Int, _ step: inout Int) -> Bool {
        step = stop
        return true
    }

    private mutating func run(
        _ set: Int, _ least: Int, _ most: Int, _ kind: ExpressionNode.Repetition, _ step: inout Int,
        _ index: inout Int
    ) -> Bool {
        let scalars = program.sets[set]
        var count = 0
        var leastIndex = index
        let wanted = kind == .lazy ? least : most
        while count < wanted, index < end {
            var next = index
            guard scalars.contains(nextScalar(bytes, &next, end)) else { break }
            index = next
            count += 1
            if count == least { leastIndex = index }
        }
        budget &-= count / 8
        guard count >= least else { return false }
        step += 1
        switch kind {
        case .possessive: break
        case .greedy:
            if index > leastIndex {
                resumes.append(.shorter(step: step, index: index, least: leastIndex))
            }
        case .lazy:
            if most > least {
                resumes.append(.longer(step: step, index: index, set: set, left: most - least))
            }
        }
        return true
    }

    /// Takes up the last way that was not tried; false where there is none above `base`.
    private mutating func goBack(to base: Int, _ step: inout Int, _ index: inout Int) -> Bool {
        while resumes.count > base, let resume = resumes.popLast() {
            switch resume {
            case .slot(let slot, let value): slots[slot] = value
            case .at(let target, let place):
                (step, index) = (target, place)
                return true
            case .shorter(let target, let place, let least):
                let shorter = scalarStart(bytes, before: place)
                if shorter > least { resumes.append(.shorter(step: target, index: shorter, least: least)) }
                (step, index) = (target, shorter)
                return true
            case .longer(let target, let place, let set, let left):
                var next = place
                guard place < end, program.sets[set].contains(nextScalar(bytes, &next, end)) else {
                    continue
                }
                if left > 1 { resumes.append(.longer(step: target, index: next, set: set, left: left - 1)) }
                (step, index) = (target, next)
                return true
            }
        }
        return false
    }

    private func holds(_ boundary: ExpressionBoundary, _ index: Int) -> Bool {
        switch boundary {
        case .textStart: index == start
        case .textEnd: index == end
        case .lastLineEnd: index == end || (index == end - 1 && bytes[index] == 0x0A)
        case .lineStart: index == start || (bytes[index - 1] == 0x0A && index < end)
        case .lineEnd: index == end || bytes[index] == 0x0A
        case .word: isWord(before: index) != isWord(at: index)
        case .noWord: isWord(before: index) == isWord(at: index)
        }
    }

    private func isWord(before index: Int) -> Bool {
        guard index > start else { return false }
        var place = scalarStart(bytes, before: index)
        return ScalarSet.word.contains(nextScalar(bytes, &place, index))
    }

    private func isWord(at index: Int) -> Bool {
        guard index < end else { return false }
        var place = index
        return ScalarSet.word.contains(nextScalar(bytes, &place, end))
    }
}
