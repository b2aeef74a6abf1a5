import HoneEvaluation

extension HTMLReport {
    /// Whether confidences can be believed.
    var calibrationSection: Section? {
        guard let outcomes = content.classification, outcomes.bins.contains(where: { $0.count > 0 }) else { return nil }
        let total = outcomes.bins.reduce(0) { $0 + $1.count }
        var text: Markup = """
            <p>When the specialist says it is 90 % sure, is it right nine times in ten? Dots on the dashed line say yes; \
            dots below it mean too much confidence, above it too little. Larger dots stand for more examples, and the orange \
            lines show the gap.</p>
            """
        if let error = outcomes.expectedCalibrationError, error.value.isFinite {
            let kind = Self.tendency(outcomes.bins)
            text += """
                <dl class="tiles small"><div><dt>Expected calibration error</dt>\
                <dd class="figure">\(NumberText.share(error.value))</dd>\
                <dd class="note">\(NumberText.range(error)) on \(NumberText.count(total)) \(outcomes.split) examples</dd></div>\
                <div><dt>On the whole</dt><dd class="figure words">\(kind)</dd></div></dl>
                """
        }
        let diagram = Self.figure(
            "Reliability on the \(outcomes.split) examples", ReliabilityDiagram(bins: outcomes.bins).markup)
        return Section(
            identifier: "calibration", title: "Calibration",
            body: "<div class=\"grid\">\(diagram)<div>\(text)</div></div>")
    }

    /// Whether confidence is above or below accuracy on the whole.
    static func tendency(_ bins: [ReliabilityBin]) -> String {
        let filled = bins.filter { $0.count > 0 }
        let total = Double(filled.reduce(0) { $0 + $1.count })
        let gap = filled.reduce(0) { $0 + Double($1.count) * ($1.meanConfidence - $1.accuracy) } / total
        guard gap.isFinite, abs(gap) >= 0.01 else { return "about right" }
        return gap > 0 ? "too sure" : "not sure enough"
    }

    /// What is taken for what.
    var confusionSection: Section? {
        guard let outcomes = content.classification, outcomes.confusion.classCount > 1,
            !outcomes.confusion.cells.isEmpty
        else { return nil }
        let classes = outcomes.confusion.classCount
        let map = HeatMap(matrix: outcomes.confusion, labels: outcomes.labels).markup
        let note =
            classes > HeatMap.nameLimit
            ? "\(NumberText.count(classes)) classes: each point is a pair of classes; rows and columns are in the order of the labels."
            : "Rows are the right classes, columns the predicted ones. Shade: share of the row."
        let wrong = outcomes.confusion.mostConfused(limit: 12)
        let figure = Self.figure("All \(outcomes.split) examples", "<div class=\"scroll\">\(map)</div>", note: note)
        guard !wrong.isEmpty else {
            return Section(
                identifier: "confusion", title: "Confusion",
                body: "\(figure)<p>Every \(outcomes.split) example was predicted right.</p>")
        }
        var supports: [Int: Int] = [:]
        for cell in outcomes.confusion.cells { supports[cell.label, default: 0] += cell.count }
        let rows = wrong.map { cell -> Markup in
            let share = Double(cell.count) / Double(max(supports[cell.label] ?? 1, 1))
            return """
                <tr><td><bdi>\(outcomes.name(cell.label))</bdi> <span class="arrow">→</span> \
                <bdi>\(outcomes.name(cell.prediction))</bdi></td><td class="n">\(NumberText.count(cell.count))</td>\
                <td class="n">\(NumberText.fixed(share * 100, 1)) %</td></tr>

                """
        }.joined()
        let table: Markup = """
            <div class="panel"><h3>Most confused</h3><div class="scroll"><table><thead><tr>\
            <th scope="col">right class → prediction</th><th scope="col" class="n">examples</th>\
            <th scope="col" class="n">of the class</th></tr></thead><tbody>\(rows)</tbody></table></div></div>
            """
        let layout = classes > 6 ? "wide" : "grid"
        return Section(
            identifier: "confusion", title: "Confusion", body: "<div class=\"\(layout)\">\(figure)\(table)</div>")
    }

    /// Each class, the worst first.
    var classSection: Section? {
        guard let outcomes = content.classification, outcomes.classes.count > 1 else { return nil }
        let present = outcomes.classes.filter { $0.support > 0 || $0.predicted > 0 }
        let ordered = present.sorted { ($0.f1, -$0.support, $0.label) < ($1.f1, -$1.support, $1.label) }
        guard !ordered.isEmpty else { return nil }
        let open = ordered.count > 20 ? 12 : ordered.count
        var body = Self.classTable(ordered.prefix(open), outcomes)
        if open < ordered.count {
            body += """
                <details><summary>The other \(NumberText.count(ordered.count - open)) classes</summary>
                \(Self.classTable(ordered.dropFirst(open), outcomes))</details>
                """
        }
        let absent = outcomes.classes.count - present.count
        if absent > 0 {
            let classes = absent == 1 ? "1 class does" : "\(NumberText.count(absent)) classes do"
            body += "<p class=\"note\">\(classes) not occur among the \(outcomes.split) examples.</p>"
        }
        return Section(identifier: "classes", title: "Classes, worst first", body: body)
    }

    private static func classTable(
        _ classes: ArraySlice<ClassMetrics>, _ outcomes: ReportContent.Classification
    ) -> Markup {
        let rows = classes.map { figures -> Markup in
            """
            <tr><th scope="row"><bdi>\(outcomes.name(figures.label))</bdi></th>\
            <td class="n meter"><span style="--share:\(figures.f1 * 100)%">\(NumberText.share(figures.f1))</span></td>\
            <td class="n">\(NumberText.share(figures.precision))</td><td class="n">\(NumberText.share(figures.recall))</td>\
            <td class="n">\(NumberText.count(figures.support))</td><td class="n">\(NumberText.count(figures.predicted))</td></tr>

            """
        }.joined()
        return """
            <div class="scroll"><table><thead><tr><th scope="col">class</th><th scope="col" class="n">F1</th>\
            <th scope="col" class="n">precision</th><th scope="col" class="n">recall</th><th scope="col" class="n">examples</th>\
            <th scope="col" class="n">predicted</th></tr></thead><tbody>\(rows)</tbody></table></div>
            """
    }
}
