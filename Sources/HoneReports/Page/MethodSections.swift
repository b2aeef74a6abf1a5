import HoneEvaluation

extension HTMLReport {
    /// The methods in the order of the report: the chosen one, then by their first validation figure, then what has
    /// none.
    var orderedMethods: [ReportContent.Method] {
        func rank(_ method: ReportContent.Method) -> (Int, Double) {
            guard method.status != .chosen else { return (0, 0) }
            guard let metric = method.validation.first, metric.interval.value.isFinite else { return (3, 0) }
            let isWhole = method.status == .completed
            return (isWhole ? 1 : 2, metric.higherIsBetter ? -metric.interval.value : metric.interval.value)
        }
        return content.methods.enumerated().sorted { first, second in
            let (a, b) = (rank(first.element), rank(second.element))
            return a == b ? first.offset < second.offset : a < b
        }.map(\.element)
    }

    /// Which methods were tried, what they reached, and why one was chosen.
    var methodSection: Section? {
        guard !content.methods.isEmpty || !content.explanation.isEmpty else { return nil }
        let why: Markup = content.explanation.isEmpty ? "" : "<p class=\"why\">\(content.explanation)</p>"
        return Section(
            identifier: "methods", title: content.methods.count > 1 ? "Methods tried" : "Method",
            body: why + methodPlots + (content.methods.isEmpty ? .empty : methodTable))
    }

    private var methodPlots: Markup {
        let shown = orderedMethods.filter { $0.validation.first?.interval.value.isFinite == true }
        guard shown.count > 1, let metric = shown.first?.validation.first else { return .empty }
        // Figures of another kind do not belong on the same axis.
        let comparable = shown.filter { $0.validation.first?.name == metric.name }
            .sorted { first, second in
                let (a, b) = (first.validation[0].interval.value, second.validation[0].interval.value)
                return metric.higherIsBetter ? a > b : a < b
            }
        let isShare = metric.style == .share
        let rows = comparable.compactMap { method in
            method.validation.first.map {
                IntervalPlot.Row(name: method.name, interval: $0.interval, isHighlighted: method.status == .chosen)
            }
        }
        var plots = Self.figure(
            "Validation \(metric.name)",
            IntervalPlot(rows: rows, title: "validation \(metric.name)", isShare: isShare).markup,
            note: "Dot: all validation examples. Whisker: 95 % interval. Band: interval of the chosen method. "
                + "Methods share their examples, so overlapping whiskers alone do not mean equal; the paired test decides."
        )
        plots += costPlot(comparable, metric: metric)
        return "<div class=\"grid\">\(plots)</div>"
    }

    private func costPlot(_ methods: [ReportContent.Method], metric: ReportContent.Metric) -> Markup {
        func points(_ cost: (ReportContent.Method) -> Double?) -> [ScatterPlot.Point] {
            methods.compactMap { method in
                guard let x = cost(method), x > 0, let interval = method.validation.first?.interval else { return nil }
                return ScatterPlot.Point(
                    name: method.name, x: x, y: interval, isHighlighted: method.status == .chosen)
            }
        }
        let byParameters = points { $0.trainedParameters.map(Double.init) }
        let byTime = points { $0.seconds }
        let usesTime = byTime.count >= byParameters.count
        let shown = usesTime ? byTime : byParameters
        guard shown.count > 1 else { return .empty }
        let plot = ScatterPlot(
            points: shown, cost: usesTime ? .seconds : .parameters,
            horizontalTitle: usesTime ? "training time" : "trained parameters",
            verticalTitle: "validation \(metric.name)", isShare: metric.style == .share)
        return Self.figure(
            "What it costs", plot.markup, note: "Each step along the horizontal axis multiplies the cost.")
    }

    private var methodTable: Markup {
        let methods = orderedMethods
        var names: [String] = []
        for metric in methods.flatMap(\.validation) where !names.contains(metric.name) { names.append(metric.name) }
        let hasTime = methods.contains { $0.seconds != nil }
        let hasMemory = methods.contains { $0.peakMemory != nil }
        let hasParameters = methods.contains { $0.trainedParameters != nil }
        let hasRate = methods.contains { $0.learningRate != nil }
        var columns = names.map { ("validation " + $0, true) }
        if hasTime { columns.append(("time", true)) }
        if hasMemory { columns.append(("peak memory", true)) }
        if hasParameters { columns.append(("trained", true)) }
        if hasRate { columns.append(("learning rate", true)) }
        let heads = columns.map { column -> Markup in "<th scope=\"col\" class=\"n\">\(column.0)</th>" }.joined()
        let rows = methods.map { method -> Markup in
            var cells = Markup.empty
            for name in names {
                let metric = method.validation.first { $0.name == name }
                cells += Self.cell(metric.map(Self.stacked) ?? Self.blank, name: "validation " + name)
            }
            if hasTime { cells += Self.cell(method.seconds.map { NumberText.duration(seconds: $0) }, name: "time") }
            if hasMemory { cells += Self.cell(method.peakMemory.map(NumberText.bytes), name: "peak memory") }
            if hasParameters {
                cells += Self.cell(method.trainedParameters.map(NumberText.shortCount), name: "trained")
            }
            if hasRate { cells += Self.cell(method.learningRate.map { Self.rate($0) }, name: "learning rate") }
            let style: Markup = method.status == .chosen ? " class=\"chosen\"" : ""
            return "<tr\(style)><th scope=\"row\">\(method.name) \(Self.badge(method))</th>\(cells)</tr>\n"
        }.joined()
        return """
            <div class="scroll"><table class="cards"><thead><tr><th scope="col">method</th>\(heads)</tr></thead>
            <tbody>\(rows)</tbody></table></div>
            """
    }

