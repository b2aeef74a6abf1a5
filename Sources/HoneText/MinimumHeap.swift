/// A binary heap that gives its least element first; its memory stays when it is emptied.
struct MinimumHeap<Element: Comparable> {
    private var elements: [Element] = []

    /// Whether there is nothing.
    var isEmpty: Bool { elements.isEmpty }

    /// Starts over.
    mutating func removeAll() { elements.removeAll(keepingCapacity: true) }

    /// Puts an element in; `O(log n)`.
    mutating func push(_ element: Element) {
        elements.append(element)
        var child = elements.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard elements[child] < elements[parent] else { break }
            elements.swapAt(parent, child)
            child = parent
        }
    }

    /// Takes the least element out, if there is one; `O(log n)`.
    mutating func pop() -> Element? {
        guard let top = elements.first, let last = elements.popLast() else { return nil }
        if elements.isEmpty { return top }
        elements[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            if child >= elements.count { break }
            if child + 1 < elements.count, elements[child + 1] < elements[child] { child += 1 }
            guard elements[child] < elements[parent] else { break }
            elements.swapAt(parent, child)
            parent = child
        }
        return top
    }
}
