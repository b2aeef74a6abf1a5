import Foundation
import HoneFormats
import HoneTesting
import Testing

/// Images from files to a run and back: `fit`, `train`, `predict`, `eval`, `export`.
@Suite struct ImageCommandTests {
    /// A table and its images: bright above is `up`, bright below is `down`.
    private func pictures(_ workshop: Workshop, rows: Int = 40) throws -> String {
        var table = "picture,direction\n"
        for row in 0..<rows {
            let (width, height) = (12 + row % 5, 11 + row % 7)
            let samples = (0..<width * height).map { place in
                let isAbove = place / width * 2 < height
                return UInt8((isAbove == (row % 2 == 0) ? 170 : 20) + (place * 31 + row * 17) % 60)
            }
            try workshop.write("pictures/\(row).png", TinyImage.png(width: width, height: height, grey: samples))
            table += "pictures/\(row).png,\(row % 2 == 0 ? "up" : "down")\n"
        }
        return try workshop.write("pictures.csv", table)
    }

    private func json(_ result: HoneProcess.Result) throws -> JSON {
        #expect(result.code == 0, "\(result.error)")
        return try JSON.parse(result.output)
    }

    @Test func `fit finds the images, learns them, and the run answers`() throws {
        let workshop = try Workshop()
        let data = try pictures(workshop)
        let model = try workshop.fixture("vit")
        let fitted = try workshop.hone(
            "fit", data, "--model", model, "--budget", "20s", "--methods", "probe,lora,full", "--out", workshop.out,
            "--json")
        let summary = try json(fitted)
        #expect(fitted.error.contains("classification: images in column `picture` → `direction`, 2 labels, 40 rows"))
        #expect(try #require(summary["validation"]?["accuracy"]?["value"]?.number) == 1)
        let run = try JSON.read(file: workshop.out + "/run.json")
        #expect(run["task"]?["definition"]?["columns"]?["image"]?.string == "picture")
        let asked = try json(workshop.hone("predict", workshop.out, "pictures/4.png", "pictures/5.png", "--json"))
        #expect(asked["predictions"]?.array?.map { $0["label"]?.string } == ["up", "down"])
        let table = try json(workshop.hone("predict", workshop.out, "--file", data, "--json"))
        #expect(table["predictions"]?.array?.count == 40)
        let measured = try json(workshop.hone("eval", workshop.out, "--data", data, "--json"))
        #expect(measured["n"]?.integer == 40)
        #expect(FileManager.default.fileExists(atPath: workshop.out + "/report.html"))
    }

    @Test("a method trains on images and is exported", arguments: ["lora", "bitfit", "full", "probe"])
    func trains(method: String) throws {
        let workshop = try Workshop()
        let data = try pictures(workshop, rows: 12)
        let arguments = [
            "train", data, "--model", try workshop.fixture("deit"), "--method", method, "--steps", "3", "--batch-size",
            "4",
            "--out", workshop.out, "--json",
        ]
        let summary = try json(workshop.hone(arguments))
        #expect(summary["losses"]?.array?.count == (method == "probe" ? 0 : 3))
        let exported = workshop.folder + "/exported"
        #expect(try workshop.hone("export", workshop.out, "--out", exported).code == 0)
        #expect(FileManager.default.fileExists(atPath: exported + "/preprocessor_config.json"))
        #expect(try workshop.hone("doctor", "--model", exported).output.contains("parameters"))
    }

    @Test func `says what does not go together`() throws {
        let workshop = try Workshop()
        let data = try pictures(workshop, rows: 12)
        let texts = try workshop.tickets()
        let model = try workshop.fixture("vit")
        let cut = try workshop.write(
            "cut/cut.png", Array(try FileBytes.read(workshop.folder + "/pictures/1.png").prefix(70)))
        let rows = (0..<12).map { "\($0 == 7 ? "cut/cut" : "pictures/\($0)").png,\($0 % 2)\n" }.joined()
        let broken = try workshop.write("broken.csv", "picture,label\n" + rows)
        for (arguments, code, words) in [
            (["fit", data], 2, "name a model of images"),
            (["fit", data, "--model", try workshop.fixture("bert-tiny")], 1, "this model reads text"),
            (["train", texts, "--method", "lora", "--model", model], 1, "this model reads images"),
            (["fit", broken, "--model", model], 1, cut),
            (["generate", model, "a"], 1, "images"), (["embed", model, "a"], 1, "reads images, not text"),
        ] {
            let result = try workshop.hone(arguments + (arguments[0] == "fit" ? ["--out", workshop.out] : []))
            #expect(result.code == Int32(code), "\(arguments): \(result.error)")
            #expect(result.error.contains(words), "\(arguments): \(result.error)")
        }
    }
}
