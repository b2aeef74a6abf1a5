import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch
import Testing

/// An adapter that PEFT saved, on its base, with what PEFT computed with it.
struct AdapterFixture {
    let folder: String
    let reference: Reference
    let expected: [String: Tensor]
    let method: any Method
    let parameters: ParameterSet
    /// What PEFT's AdamW steps were made with.
    let epsilon: Double

    init(_ name: String) throws {
        folder = Reference.fixtures + "/adapter-" + name
        let description = try JSON.read(file: folder + "/reference.json")
        reference = try Reference(#require(description["base"]?.string))
        epsilon = description["epsilon"]?.number ?? 1e-8
        expected = try Reference.tensors(folder + "/reference.safetensors")
        (method, parameters) = try Adapter.readMethod(AdapterFolderReader(path: folder), for: reference.model)
    }

    var base: Transformer { reference.model.transformer }

    /// The base with these parameters attached, or with those that PEFT saved.
    func adapted(_ parameters: ParameterSet? = nil) throws -> Transformer {
        try base.attaching(method.attachments(parameters ?? self.parameters, model: base, dropout: nil))
    }

    func write(_ parameters: ParameterSet, to folder: String) throws {
        try method.write(parameters, for: reference.model, task: .generation, to: AdapterFolderWriter(path: folder))
    }

    /// Tensors as they stand in PEFT's file, by its names.
    func written(_ parameters: ParameterSet) throws -> [String: Tensor] {
        try withTemporaryFolder { folder in
            try write(parameters, to: folder)
            return try Reference.tensors(folder + "/adapter_model.safetensors")
        }
    }

    /// Has `Scripts/parity/peft_reads.py` load a folder and compare what PEFT computes with `outputs.safetensors` in it.
    func expectReadByPEFT(_ adapter: String, python: String) throws {
        let process = Process()
        process.executableURL = URL(filePath: python)
        let script = Reference.fixtures + "/../../../Scripts/parity/peft_reads.py"
        process.arguments = [script, reference.folder, adapter, adapter + "/outputs.safetensors"]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }
}
