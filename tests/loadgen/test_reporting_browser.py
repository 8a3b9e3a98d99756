"""The page in a real browser: its script runs, nothing is refused, nothing lies over anything else, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser import opened
from click.testing import CliRunner
from result_samples import HOSTILE, eventful, kept, measured
from zmcache_loadgen.cli import main
from zmcache_loadgen.reporting.style import DARK, LIGHT

pytestmark = pytest.mark.slow

LOOKS = """(() => {
  const pictures = [...document.querySelectorAll("svg")];
  const box = element => element.getBoundingClientRect();
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
  const beyond = [], over = [];
  for (const svg of pictures) {
    const texts = [...svg.querySelectorAll("text")], edge = box(svg.closest("figure"));
    texts.forEach((text, index) => {
      const own = box(text);
      if (own.left < edge.left - 4 || own.right > edge.right + 4) beyond.push(text.textContent);
      for (const other of texts.slice(0, index)) if (meet(own, box(other))) over.push([other.textContent, text.textContent]);
    });
  }
  return {
    pictures: pictures.length,
    empty: pictures.filter(svg => !svg.querySelector("polyline, circle, rect") || box(svg).height < 40).length,
    beyond, over,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    ground: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.querySelector("svg text")).fill,
  };
})()"""

POINTED_AT = """(() => {
  const svg = document.querySelector("svg[data-stops]"), area = svg.getBoundingClientRect();
  const point = share => {
    svg.dispatchEvent(new PointerEvent("pointermove", {clientX: area.left + share * area.width, clientY: area.top + 50}));
    const readout = svg.parentNode.querySelector(".readout"), there = readout.getBoundingClientRect();
    return {text: readout.innerText, left: there.left, right: there.right, edge: svg.parentNode.getBoundingClientRect().right};
  };
  const found = [point(0), point(0.5), point(1)];
  svg.dispatchEvent(new PointerEvent("pointerleave"));
  return {found, after: document.querySelectorAll(".readout, .pointer").length};
})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: one in which all went wrong, and a closed and an open loop."""
    folder = tmp_path_factory.mktemp("page")
    results = [kept(folder, "storm", eventful()), kept(folder, "calm", measured(), measured(rate=2000.0))]
    output = folder / "report.html"
    done = CliRunner().invoke(main, ["report", *map(str, results), "-o", str(output), "--title", HOSTILE])
    assert done.exit_code == 0, done.output
    return output


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"


@pytest.mark.parametrize("width", [1200, 480])
@pytest.mark.parametrize(("dark", "theme"), [(False, LIGHT), (True, DARK)], ids=["light", "dark"])
def test_everything_is_seen_and_nothing_lies_over_anything_else(
    page: Path, width: int, dark: bool, theme: dict[str, str]
) -> None:
    found = opened(page, LOOKS, width=width, dark=dark)
    looks: dict[str, Any] = found.answer
    assert found.console == []
    assert looks["pictures"] == 4 + 6 + 4 + 5  # side by side, all, too short for a rate, no nodes
    assert looks["empty"] == 0
    assert looks["beyond"] == []
    assert looks["over"] == []
    assert looks["wide"] <= 0
    assert (looks["ground"], looks["ink"]) == (rgb(theme["ground"]), rgb(theme["ink"]))


def test_pointing_at_a_line_tells_its_figures_in_words(page: Path) -> None:
    found = opened(page, POINTED_AT)
    assert found.console == []
    for readout in found.answer["found"]:
        assert readout["text"].startswith("percentile")
        assert "storm: " in readout["text"] or "calm, run 1 of 2: " in readout["text"]
        assert readout["right"] <= readout["edge"] + 1
    assert found.answer["after"] == 0


def test_hostile_names_run_nothing(page: Path) -> None:
    found = opened(page, 'document.querySelector("h1").textContent')
    assert (found.answer, found.console) == (HOSTILE, [])


def test_the_page_may_fetch_nothing_even_if_it_wanted_to(page: Path) -> None:
    found = opened(page, '(document.body.append(Object.assign(new Image(), {src: "http://127.0.0.1:9/x"})), 1)')
    assert found.answer == 1
    assert "Content Security Policy" in " ".join(found.console)
