/// The colours and lines of charts, in one place for the page and for charts on their own.
///
/// The eight series colours are those of Okabe and Ito ("Color universal design", 2008), darkened for white ground and
/// lightened for dark ground, so that they stay apart under every kind of colour blindness; dashes tell lines apart
/// without colour.
enum ChartStyle {
    /// How many series have a colour of their own; further ones start again.
    static let colourCount = 8

    /// The classes of a series: its colour, and its dash pattern.
    static func series(_ index: Int) -> String { "c\(abs(index % colourCount) + 1)" }

    /// The variables of light and dark ground.
    static let variables = """
        :root{color-scheme:light dark;--page:#f5f6f7;--surface:#fff;--ink:#1a2027;--muted:#5b6670;--faint:#8a949d;\
        --line:#e2e6ea;--soft:#eef1f4;--accent:#0b5fa5;--accent-soft:#e6f0f9;--good:#0f7a56;--bad:#b3402a;\
        --bad-soft:#fbece8;--warn:#7d5200;--warn-soft:#fcf3df;--c1:#0b5fa5;--c2:#c8640f;--c3:#0f7a56;--c4:#a3478f;--c5:#8a6d00;--c6:#2f8fb8;--c7:#b3402a;--c8:#5b6670}
        @media (prefers-color-scheme:dark){:root{--page:#12161a;--surface:#1a2026;--ink:#e6eaee;--muted:#a3aeb8;\
        --faint:#7b8690;--line:#2c343c;--soft:#222a31;--accent:#74b6f0;--accent-soft:#1d3145;--good:#62c9a1;--bad:#f0907d;\
        --bad-soft:#3a2420;--warn:#e6bd6a;--warn-soft:#312a1b;--c1:#74b6f0;--c2:#f0a35c;--c3:#62c9a1;--c4:#d99bd1;--c5:#d8c25e;--c6:#8fd2ec;--c7:#f0907d;--c8:#a3aeb8}}
        """

    /// The rules for the classes that charts use.
    static let rules: String = {
        var text = """
            .chart{display:block;width:100%;height:auto;overflow:visible;font:12.5px system-ui,-apple-system,"Segoe UI",\
            Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
            .chart .t{fill:var(--ink)}.chart .m{fill:var(--muted)}.chart .b{font-weight:600}.chart .s{font-size:10.5px}
            .chart .inverse{fill:var(--surface)}
            .chart .grid{stroke:var(--line);stroke-width:1}.chart .axis{stroke:var(--faint);stroke-width:1}
            .chart .guide{stroke:var(--faint);stroke-width:1.25;stroke-dasharray:4 4}
            .chart .band{fill:var(--accent);fill-opacity:.09}
            .chart .bar{fill:var(--faint);fill-opacity:.45}.chart .empty{fill:var(--soft)}
            .chart .whisker{stroke-width:2;stroke-linecap:round}.chart .dot{stroke:var(--surface);stroke-width:1.5}
            .chart .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
            .chart .right{fill:var(--c1)}.chart .wrong{fill:var(--c2)}.chart .quiet{fill:var(--muted)}
            .chart line.quiet{stroke:var(--faint)}

            """
        for index in 1...colourCount {
            text += ".chart .c\(index){stroke:var(--c\(index))}"
            text += ".chart .dot.c\(index),.chart .fill.c\(index){fill:var(--c\(index))}"
        }
        text += ".chart .dot{stroke:var(--surface)}\n"
        for (index, dashes) in ["", "7 4", "2 4", "9 4 2 4"].enumerated() where !dashes.isEmpty {
            text += ".chart .d\(index){stroke-dasharray:\(dashes)}"
        }
        return text
    }()

    /// Everything that a chart needs.
    static let css = variables + "\n" + rules
}