    private static let blank: Markup = "<span class=\"none\">–</span>"

    private static func cell(_ content: Markup, name: String) -> Markup {
        "<td class=\"n\" data-name=\"\(name)\"><div>\(content)</div></td>"
    }

    private static func cell(_ text: String?, name: String) -> Markup {
        cell(text.map { "\($0)" } ?? blank, name: name)
    }

    /// A value with its interval underneath.
    static func stacked(_ metric: ReportContent.Metric) -> Markup {
        let text = text(metric)
        guard metric.interval.value.isFinite else { return blank }
        guard metric.interval.isFinite, metric.interval.low != metric.interval.high else {
            return "\(text(metric.interval.value))"
        }
        return "\(text(metric.interval.value))<small>\(NumberText.range(metric.interval, text))</small>"
    }

    /// A learning rate as people write it: "2e−4".
    static func rate(_ rate: Double) -> String {
        guard rate.isFinite, rate > 0 else { return "–" }
        var exponent = 0
        var mantissa = rate
        while mantissa < 0.9995, exponent > -30 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
        guard mantissa < 9.995, exponent < 0 else { return NumberText.significant(rate) }
        var digits = NumberText.fixed(mantissa, 2)
        while digits.hasSuffix("0") { digits.removeLast() }
        if digits.hasSuffix(".") { digits.removeLast() }
        return digits + "e−\(-exponent)"
    }

    private static func badge(_ method: ReportContent.Method) -> Markup {
        let reason: Markup = method.reason.isEmpty ? "" : "<small class=\"reason\">\(method.reason)</small>"
        switch method.status {
        case .chosen: return "<span class=\"badge chosen\">chosen</span>" + reason
        case .completed: return reason
        case .droppedEarly: return "<span class=\"badge\">dropped early</span>" + reason
        case .failed: return "<span class=\"badge failed\">failed</span>" + reason
        case .skipped: return "<span class=\"badge\">not tried</span>" + reason
        }
    }

    /// The figures of the chosen method on validation and test, side by side.
    var resultSection: Section? {
        guard let chosen = content.methods.first(where: { $0.status == .chosen }), !chosen.test.isEmpty else {
            return nil
        }
        var names = chosen.test.map(\.name)
        for metric in chosen.validation where !names.contains(metric.name) { names.append(metric.name) }
        let rows = names.map { name -> Markup in
            let test = chosen.test.first { $0.name == name }
            let validation = chosen.validation.first { $0.name == name }
            let direction = (test ?? validation)?.higherIsBetter == true ? "higher is better" : "lower is better"
            return """
                <tr><th scope="row">\(name)<small>\(direction)</small></th>\
                <td class="n">\(test.map(Self.stacked) ?? Self.blank)</td>\
                <td class="n">\(validation.map(Self.stacked) ?? Self.blank)</td></tr>

                """
        }.joined()
        return Section(
            identifier: "result", title: "Result on the test examples",
            body: """
                <div class="scroll narrow"><table><thead><tr><th scope="col">\(chosen.name)</th>\
                <th scope="col" class="n">test</th><th scope="col" class="n">validation</th></tr></thead>
                <tbody>\(rows)</tbody></table></div>
                <p class="note">Validation figures chose the method and its settings, which flatters them a little; \
                the test figures are the ones to quote.</p>
                """)
    }

    /// Loss and figures over the steps of training, one chart per figure.
    var curveSection: Section? {
        let curves = content.curves.filter { $0.points.contains { $0.x.isFinite && $0.y.isFinite } }
        guard !curves.isEmpty else { return nil }
        var metrics: [String] = []
        for curve in curves where !metrics.contains(curve.metric) { metrics.append(curve.metric) }
        let order = orderedMethods.map(\.name).filter { name in curves.contains { $0.method == name } }
        var others: [String] = []
        for curve in curves where !order.contains(curve.method) && !others.contains(curve.method) {
            others.append(curve.method)
        }
        let colours = order + others
        let charts = metrics.map { metric -> Markup in
            let series = curves.filter { $0.metric == metric }.map { curve in
                LineChart.Series(
                    name: curve.method, points: curve.points, colour: colours.firstIndex(of: curve.method) ?? 0)
            }
            let chart = LineChart(
                series: series.sorted { $0.colour < $1.colour }, horizontalTitle: "step", verticalTitle: metric,
                showsVerticalTitle: false,
                showsPoints: series.allSatisfy { $0.points.count <= 24 })
            return Self.figure(metric.prefix(1).uppercased() + metric.dropFirst(), chart.markup)
        }.joined()
        return Section(identifier: "training", title: "Training", body: "<div class=\"grid\">\(charts)</div>")
    }
}
