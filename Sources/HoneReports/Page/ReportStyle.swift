/// The style sheet of the page; colours come from `ChartStyle.variables`.
enum ReportStyle {
    static let css = """
        *{box-sizing:border-box}
        html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
        body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,\
        "Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:break-word}
        main,footer{max-width:1080px;margin:0 auto;padding:0 28px}
        h1,h2,h3,p,dl,dd,ul,figure,blockquote,pre{margin:0}
        header{padding:56px 0 8px}
        .eyebrow{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:.8125rem;color:var(--muted);letter-spacing:.01em}
        .eyebrow span:first-child{color:var(--accent);font-weight:600}
        h1{font-size:2.125rem;line-height:1.2;font-weight:650;letter-spacing:-.018em;margin:6px 0 14px}
        .verdict{font-size:1.25rem;line-height:1.5;max-width:44em;text-wrap:pretty}
        .tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(178px,1fr));gap:12px;margin-top:30px}
        .tiles>div{background:var(--surface);border:1px solid var(--line);border-radius:12px;padding:15px 18px 16px}
        .tiles dt{font-size:.8125rem;color:var(--muted)}
        .tiles .figure{font-size:1.75rem;line-height:1.25;font-weight:600;letter-spacing:-.015em;margin-top:3px}
        .tiles .words{font-size:1.25rem;line-height:1.75}
        .tiles .note{margin-top:2px}
        .tiles.small{margin-top:20px}
        .note,.data-note{font-size:.8125rem;line-height:1.5;color:var(--muted)}
        .warning{margin-top:20px;background:var(--warn-soft);border-radius:12px;padding:16px 20px}
        .warning h2{font-size:.9375rem;margin:0;color:var(--warn)}
        .warning ul{margin-top:6px;padding-left:1.15em;font-size:.9375rem}
        nav{display:flex;flex-wrap:wrap;gap:6px 20px;margin-top:30px;padding:13px 0;border-top:1px solid var(--line);\
        border-bottom:1px solid var(--line);font-size:.875rem}
        nav a{color:var(--muted);text-decoration:none}
        nav a:hover,nav a:focus-visible{color:var(--accent);text-decoration:underline;text-underline-offset:3px}
        section{padding-top:48px}
        h2{font-size:1.375rem;line-height:1.3;font-weight:640;letter-spacing:-.012em;margin-bottom:16px}
        h3{font-size:.9375rem;line-height:1.4;font-weight:620}
        .why{max-width:46em;margin-bottom:22px;padding-left:16px;border-left:3px solid var(--accent);text-wrap:pretty}
        .grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:16px;align-items:start}
        .grid>figure:only-child{max-width:640px}
        .wide{display:grid;gap:16px}.wide>.panel{max-width:640px;width:100%}
        figure,.panel{background:var(--surface);border:1px solid var(--line);border-radius:12px;padding:18px 20px 20px;min-width:0}
        figcaption{margin-bottom:14px}
        figure .note{margin-top:12px}
        figure .chart{margin:0 auto}
        .panel h3{margin-bottom:10px}
        .panel .scroll{background:none;border:0;border-radius:0;margin:0 -20px -12px;padding:0}
        .grid+.scroll,.why+.scroll{margin-top:16px}
        .scroll{overflow-x:auto}
        section>.scroll,details>.scroll{background:var(--surface);border:1px solid var(--line);border-radius:12px;padding:4px 0}
        table{border-collapse:collapse;width:100%;font-size:.9rem;line-height:1.4}
        th,td{padding:10px 12px;text-align:left;vertical-align:top}
        th:first-child,td:first-child{padding-left:20px}th:last-child,td:last-child{padding-right:20px}
        thead th{font-size:.78rem;font-weight:500;color:var(--muted);vertical-align:bottom}
        tbody tr{border-top:1px solid var(--line)}
        tbody th{font-weight:550}
        .n{text-align:right;white-space:nowrap}
        thead .n{white-space:normal}
        td small,th small{display:block;font-size:.775rem;font-weight:400;color:var(--muted)}
        .none{color:var(--faint)}
        tr.chosen{background:var(--accent-soft)}
        .reason{max-width:24em;white-space:normal}
        .badge{display:inline-block;margin-left:4px;padding:1px 8px;border-radius:99px;font-size:.72rem;font-weight:600;\
        line-height:1.6;background:var(--soft);color:var(--muted);vertical-align:1px;white-space:nowrap}
        .badge.chosen{background:var(--accent);color:var(--surface)}
        .badge.failed{background:var(--bad-soft);color:var(--bad)}
        .badge.right{background:var(--accent-soft);color:var(--accent)}
        section>.narrow{max-width:640px}
        .scroll+.note{margin-top:12px;max-width:52em}
        .meter span{display:inline-block;width:132px;position:relative}
        .meter span::before,.meter span::after{content:"";position:absolute;left:0;top:50%;width:78px;height:6px;margin-top:-3px;\
        border-radius:3px;background:var(--soft)}
        .meter span::after{background:var(--c1);clip-path:inset(0 calc(100% - var(--share)) 0 0 round 3px)}
        .arrow{color:var(--faint)}
        details{margin-top:14px}
        summary{cursor:pointer;font-size:.9rem;font-weight:550;color:var(--accent);padding:4px 0}
        details[open]>summary{margin-bottom:8px}
        .facts{font-size:.9rem}
        .facts>div{display:grid;grid-template-columns:minmax(110px,32%) 1fr;gap:16px;padding:8px 0;border-top:1px solid var(--line)}
        .facts>div:first-child{border-top:0}
        .facts dt{color:var(--muted)}
        .facts dd{min-width:0;overflow-wrap:anywhere}
        section>.facts{max-width:760px;background:var(--surface);border:1px solid var(--line);border-radius:12px;padding:8px 20px}
        .splits{display:flex;gap:3px;height:10px;margin:4px 0 10px}
        .part{display:block;width:var(--share);min-width:4px;border-radius:3px}
        .part1{background:var(--c1)}.part2{background:var(--c6)}.part3{background:var(--c2)}.part4{background:var(--c8)}
        .legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:.875rem;color:var(--muted);margin-bottom:8px}
        .legend i{display:inline-block;width:9px;height:9px;border-radius:3px;margin-right:7px}
        .legend b{font-weight:550;color:var(--ink)}
        .data-note{margin:-8px 0 14px}
        .examples{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr));gap:12px}
        .example{background:var(--surface);border:1px solid var(--line);border-radius:12px;padding:15px 18px;display:flex;\
        flex-direction:column;justify-content:space-between;gap:12px;min-width:0}
        .example blockquote,.example dd{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.9375rem;line-height:1.5}
        .example p{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.8125rem;color:var(--muted)}
        .example i{font-style:normal}
        .example bdi{font-weight:600}
        .wanted bdi{color:var(--c1)}.got bdi{color:var(--c2)}
        .example dt{font-size:.775rem;color:var(--muted);margin-top:10px}
        .example dt:first-child{margin-top:0}
        .example dd.output{font-weight:500}
        .commands{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:16px}
        .command{min-width:0}
        .command p{font-size:.9rem;color:var(--muted);margin-bottom:5px}
        pre{background:var(--surface);border:1px solid var(--line);border-radius:10px;padding:12px 16px;overflow-x:auto;\
        font:.84rem/1.55 ui-monospace,SFMono-Regular,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
        code{font:inherit}
        footer{padding-top:44px;padding-bottom:56px;font-size:.8125rem;color:var(--muted)}
        @media (max-width:640px){
        main,footer{padding-left:16px;padding-right:16px}
        header{padding-top:30px}h1{font-size:1.625rem}.verdict{font-size:1.0625rem}
        section{padding-top:38px}h2{font-size:1.2rem;margin-bottom:12px}
        figure,.panel{padding:15px 14px 16px}.panel .scroll{margin:0 -14px -10px}
        .tiles{grid-template-columns:repeat(auto-fill,minmax(140px,1fr));gap:8px;margin-top:22px}
        .tiles>div{padding:11px 13px 12px}.tiles .figure{font-size:1.375rem}.tiles .words{font-size:1.0625rem}
        .cards thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
        .cards,.cards tbody,.cards tr,.cards th,.cards td{display:block}
        .cards tr{padding:12px 16px}.cards tbody tr:first-child{border-top:0}
        .cards th,.cards td,.cards th:first-child,.cards td:last-child{padding:3px 0}
        .cards td{display:flex;justify-content:space-between;gap:16px}
        .cards td::before{content:attr(data-name);color:var(--muted);font-size:.8125rem}
        .cards td:has(.none){display:none}
        .chart{font-size:14px}.chart .s{font-size:12px}.scroll>.chart{font-size:12.5px}.scroll>.chart .s{font-size:10.5px}
        .cards td small{display:inline;margin-left:8px}
        th,td{padding:9px 8px}th:first-child,td:first-child{padding-left:14px}th:last-child,td:last-child{padding-right:14px}
        .meter span{width:48px}.meter span::before,.meter span::after{display:none}
        }
        @media print{
        :root{--page:#fff;--line:#cfd5da}body{font-size:10.5pt}main,footer{max-width:none;padding:0}header{padding-top:0}
        nav{display:none}section{padding-top:22pt}figure,.panel,.example,tr,.tiles>div{break-inside:avoid}h2,h3{break-after:avoid}
        *{-webkit-print-color-adjust:exact;print-color-adjust:exact}
        .grid{grid-template-columns:1fr 1fr}.scroll{overflow:visible}
        table{font-size:8pt}th,td{padding:4pt 4pt}thead th,td small,th small{font-size:7pt}.badge{font-size:6.5pt}
        }
        """
}
