"""The page is one file that needs nothing, and shows a run's figures and whether they count."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from result_samples import HOSTILE, eventful, kept, measured
from zmcache_loadgen.cli import main
from zmcache_loadgen.reporting import Notice, Section, Table, page
from zmcache_loadgen.reporting.style import DARK, LIGHT


class Seen(HTMLParser):
    """Tags with their attributes, and the texts outside style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self._open[-1:] not in (["style"], ["script"]):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("\n".join(self.texts).split())


def reported(folder: Path, *paths: Path, title: str = "What was measured") -> str:
    output = folder / "out.html"
    done = CliRunner().invoke(main, ["report", *map(str, paths), "-o", str(output), "--title", title])
    assert done.exit_code == 0, done.output
    return output.read_text(encoding="utf-8")


def test_the_page_fetches_nothing(tmp_path: Path) -> None:
    html = reported(tmp_path, kept(tmp_path, "a", eventful()), kept(tmp_path, "b", measured(), measured(rate=2000.0)))
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert "url(" not in html
    seen = Seen(html)
    for tag, attributes in seen.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form", "use", "image"), tag
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(each["content"] for tag, each in seen.tags if tag == "meta" and "http-equiv" in each)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_hostile_names_become_text_and_no_more(tmp_path: Path) -> None:
    seen = Seen(reported(tmp_path, kept(tmp_path, "a", eventful()), title=HOSTILE))
    assert sum(tag == "script" for tag, _ in seen.tags) == 1  # the page's own
    assert HOSTILE in seen.texts  # the heading
    assert f"stale: {HOSTILE}" in seen.text


def test_the_page_shows_the_figures_of_the_run(tmp_path: Path) -> None:
    result = measured()
    result["latency_us"]["all"]["p99"] = 4321.0
    result["hit_ratio"] = 0.8771
    text = Seen(reported(tmp_path, kept(tmp_path, "mine", result))).text
    for figure in ("mine", "Closed loop, 4 callers, on dict", "4.32 ms", "87.7 %", "600 requests in"):
        assert figure in text


def test_the_page_of_an_open_loop_names_its_times_and_what_was_skipped(tmp_path: Path) -> None:
    text = Seen(reported(tmp_path, kept(tmp_path, "a", measured(rate=2000.0)))).text
    for words in ("Open loop, 2,000 requests/s, poisson arrivals", "response time", "service time", "skipped"):
        assert words in text


def test_a_run_that_does_not_count_says_so_before_its_figures(tmp_path: Path) -> None:
    text = Seen(reported(tmp_path, kept(tmp_path, "a", eventful()))).text
    figures = text.index("requests a second")
    for words in ("Partial.", "Not valid.", "Skipped.", "Errors.", "Bad values.", "Expectations not met:"):
        assert text.index(words) < figures, words
    assert "2 stale" in text
    assert "17 arrivals were not sent" in text
    assert "at least 70 keys loaded by the nodes" in text


def test_events_are_told_in_the_order_of_their_time(tmp_path: Path) -> None:
    text = Seen(reported(tmp_path, kept(tmp_path, "a", eventful()))).text
    begins = [text.index(words) for words in ("3.0 s kill", "6.1 s start node-2", "6.3 s pause node-3 failed")]
    assert begins == sorted(begins)


def test_a_run_that_counts_says_that_too(tmp_path: Path) -> None:
    result = measured(verify=True) | {"valid": True, "bottlenecks": []}
    result["expectations"] = [{"text": "errors==0", "value": 0, "holds": True, "why": ""}]
    text = Seen(reported(tmp_path, kept(tmp_path, "a", result))).text
    for words in (
        "Valid. The generator was not seen to be the bottleneck",
        "Verified.",
        "All expectations met: errors==0",
    ):
        assert words in text


def test_several_runs_stand_side_by_side_each_under_a_name_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    paths = [kept(tmp_path, "a", measured(), measured()), kept(tmp_path / "old", "a", measured(rate=2000.0))]
    seen = Seen(reported(tmp_path, *paths, paths[1]))
    headings = re.findall(r"<h2>(.*?)</h2>", reported(tmp_path, *paths, paths[1]))
    assert headings == [
        "Side by side",
        f"{paths[0]}, run 1 of 2",
        f"{paths[0]}, run 2 of 2",
        str(paths[1]),
        f"{paths[1]} again",
    ]
    assert "Open and closed loops stand beside each other here" in seen.text


def test_a_page_that_is_made_by_hand_has_all_its_parts() -> None:
    section = Section(
        title="hit-rate",
        says="It says <this>.",
        notices=[Notice("warn", "Mind:", "that")],
        key=[("ratio", "93 %")],
        tables=[Table(("", "x"), [("row", "7")], "about it")],
        fine_print=[("again", "make it")],
    )
    text = Seen(page("All", [section, section], says="Twice.")).text
    assert text.count("It says <this>. Mind: that 93 % ratio about it x row 7 again make it") == 2
    assert text.startswith("All All Twice. hit-rate hit-rate hit-rate")  # title, heading, lead, contents


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_and_texts_stand_out_from_the_ground(theme: dict[str, str]) -> None:
    for ground in ("ground", "raised"):
        for name in ("ink", "muted", "good", "bad", "warn"):
            assert _contrast(theme[name], theme[ground]) >= 4.5, (name, ground)
    assert _contrast(theme["c1"], theme["ground"]) >= 4.5  # links
    for number in range(1, 9):
        assert _contrast(theme[f"c{number}"], theme["ground"]) >= 3, number


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
