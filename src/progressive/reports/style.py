"""The colours and the type of reports: readable on white and on black, and on paper."""

from __future__ import annotations

from typing import Final

__all__ = ["PAGE", "PICTURE"]

_LIGHT: Final = """
--bg:#ffffff;--panel:#f6f8fa;--ink:#1c2430;--muted:#57606a;--line:#d0d7de;--grid:#e7ebef;
--candidate:#bc4c00;--stable:#0969da;--area:#bc4c0026;--limit:#8250df;
--pass:#1a7f37;--no_data:#6e7781;--inconclusive:#9a6700;--missing:#bf3989;--error:#8250df;
--fail:#cf222e;--other:#57606a;--tint:12%
"""
_DARK: Final = """
--bg:#0d1117;--panel:#161b22;--ink:#e6edf3;--muted:#9aa5b1;--line:#3d444d;--grid:#232a33;
--candidate:#ffa657;--stable:#79c0ff;--area:#ffa65730;--limit:#d2a8ff;
--pass:#56d364;--no_data:#9aa5b1;--inconclusive:#e3b341;--missing:#f778ba;--error:#d2a8ff;
--fail:#ff7b72;--other:#9aa5b1;--tint:22%
"""

_THEMES: Final = f"""
.pr{{color-scheme:light dark;{_LIGHT.strip()}}}
@media (prefers-color-scheme:dark){{.pr{{{_DARK.strip()}}}}}
@media print{{.pr{{color-scheme:light;{_LIGHT.strip()}}}}}
"""

_SHAPES: Final = """
.pr text{font:11px/1 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:var(--muted)}
.pr text.name{font-weight:600;fill:var(--ink)}
.pr text.head{font-size:16px;font-weight:700;fill:var(--ink)}
.pr text.why{fill:var(--ink)}
.pr text.weight{fill:var(--candidate);font-weight:600}
.pr text.limit{fill:var(--limit);font-weight:600}
.pr text.flag{font-size:10px;font-weight:700;fill:var(--bg);text-anchor:middle}
.pr .end{text-anchor:end}.pr .middle{text-anchor:middle}
.pr .back{fill:var(--bg)}
.pr .grid{stroke:var(--grid)}.pr .edge{stroke:var(--line)}
.pr .area{fill:var(--area)}.pr .served{stroke:var(--candidate);stroke-width:2}
.pr .asked{stroke:var(--ink);stroke-width:1.25;stroke-dasharray:3 3}
.pr .limitline{stroke:var(--limit);stroke-width:1.5;stroke-dasharray:6 3}
.pr .range{stroke-width:1.5;opacity:.55}
.pr .beside{fill:none;stroke:var(--stable);stroke-width:1.5}
.pr .people{fill:var(--stable)}.pr .tasks{fill:var(--muted)}.pr .trouble{fill:var(--fail)}
"""

_VERDICTS: Final = "\n".join(
    f".pr .{name}{{fill:var(--{name});stroke:var(--{name});color:var(--{name})}}"
    for name in ("pass", "inconclusive", "missing", "error", "fail", "other")
)

PICTURE: Final = f"""{_THEMES}{_SHAPES}{_VERDICTS}
.pr .no_data{{fill:var(--bg);stroke:var(--no_data);stroke-width:1.5;color:var(--no_data)}}
"""
"""For a picture, in a page or on its own."""

PAGE: Final = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);overflow-wrap:anywhere;
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.2rem;margin:2.5rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.75rem 0 .35rem}
p{margin:.5rem 0}
a{color:var(--stable);text-underline-offset:2px}
a:focus-visible,summary:focus-visible{outline:2px solid var(--stable);outline-offset:2px}
.small,figcaption,footer,time,th{color:var(--muted);font-size:.85rem}
.badge{display:inline-block;padding:.1rem .6rem;border-radius:1rem;border:1.5px solid currentColor;
font-weight:700;font-size:.85rem;white-space:nowrap}
.lead{font-size:1.05rem}
nav{margin:1rem 0}nav a{margin-right:1rem;white-space:nowrap}
dl.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.75rem 1.25rem;
margin:1.25rem 0;padding:1rem;background:var(--panel);border-radius:.5rem}
dt{color:var(--muted);font-size:.8rem}dd{margin:0;font-weight:600}
figure{margin:.75rem 0}figure svg{display:block;width:100%}
figcaption{margin-top:.35rem}
table{width:100%;border-collapse:collapse;font-size:.9rem}
caption{text-align:left;color:var(--muted);font-size:.85rem;padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;
border-bottom:1px solid var(--grid)}
th[scope=col]{white-space:nowrap}td.num,th.num{text-align:right;padding-right:2rem}
td.when{width:1%}td time,td.when{white-space:nowrap;font-variant-numeric:tabular-nums}
tr:target,li:target{background:color-mix(in srgb,var(--inconclusive) var(--tint),transparent)}
tr.gap td{color:var(--muted);font-style:italic}
.verdict{font-weight:700;white-space:nowrap;font-size:.85rem}
.id{color:var(--muted);font-size:.8rem}
.since{display:inline-block;color:var(--muted);font-size:.8rem;margin-left:.5rem;min-width:6rem}
dl.facts .wide{grid-column:span 2}
code,pre{font:.85em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{white-space:pre-wrap;background:var(--panel);padding:.6rem;border-radius:.4rem;margin:.4rem 0}
.alert{border-left:4px solid var(--fail);padding:.1rem .9rem;background:var(--panel);margin:1rem 0}
summary{cursor:pointer;color:var(--stable);padding:.25rem 0}
.hidden{position:absolute;width:0;height:0}
footer{margin-top:3rem}
@media (max-width:40rem){
body{font-size:14px}main{padding:1rem .75rem 3rem}h1{font-size:1.35rem}
dl.facts{grid-template-columns:1fr 1fr}.since{display:block;margin:0;min-width:0}
table.stack,table.stack tbody,table.stack tr,table.stack td,table.stack th[scope=row]{display:block}
table.stack thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table.stack tr{padding:.5rem 0;border-bottom:1px solid var(--line)}
table.stack td,table.stack th[scope=row]{border:0;padding:.1rem 0;text-align:left}
table.stack td[data-label]::before{content:attr(data-label) ": ";color:var(--muted)}
}
@media (max-width:24rem){td time,td.when,.verdict{white-space:normal}}
@media print{
body{font-size:10pt}main{max-width:none;padding:0}nav{display:none}
figure,tr,dl{break-inside:avoid}h2,h3{break-after:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
details::details-content{content-visibility:visible;block-size:auto}
}
"""
"""For a page."""
