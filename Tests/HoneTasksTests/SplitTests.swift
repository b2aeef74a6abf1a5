import Testing

@testable import HoneTasks

@Suite struct SplitTests {
    private func drawing(_ seed: UInt64 = 1, validation: Double? = nil, test: Double? = nil) -> SplitDrawing {
        SplitDrawing(seed: seed, validationShare: validation, testShare: test)
    }

    @Test func `draws each class by its share`() {
        let classes = (0..<1_000).map { $0 % 10 == 0 ? 0 : $0 % 10 < 4 ? 1 : 2 }
        let drawn = drawing().draw(classes: classes)
        for part in [drawn.validation, drawn.test] {
            #expect(part.count == 100)
            #expect(part.filter { classes[$0] == 0 }.count == 10)
            #expect(part.filter { classes[$0] == 1 }.count == 30)
            #expect(part == part.sorted())
        }
        #expect(Set(drawn.validation).isDisjoint(with: drawn.test))
    }

    @Test func `gives every class of three a row in each part and keeps one for training`() {
        let classes = Array(repeating: 0, count: 100) + [1, 1, 1, 2, 2, 3]
        let drawn = drawing().draw(classes: classes)
        func count(_ part: [Int], _ label: Int) -> Int { part.filter { classes[$0] == label }.count }
        #expect(count(drawn.validation, 1) == 1)
        #expect(count(drawn.test, 1) == 1)
        #expect(count(drawn.validation, 2) + count(drawn.test, 2) < 2)
        #expect(count(drawn.validation, 3) + count(drawn.test, 3) == 0)
    }

    @Test func `caps default shares and not chosen ones`() {
        let classes = Array(repeating: 0, count: 50_000)
        #expect(drawing().draw(classes: classes).test.count == 2_000)
        #expect(drawing(test: 0.2).draw(classes: classes).test.count == 10_000)
        #expect(drawing(validation: 0).draw(classes: classes).validation.isEmpty)
    }

    @Test func `the same seed draws the same rows, another seed others`() {
        let classes = (0..<500).map { $0 % 7 }
        #expect(drawing(4).draw(classes: classes) == drawing(4).draw(classes: classes))
        #expect(drawing(4).draw(classes: classes) != drawing(5).draw(classes: classes))
        // A draw that was written down, so that an update of the language or the module cannot change it unseen.
        #expect(drawing(0).draw(classes: Array(repeating: 0, count: 30)).validation == WrittenDraw.validation)
        #expect(drawing(0).draw(classes: Array(repeating: 0, count: 30)).test == WrittenDraw.test)
    }

    @Test func `whole parts are rounded by the largest remainders`() {
        // 10 % of 55 is 6 (5.5 rounded away from zero): quotas 3.27, 1.64, 1.09.
        let classes = Array(repeating: 0, count: 30) + Array(repeating: 1, count: 15) + Array(repeating: 2, count: 10)
        let test = drawing(validation: 0).draw(classes: classes).test
        #expect([0, 1, 2].map { label in test.filter { classes[$0] == label }.count } == [3, 2, 1])
    }

    @Test func `texts that differ in case, spacing and Unicode spelling are the same`() {
        let key = InputKey(.text("  Café  AU lait\n"))
        #expect(InputKey(.text("cafe\u{301} au\tLAIT")) == key)
        #expect(InputKey(.text("café\u{A0}\u{3000}au lait")) == key)
        #expect(InputKey(.text("cafe au lait")) != key)
        #expect(InputKey(.text("Straße 7")) == InputKey(.text("STRAßE 7")))
        #expect(InputKey(.text("A  b ")) == InputKey(.prompt("a B")))
        #expect(InputKey(.pair("a", "b")) != InputKey(.pair("a b", "")))
    }
}

/// Rows drawn from 30 of one class with seed 0.
private enum WrittenDraw {
    static let validation = [4, 19, 21]
    static let test = [12, 23, 26]
}
