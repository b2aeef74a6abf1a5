import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch

extension Conformance {
    private func written(_ adapter: Adapter, as name: String) throws -> String {
        let folder = try scratch.folder(name)
        try adapter.write(to: folder, for: model)
        return folder
    }

    private func files(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    func exportsWhole(_ adapter: Adapter) throws -> [String] {
        let folder = scratch.path + "/exported"
        let specialist = try Specialist(base: model, adapter: adapter)
        guard try adapter.method.mergedWeights(adapter.parameters, model: model.transformer) != nil else {
            do {
                try specialist.export(to: folder)
                return ["a model is written without what was learned"]
            } catch let error as HoneError where error.code == .mismatch {
                return []
            }
        }
        try specialist.export(to: folder)
        let distance = try Conformance.distance(
            states(BaseModel(folder: folder).transformer), states(attached(adapter)))
        return distance <= 1e-5 ? [] : ["the exported model and the adapter differ by \(distance)"]
    }

    func survivesFiles(_ adapter: Adapter) throws -> [String] {
        let folder = try written(adapter, as: "adapter")
        let read = try Adapter.read(folder, for: model)
        var problems: [String] = []
        func require(_ holds: Bool, _ sentence: String) { if !holds { problems.append(sentence) } }
        require(read.method.name == adapter.method.name, "another method is read")
        require(
            read.method.settings == adapter.method.settings,
            "the settings \(adapter.method.settings.json.text()) come back as \(read.method.settings.json.text())")
        require(read.labels == adapter.labels && read.task == adapter.task, "the task is read as another")
        require(read.demonstrations == adapter.demonstrations, "other demonstrations are read")
        require(read.encoding == adapter.encoding, "other encoding options are read")
        require(
            try Conformance.hashes(read.parameters) == Conformance.hashes(adapter.parameters),
            "the parameters are read with other names, order, shapes or numbers")
        require(
            try answers(read, task.examples) == answers(adapter, task.examples),
            "the adapter that was read gives other results")
        let again = try written(read, as: "adapter-again")
        require(try files(folder) == files(again), "a second writing has other files")
        for file in try files(folder) {
            let same = try FileHash.sha256(ofFile: folder + "/" + file) == FileHash.sha256(ofFile: again + "/" + file)
            require(same, "a second writing of \(file) differs")
        }
        return problems
    }

    func refusesWrongFiles(_ adapter: Adapter) throws -> [String] {
        let folder = try written(adapter, as: "adapter-whole")
        var problems: [String] = []
        /// Reads a folder that should be refused.
        func expectRefusal(_ path: String, for model: BaseModel, _ what: String, code: HoneError.Code? = nil) throws {
            do {
                _ = try Adapter.read(path, for: model)
                problems.append("\(what) is read without a word")
            } catch let error as HoneError {
                if let code, error.code != code {
                    problems.append("\(what) is refused as \(error.code.name): \(error)")
                }
                if !error.description.contains(path) { problems.append("\(what): the error names no file: \(error)") }
            }
        }
        func damaged(_ name: String, _ body: (String) throws -> Void) throws -> String {
            let copy = scratch.path + "/" + name
            try FileManager.default.copyItem(atPath: folder, toPath: copy)
            try body(copy)
            return copy
        }
        try expectRefusal(folder, for: other, "an adapter for another base", code: .mismatch)
        for file in try files(folder) {
            let without = try damaged("without-\(file)") { try FileManager.default.removeItem(atPath: $0 + "/" + file) }
            try expectRefusal(without, for: model, "an adapter without \(file)")
            let half = try damaged("half-\(file)") { copy in
                let bytes = try Data(contentsOf: URL(fileURLWithPath: copy + "/" + file))
                try AtomicFile.write(bytes.prefix(bytes.count / 2), to: copy + "/" + file)
            }
            try expectRefusal(half, for: model, "an adapter with half of \(file)")
            guard file.hasSuffix(".safetensors") else { continue }
            let tensors = try TensorFiles.read(folder + "/" + file)
            for place in Set([0, tensors.count / 2, tensors.count - 1]) {
                let name = tensors[place].name
                let fewer = try damaged("fewer-\(file)-\(place)") { copy in
                    var rest = tensors
                    rest.remove(at: place)
                    try TensorFiles.write(rest, metadata: ["format": "pt"], to: copy + "/" + file)
                }
                try expectRefusal(fewer, for: model, "an adapter without the tensor \(name)")
                // A map that a method has left out altogether holds no number.
                guard tensors[place].tensor.count > 0 else { continue }
                let wrong = try damaged("wrong-\(file)-\(place)") { copy in
                    var changed = tensors
                    changed[place].tensor = try Tensor.full(tensors[place].tensor.shape, .nan)
                    try TensorFiles.write(changed, metadata: ["format": "pt"], to: copy + "/" + file)
                }
                try expectRefusal(wrong, for: model, "an adapter with \(name) not finite", code: .notFinite)
            }
        }
        return problems
    }

    func refusesWrongSettings() throws -> [String] {
        let card = type(of: row.method).card
        var problems: [String] = []
        func expectRefusal(_ name: String, _ value: JSON) throws {
            do {
                _ = try MethodSettings(card, json: .object(JSONObject([(name, value)])))
                problems.append("\(name) = \(value.text()) is accepted")
            } catch let error as HoneError {
                if error.code != .usage || !error.description.contains(name) {
                    problems.append("\(name) = \(value.text()) is refused without its name, or not as wrong usage")
                }
            }
        }
        try expectRefusal("no-such-setting", 1)
        for setting in card.settings {
            for value in [JSON.null, .object(JSONObject()), "no such word", .array([1])] {
                if case .text = setting.value, value.string != nil { continue }
                try expectRefusal(setting.name, value)
            }
            switch setting.value {
            case .integer(_, let range):
                try expectRefusal(setting.name, .number(Double(range.lowerBound) + 0.5))
                if range.lowerBound > .min { try expectRefusal(setting.name, .integer(range.lowerBound - 1)) }
                if range.upperBound < .max { try expectRefusal(setting.name, .integer(range.upperBound + 1)) }
            case .real(_, let range):
                try expectRefusal(setting.name, .number(range.lowerBound.nextDown))
                try expectRefusal(setting.name, .number(range.upperBound.nextUp))
            case .flag, .choice, .words, .text: try expectRefusal(setting.name, 1)
            }
        }
        return problems
    }
}

extension JSONObject {
    fileprivate init(_ pairs: [(key: String, value: JSON)]) {
        self.init()
        for pair in pairs { self[pair.key] = pair.value }
    }
}
