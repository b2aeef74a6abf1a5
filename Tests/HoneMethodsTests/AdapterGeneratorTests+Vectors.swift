import HoneFormats
import HoneTesting
import HoneTorch
import Testing

@testable import HoneMethods

/// How adapters become vectors and back.
extension AdapterGeneratorTests {
    @Test func `an adapter becomes a vector and comes back, whatever the order of its tensors`() throws {
        let own = try Self.tensors(1)
        let layout = AdapterLayout(own)
        #expect(layout == AdapterLayout(own.reversed()))
        let vector = try layout.joined(own)
        #expect(try vector.elements(Float.self) == layout.joined(own.reversed()).elements(Float.self))
        let statistics = try AdapterStatistics([vector], layout: layout)
        let normal = try statistics.normalised(vector, layout: layout)
        let back = try layout.parts(statistics.restored(normal, layout: layout))
        for (name, tensor) in own {
            let found = try #require(back.first { $0.name == name }).tensor
            #expect(try near(found, tensor, 1e-5), "\(name)")
        }
    }

    @Test func `every tensor of a vector has mean 0 and spread 1, and one that is zero everywhere stays zero`() throws {
        let own = try Self.tensors(1)
        let layout = AdapterLayout(own)
        let vector = try layout.joined(own)
        let normal = try layout.parts(
            AdapterStatistics([vector], layout: layout).normalised(vector, layout: layout))
        for (name, tensor) in normal {
            let numbers: [Double] = try tensor.elements()
            if name == "layers.0.query.lora_B" {
                #expect(numbers.allSatisfy { $0 == 0 })
                continue
            }
            let mean = numbers.reduce(0, +) / Double(numbers.count)
            let square = numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(numbers.count - 1)
            #expect(abs(mean) < 1e-5 && abs(square - 1) < 1e-5, "\(name)")
        }
    }

    @Test func `adapters of other shapes are refused by the first tensor that differs`() throws {
        let layout = AdapterLayout(try Self.tensors(1))
        var changed = try Self.tensors(2)
        changed[0].tensor = try Tensor.zeros([6, 3])
        let shape = #expect(throws: HoneError.self) { try layout.check(changed, file: "a") }
        #expect(shape?.code == .mismatch && shape?.item == "layers.1.value.lora_B" && shape?.file == "a")
        let missing = #expect(throws: HoneError.self) { try layout.check(Array(Self.tensors(2).dropFirst())) }
        #expect(missing?.item == "layers.1.value.lora_B")
        var infinite = try Self.tensors(2)
        infinite[1].tensor = try Tensor.full([2, 8], .infinity)
        let number = #expect(throws: HoneError.self) { try layout.joined(infinite) }
        #expect(number?.code == .notFinite && number?.item == "layers.0.query.lora_A")
    }

    @Test func `a table of tensors that a file holds is refused where its sizes make no sense`() throws {
        let own = AdapterLayout(try Self.tensors(1))
        #expect(try AdapterLayout(json: own.json, file: "generator.json") == own)
        func entry(_ shape: JSON) -> JSON { ["name": "layers.0.query.lora_A", "shape": shape] }
        #expect(try AdapterLayout(json: [entry([65536, 65536])], file: "generator.json").count == 1 << 32)
        let huge: JSON = 4_294_967_296
        // Other than whole numbers from 1 on, or none at all.
        let senseless: [JSON] = [
            [], [0, 4], [-2, 4], [2.5, 4], ["2", 4], [.null, 4], [true, 4], [[2], 4], 4, "4", .null,
        ]
        let few: [JSON] = [[1], [1, 1]]
        // Up to products that no machine word holds.
        let many: [JSON] = [
            [4_294_967_297], [65536, 65537], [huge, huge], [huge, huge, huge], [huge, huge, huge, huge, huge],
            [3_037_000_500, 3_037_000_500, 1], [.integer(.max), .integer(.max)], [.integer(.min), 2], [1e300, 2],
        ]
        var tables: [JSON] = [
            [], .null, "tensors", 7, [7], [.null], [["name": "a"]], [["shape": [2, 2]]],
            [["name": 1, "shape": [2, 2]]],
        ]
        for shape in senseless + few + many { tables.append([entry(shape)]) }
        // Each for itself would do.
        tables.append([entry([65536, 65536]), entry([1])])
        tables.append([entry([2, 2]), entry([65536, 65536])])
        for table in tables {
            let error = #expect(throws: HoneError.self, "\(table.text())") {
                try AdapterLayout(json: table, file: "generator.json")
            }
            #expect(error?.code == .badFile && error?.file == "generator.json" && error?.item == "tensors")
        }
    }
}
