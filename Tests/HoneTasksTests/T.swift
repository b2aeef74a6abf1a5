import Testing
@testable import HoneTasks
@Test func `x`() {}
