/// A regular expression as a list of steps, for a matcher that goes back where it got stuck.
struct ExpressionProgram: Sendable {
    enum Step: Sendable {
        /// One scalar of the set under this index.
        case set(Int)
        /// Several scalars of a set.
        case run(Int, least: Int, most: Int, ExpressionNode.Repetition)
        /// Goes on with the first step, and with the second where that leads nowhere.
        case either(Int, Int)
        case jump(Int)
        /// Goes on behind `end` where the steps up to it match here; `widths` are set for what stands before.
        case look(end: Int, isAhead: Bool, isNegative: Bool, width: Int)
        case atomic(end: Int)
        case boundary(ExpressionBoundary)
        /// Notes where a repetition starts that may match nothing.
        case enter(Int)
        /// Goes on at a step where nothing was matched since.
        case leaveIfEmpty(Int, Int)
        case end
    }

    private(set) var steps: [Step] = []
    private(set) var sets: [ScalarSet] = []
    private(set) var slotCount = 0

    /// The most steps of a program.
    private static let limit = 20_000

    init(_ node: ExpressionNode) throws(ExpressionProblem) {
        try add(node)
        steps.append(.end)
    }

    private mutating func append(_ step: Step) throws(ExpressionProblem) {
        guard steps.count < Self.limit else { throw ExpressionProblem(message: "it is too long") }
        steps.append(step)
    }

    private mutating func add(_ node: ExpressionNode) throws(ExpressionProblem) {
        switch node {
        case .set(let set):
            try append(.set(sets.count))
            sets.append(set)
        case .sequence(let nodes): for node in nodes { try add(node) }
        case .alternatives(let nodes): try add(alternatives: nodes)
        case .boundary(let boundary): try append(.boundary(boundary))
        case .atomic(let node):
            let start = steps.count
            try append(.end)
            try add(node)
            try append(.end)
            steps[start] = .atomic(end: steps.count)
        case .look(let node, let isAhead, let isNegative):
            try add(node, isAhead: isAhead, isNegative: isNegative)
        case .repeated(.set(let set), let least, let most, let kind):
            try append(.run(sets.count, least: least, most: most, kind))
            sets.append(set)
        case .repeated(let node, let least, let most, .possessive):
            try add(.atomic(.repeated(node, least: least, most: most, .greedy)))
        case .repeated(let node, let least, let most, let kind):
            try add(node, least, most, isLazy: kind == .lazy)
        }
    }

    private mutating func add(alternatives nodes: [ExpressionNode]) throws(ExpressionProblem) {
        var jumps: [Int] = []
        for (index, node) in nodes.enumerated() {
            if index == nodes.count - 1 {
                try add(node)
                break
            }
            let choice = steps.count
            try append(.end)
            try add(node)
            jumps.append(steps.count)
            try append(.end)
            steps[choice] = .either(choice + 1, steps.count)
        }
        for jump in jumps { steps[jump] = .jump(steps.count) }
    }

    private mutating func add(
        _ node: ExpressionNode, isAhead: Bool, isNegative: Bool
    ) throws(ExpressionProblem) {
        if !isAhead, case .alternatives(let nodes) = node, node.width == nil {
            // Each alternative has a width of its own.
            let looks = nodes.map { ExpressionNode.look($0, isAhead: false, isNegative: isNegative) }
            try add(isNegative ? .sequence(looks) : .alternatives(looks))
            return
        }
        var width = 0
        if !isAhead {
            guard let known = node.width else {
                throw ExpressionProblem(message: "what it looks back at has no fixed length")
            }
            width = known
        }
        let start = steps.count
        try append(.end)
        try add(node)
        try append(.end)
        steps[start] = .look(end: steps.count, isAhead: isAhead, isNegative: isNegative, width: width)
    }

    private mutating func add(
        _ node: ExpressionNode, _ least: Int, _ most: Int, isLazy: Bool
    ) throws(ExpressionProblem) {
        for _ in 0..<least { try add(node) }
        func choice(_ inside: Int, _ outside: Int) -> Step {
            isLazy ? .either(outside, inside) : .either(inside, outside)
        }
        if most == .max {
            let start = steps.count
            let slot = slotCount
            try append(.end)
            if node.isNullable {
                slotCount += 1
                try append(.enter(slot))
            }
            try add(node)
            if node.isNullable { try append(.leaveIfEmpty(slot, steps.count + 2)) }
            try append(.jump(start))
            steps[start] = choice(start + 1, steps.count)
            return
        }
        var choices: [Int] = []
        for _ in least..<most {
            choices.append(steps.count)
            try append(.end)
            try add(node)
        }
        for place in choices { steps[place] = choice(place + 1, steps.count) }
    }
}
