import HoneFormats
import HoneModels
import HoneTorch

/// A method that computes each row as the task wants it that the row belongs to.
///
/// The tasks of an adapter have names (`ExampleEncoder.Options.tasks`), by which rows say where they belong; in encoded rows they are
/// numbers from 0 (`EncodedExample.task`). Data without names are one task.
public protocol TaskRoutingMethod: Method {
    /// The names of the tasks that rows may belong to; empty for a single one without a name.
    var tasks: [String] { get }

    /// The same method for rows of some tasks; what it trains is made for as many.
    func routing(among tasks: [String]) -> Self

    /// What is left of the parameters for one of the tasks alone: the same method for that task attaches it to any row.
    ///
    /// - Throws: `HoneError` with code `.mismatch` for a number that is none of a task.
    func narrowed(_ parameters: ParameterSet, to task: Int) throws -> ParameterSet

    /// Whether all tasks share a parameter.
    func isShared(_ parameter: Parameter) -> Bool
}

extension TaskRoutingMethod {
    /// How many tasks there are: one where they have no names.
    public var taskCount: Int { max(1, tasks.count) }

    /// The number of a row's task.
    ///
    /// - Throws: `HoneError` with code `.mismatch` for a row that does not say, or belongs to a task that is not there.
    public func task(of row: EncodedExample) throws -> Int {
        guard let task = row.task else {
            if taskCount == 1 { return 0 }
            throw HoneError(.mismatch, "the row does not say which of \(taskCount) tasks it belongs to", item: name)
        }
        return try checked(task)
    }

    /// A task's number, which must be one.
    func checked(_ task: Int) throws -> Int {
        guard (0..<taskCount).contains(task) else {
            throw HoneError(.mismatch, "there is no task \(task); there are \(taskCount), counted from 0", item: name)
        }
        return task
    }

    /// What rows without a task's name get: the only task's.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where there are several tasks.
    func checkIsOneTask() throws {
        guard taskCount == 1 else {
            let known = tasks.prefix(20).joined(separator: ", ")
            throw HoneError(
                .mismatch, "is of several tasks, each of which is another model; say which: \(known)", item: name)
        }
    }
}

extension Adapter {
    /// How many models it stands for: one, or as many as there are tasks that it tells apart.
    public var taskCount: Int { (method as? any TaskRoutingMethod)?.taskCount ?? 1 }

    /// The adapter for the rows of one of its tasks; others, and those of one task, as they are.
    ///
    /// - Throws: `HoneError` with code `.mismatch` for a number that is none of a task.
    public func narrowed(to task: Int) throws -> Adapter {
        guard let routing = method as? any TaskRoutingMethod, routing.taskCount > 1 else { return self }
        var alone = self
        alone.parameters = try routing.narrowed(parameters, to: task)
        alone.encoding.tasks = [routing.tasks[task]]
        alone.method = routing.routing(among: alone.encoding.tasks)
        return alone
    }

    /// The adapter for the rows of the task of a name.
    ///
    /// - Throws: `HoneError` with code `.usage` for a name that is none of a task.
    public func narrowed(toTask name: String) throws -> Adapter {
        let tasks = (method as? any TaskRoutingMethod)?.tasks ?? []
        guard let place = tasks.firstIndex(of: name) else {
            let known = tasks.prefix(20).joined(separator: ", ")
            throw HoneError(
                .usage,
                "there is no task `\(name.prefix(80))`; "
                    + (tasks.isEmpty ? "the adapter tells no tasks apart" : "the tasks are \(known)"))
        }
        return try narrowed(to: place)
    }
}
