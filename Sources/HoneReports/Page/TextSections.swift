import HoneEvaluation

extension HTMLReport {
    private static let dataNote: Markup = """
        <p class="data-note">The texts below are your data. Leave them out of reports that you pass on.</p>
        """

    /// Examples that were predicted wrong.
    var errorSection: Section? {
        guard includesExamples, !content.errors.isEmpty else { return nil }
        let cards = content.errors.prefix(max(exampleLimit, 0)).map { example -> Markup in
            let sure: Markup = example.confidence.map { "<span>confidence \(NumberText.fixed($0, 2))</span>" } ?? ""
            let place: Markup = example.place.isEmpty ? "" : "<span>\(example.place)</span>"
            return """
                <article class="example"><blockquote dir="auto">\(Self.shortened(example.text))</blockquote>
                <p><span class="wanted"><i>right</i> <bdi>\(example.label)</bdi></span>\
                <span class="got"><i>predicted</i> <bdi>\(example.prediction)</bdi></span>\(sure)\(place)</p></article>

                """
        }.joined()
        guard !cards.isEmpty else { return nil }
        return Section(
            identifier: "errors", title: "Examples it gets wrong",
            body: "\(Self.dataNote)<div class=\"examples\">\(cards)</div>")
    }

    /// Inputs with what was generated for them.
    var sampleSection: Section? {
        guard includesExamples, !content.samples.isEmpty else { return nil }
        let cards = content.samples.prefix(max(exampleLimit, 0)).map { sample -> Markup in
            let mark: Markup =
                switch sample.isRight {
                case true?: "<span class=\"badge right\">match</span>"
                case false?: "<span class=\"badge failed\">no match</span>"
                case nil: ""
                }
            let wanted: Markup =
                sample.reference.map { "<dt>wanted</dt><dd dir=\"auto\">\(Self.shortened($0))</dd>" } ?? ""
            return """
                <article class="example"><dl><dt>input</dt><dd dir="auto">\(Self.shortened(sample.input))</dd>\
                <dt>output \(mark)</dt><dd dir="auto" class="output">\(Self.shortened(sample.output))</dd>\(wanted)</dl></article>

                """
        }.joined()
        guard !cards.isEmpty else { return nil }
        return Section(
            identifier: "samples", title: "Sample outputs",
            body: "\(Self.dataNote)<div class=\"examples\">\(cards)</div>")
    }

    /// What was learned from, and what was adapted.
    var dataSection: Section? {
        let total = content.splits.reduce(0) { $0 + max($1.count, 0) }
        var left = Self.list(content.task)
        if total > 0 {
            let bars = content.splits.enumerated().map { index, split -> Markup in
                let share = Double(max(split.count, 0)) / Double(total) * 100
                return "<span class=\"part part\(index % 4 + 1)\" style=\"--share:\(share)%\"></span>"
            }.joined()
            let legend = content.splits.enumerated().map { index, split -> Markup in
                "<span><i class=\"part\(index % 4 + 1)\"></i>\(split.name) <b>\(NumberText.count(split.count))</b></span>"
            }.joined()
            left =
                "<div class=\"splits\" aria-hidden=\"true\">\(bars)</div><p class=\"legend\">\(legend)</p>" + left
        }
        let right = Self.list(content.baseModel)
        guard !left.isEmpty || !right.isEmpty else { return nil }
        let data: Markup = left.isEmpty ? "" : "<div class=\"panel\"><h3>Examples</h3>\(left)</div>"
        let model: Markup = right.isEmpty ? "" : "<div class=\"panel\"><h3>Base model</h3>\(right)</div>"
        return Section(
            identifier: "data", title: left.isEmpty ? "Base model" : right.isEmpty ? "Data" : "Data and base model",
            body: "<div class=\"grid\">\(data)\(model)</div>")
    }

    /// How to use the specialist.
    var usageSection: Section? {
        guard !content.commands.isEmpty else { return nil }
        let items = content.commands.map { command -> Markup in
            "<div class=\"command\"><p>\(command.purpose)</p><pre><code>\(command.line)</code></pre></div>\n"
        }.joined()
        return Section(identifier: "use", title: "Use it", body: "<div class=\"commands\">\(items)</div>")
    }

    /// What is needed to do it again.
    var reproducibilitySection: Section? {
        guard !content.reproducibility.isEmpty || !content.settings.isEmpty else { return nil }
        let settings: Markup =
            content.settings.isEmpty
            ? "" : "<details><summary>All settings</summary><pre><code>\(content.settings)</code></pre></details>"
        return Section(
            identifier: "reproduce", title: "Do it again", body: Self.list(content.reproducibility) + settings)
    }

    /// A text cut to a length that fits a page, at a character.
    static func shortened(_ text: String, limit: Int = 700) -> String {
        guard let end = text.index(text.startIndex, offsetBy: limit, limitedBy: text.endIndex), end < text.endIndex
        else {
            return text
        }
        return text[..<end] + " …"
    }
}
