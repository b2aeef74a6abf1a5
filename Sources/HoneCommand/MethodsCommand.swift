import ArgumentParser
import HoneFormats
import HoneMethods
import HoneReports

/// The methods' names for help texts.
enum MethodNames {
    static var list: String { Methods.all.map { $0.card.name }.joined(separator: ", ") }
}

/// `hone methods`
struct MethodsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "methods",
        abstract: "Lists the methods, or shows one with its settings.",
        discussion: """
              hone methods
              hone methods lora
            """)

    @Argument(help: "A method's name.") var name: String?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        let cards = try name.map { [try Methods.named($0).card] } ?? Methods.all.map { $0.card }
        if json {
            Console.print(json: ["methods": .array(cards.map(describe))])
        } else if name != nil, let card = cards.first {
            show(card)
        } else {
            var table = TextTable(["method", "what it does", "paper"])
            for card in cards { table.add([card.name, card.summary, card.paper]) }
            Console.print(table.text())
            Console.print("`hone methods NAME` shows when to take one, and its settings.")
        }
    }

    private func show(_ card: MethodCard) {
        Console.print(card.title)
        Console.print(card.summary)
        Console.print(card.advice)
        Console.print("Paper: \(card.paper)")
        if let type = card.peftType { Console.print("Adapters are written as PEFT's \(type).") }
        if !card.learningRates.isEmpty {
            Console.print("Learning rates tried: \(card.learningRates.map { String($0) }.joined(separator: ", "))")
        }
        if !card.settings.isEmpty {
            Console.print("Settings (--set key=value):")
            var table = TextTable(["setting", "default", "allowed", "what it does"])
            for setting in card.settings {
                table.add([setting.name, setting.defaultValue.text(), setting.allowed, setting.help])
            }
            Console.print(table.text())
        }
    }

    private func describe(_ card: MethodCard) -> JSON {
        var object = JSONObject()
        object["name"] = .string(card.name)
        object["title"] = .string(card.title)
        object["summary"] = .string(card.summary)
        object["advice"] = .string(card.advice)
        object["paper"] = .string(card.paper)
        object["peft_type"] = card.peftType.map { .string($0) }
        object["learning_rates"] = .array(card.learningRates.map { .number($0) })
        object["settings"] = .array(
            card.settings.map { setting in
                [
                    "name": .string(setting.name), "default": setting.defaultValue,
                    "allowed": .string(setting.allowed), "help": .string(setting.help),
                ]
            })
        return .object(object)
    }
}
