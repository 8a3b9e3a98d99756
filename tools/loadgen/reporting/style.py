"""The looks of a page, and its one script. Neither names anything outside the page.

The eight colours of the lines are told apart in both themes, and stand out from the ground there by 3 to 1 or more
(WCAG 2.2, 1.4.11); texts by 4.5 to 1. A test counts that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LIGHT: Final[Mapping[str, str]] = {
    "ground": "#ffffff", "raised": "#f5f6f8", "ink": "#1b1f24", "muted": "#59636e", "rule": "#dfe3e8", "grid": "#e9ecf0", "shade": "#b9c1ca",
    "good": "#1a7f37", "bad": "#c2271d", "warn": "#8f5a00",
    "c1": "#1f6fd1", "c2": "#cf4f14", "c3": "#15825a", "c4": "#8b4fc6", "c5": "#c13584", "c6": "#0b8591", "c7": "#94660a", "c8": "#667080",
}  # fmt: skip
DARK: Final[Mapping[str, str]] = {
    "ground": "#14171b", "raised": "#1c2026", "ink": "#e8ebef", "muted": "#a3adb8", "rule": "#343b45", "grid": "#272d35", "shade": "#4a535f",
    "good": "#56c271", "bad": "#ff7b70", "warn": "#e0ad4b",
    "c1": "#6cabff", "c2": "#ff9a61", "c3": "#52ca94", "c4": "#bf97f7", "c5": "#f58ac0", "c6": "#4cc9d4", "c7": "#dcb552", "c8": "#9aa5b2",
}  # fmt: skip


def _variables(colours: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


STYLE: Final = (
    f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
    f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n"
    """
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif }
main { max-width: 1240px; margin: 0 auto; padding: 28px 24px 60px }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px }
h2 { font-size: 20px; line-height: 1.3; margin: 0 0 4px }
section { border-top: 1px solid var(--rule); margin-top: 32px; padding-top: 24px }
p { margin: 0 0 10px; max-width: 80ch }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; padding: 0; margin: 12px 0 0 }
a { color: var(--c1) }
.lead, .fine, .says, caption { color: var(--muted) }
.key { display: flex; flex-wrap: wrap; gap: 10px; margin: 14px 0; padding: 0; list-style: none }
.key li { background: var(--raised); border: 1px solid var(--rule); border-radius: 6px; padding: 8px 14px; min-width: 108px }
.key b { display: block; font-size: 19px; font-variant-numeric: tabular-nums; white-space: nowrap }
.key span { color: var(--muted); font-size: 13px }
.notice { border-left: 4px solid var(--edge); background: var(--raised); padding: 8px 14px; margin: 10px 0; max-width: none; overflow-wrap: anywhere }
.good { --edge: var(--good) } .bad { --edge: var(--bad) } .warn { --edge: var(--warn) }
.notice b { color: var(--edge) }
.tables { display: flex; flex-wrap: wrap; gap: 8px 40px; align-items: flex-start }
/* a shadow where a table goes on: the first two lie over it at the ends */
.table { overflow-x: auto; max-width: 100%; background:
  linear-gradient(90deg, var(--ground) 40%, transparent) left / 36px 100% no-repeat local,
  linear-gradient(270deg, var(--ground) 40%, transparent) right / 36px 100% no-repeat local,
  linear-gradient(90deg, var(--shade), transparent) left / 14px 100% no-repeat scroll,
  linear-gradient(270deg, var(--shade), transparent) right / 14px 100% no-repeat scroll }
table { border-collapse: collapse; margin: 10px 0; font-size: 14px; font-variant-numeric: tabular-nums }
caption { text-align: left; padding-bottom: 4px; font-size: 13px }
th, td { padding: 4px 12px; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap }
th { font-weight: 600; color: var(--muted) }
tbody th { color: var(--ink); font-weight: 500 }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
th.words { text-align: left }
td.words { text-align: left; white-space: normal; overflow-wrap: break-word; max-width: 60ch }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 26px 32px; margin: 18px 0 }
figure { margin: 0; position: relative; min-width: 0; max-width: 680px }
figcaption { font-weight: 600; margin-bottom: 2px }
figure .says { font-size: 13px; margin: 4px 0 0 }
.legend { display: flex; flex-wrap: wrap; gap: 0 16px; list-style: none; margin: 0 0 4px; padding: 0; font-size: 13px }
.legend li::before { content: ""; display: inline-block; width: 20px; margin-right: 6px; vertical-align: middle; border-top: 3px solid var(--c) }
.legend li.dashed::before { border-top-style: dashed }
.legend li.filled::before { width: 11px; height: 11px; background: var(--c); border: 0 }
svg { display: block; width: 100%; height: auto; overflow: visible; font-size: 11.5px; font-variant-numeric: tabular-nums }
svg text { fill: var(--ink) }
svg .name { fill: var(--muted) }
svg .event { stroke: var(--muted); stroke-dasharray: 3 3; fill: none }
svg text.event { stroke: var(--ground); stroke-width: 3px; stroke-dasharray: none; paint-order: stroke; fill: var(--ink) }
svg .grid { stroke: var(--grid); fill: none }
svg .axis, svg .pointer { stroke: var(--muted); fill: none }
svg .line { stroke: var(--c); stroke-width: 2; stroke-linejoin: round; fill: none }
svg .dashed { stroke-dasharray: 6 4 }
svg .point, svg .bar { fill: var(--c) }
.readout { position: absolute; pointer-events: none; background: var(--raised); border: 1px solid var(--rule); border-radius: 5px; padding: 5px 9px;
  font-size: 12.5px; line-height: 1.45; white-space: nowrap; z-index: 1; box-shadow: 0 2px 8px #0003 }
.readout div::before { content: ""; display: inline-block; width: 9px; height: 9px; margin-right: 6px; background: var(--c) }
.fine { font-size: 13px; margin: 14px 0 0; display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px }
.fine dd { margin: 0; overflow-wrap: anywhere }
@media (max-width: 440px) { figure { overflow-x: auto } svg { min-width: 420px } }
@media print { section { break-inside: avoid-page } }
"""
)

SCRIPT: Final = """
for (const svg of document.querySelectorAll("svg[data-stops]")) {
  const stops = JSON.parse(svg.dataset.stops), figure = svg.parentNode;
  if (!stops.length) continue;
  let line, readout;
  const hide = () => { line?.remove(); readout?.remove(); line = readout = undefined; };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", event => {
    const area = svg.getBoundingClientRect(), size = area.width / svg.viewBox.baseVal.width, at = (event.clientX - area.left) / size;
    const stop = stops.reduce((best, each) => Math.abs(each[0] - at) < Math.abs(best[0] - at) ? each : best);
    if (!line) {
      line = svg.appendChild(document.createElementNS(svg.namespaceURI, "path"));
      line.setAttribute("class", "pointer");
      readout = figure.appendChild(document.createElement("div"));
      readout.className = "readout";
    }
    line.setAttribute("d", `M${stop[0]} ${svg.dataset.top}V${svg.dataset.bottom}`);
    const title = document.createElement("b");
    title.textContent = stop[1];
    readout.replaceChildren(title, ...stop[2].map(([colour, text]) => {
      const row = document.createElement("div");
      row.style.setProperty("--c", `var(--c${colour})`);
      row.textContent = text;
      return row;
    }));
    const left = stop[0] * size, wide = readout.offsetWidth;
    readout.style.left = `${left + wide + 14 > area.width ? Math.max(0, left - wide - 10) : left + 10}px`;
    readout.style.top = `${area.top - figure.getBoundingClientRect().top + 34}px`;
  });
}
"""
