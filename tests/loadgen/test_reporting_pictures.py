"""Pictures are well-formed, show what they were given, and cannot be broken by a name."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest
from result_samples import HOSTILE, eventful, kept, measured
from zmcache_loadgen.reporting import Axis, Bars, Mark, Series, bars, lines
from zmcache_loadgen.reporting.pictures import of_run, overlaid, tail
from zmcache_loadgen.reporting.results import Result, read_results
from zmcache_loadgen.reporting.svg import WIDTH, thinned

TIME = Axis("time", "s", low=0.0)
LATENCY = Axis("latency", "us", "log")


def parsed(picture: str) -> ElementTree.Element:
    """Raises where it is not well-formed XML."""
    return ElementTree.fromstring(picture)


def texts(picture: str) -> list[str]:
    return [each.text or "" for each in parsed(picture).iter("text")]


@pytest.fixture
def stormy(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return read_results(kept(tmp_path_factory.mktemp("stormy"), "stormy", eventful()))[0]


def test_every_picture_of_a_run_is_well_formed_whatever_things_are_called(stormy: Result) -> None:
    pictures = [*of_run(stormy), *overlaid({HOSTILE: stormy, "other": stormy})]
    assert len(pictures) == 10
    for picture in pictures:
        assert not list(parsed(picture).iter("script"))


def test_a_hostile_name_is_shown_as_it_is() -> None:
    picture = lines(HOSTILE, [Series(HOSTILE, [(0, 1.0), (1, 2.0)]), Series("b", [(0, 3.0)])], x=TIME, y=Axis(HOSTILE))
    figure = parsed(picture)
    assert figure.findtext("figcaption") == HOSTILE
    assert [item.text for item in figure.iter("li")] == [HOSTILE, "b"]
    assert HOSTILE in texts(picture)


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    points = [(0, 1.0), (1, 2.0), (2, None), (3, 4.0), (4, 5.0), (5, None), (6, 7.0)]
    figure = parsed(lines("p", [Series("a", points)], x=TIME, y=LATENCY))
    strokes = [each.attrib["points"].split() for each in figure.iter("polyline")]
    assert [len(stroke) for stroke in strokes] == [2, 2]
    assert len(list(figure.iter("circle"))) == 5  # the lone one is seen, too


def test_higher_values_stand_higher_and_later_ones_further_right() -> None:
    figure = parsed(lines("p", [Series("a", [(0, 10.0), (5, 1000.0), (10, 100.0)])], x=TIME, y=LATENCY))
    places = [tuple(map(float, point.split(","))) for point in next(figure.iter("polyline")).attrib["points"].split()]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x0 < x1 < x2 <= WIDTH
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y2 == pytest.approx(y2 - y1, abs=0.2)  # each power of ten has the same room


def test_the_readout_under_the_pointer_tells_every_line_there_in_words() -> None:
    picture = lines("p", [Series("a", [(1, 1500.0)]), Series("b", [(1, None), (2, 20.0)])], x=TIME, y=LATENCY)
    svg = next(parsed(picture).iter("svg"))
    stops = json.loads(svg.attrib["data-stops"])
    assert [(what, here) for _, what, here in stops] == [
        ("time: 1 s", [[1, "a: 1.5 ms"]]),
        ("time: 2 s", [[2, "b: 20 µs"]]),
    ]


def test_the_names_of_events_that_are_close_do_not_lie_over_one_another() -> None:
    marks = [Mark(3.0, "kill node-2"), Mark(3.1, "start node-2"), Mark(3.2, "pause node-1"), Mark(9.0, "resume node-1")]
    picture = lines("p", [Series("a", [(0, 1.0), (10, 2.0)])], x=TIME, y=LATENCY, marks=marks)
    places = [
        (float(each.attrib["y"]), float(each.attrib["x"]), len(each.text or "") * 6.0)
        for each in parsed(picture).iter("text")
        if each.attrib.get("class") == "event"
    ]
    assert len(places) == 4
    for index, (row, left, wide) in enumerate(places):
        for other_row, other_left, other_wide in places[:index]:
            assert row != other_row or left + wide <= other_left or other_left + other_wide <= left
        assert left + wide <= WIDTH


def test_nothing_measured_says_so() -> None:
    assert "nothing was measured" in texts(lines("p", [Series("a", [])], x=TIME, y=LATENCY))
    assert "nothing was measured" in texts(lines("p", [Series("a", [(0, None)])], x=TIME, y=LATENCY))
    parsed(bars("p", [], [Bars("a", [])]))


def test_each_bar_has_its_number_beside_it() -> None:
    picture = bars("p", ["x", "y"], [Bars("a", [1000, 250]), Bars("b", [None, 0])], unit="us")
    assert texts(picture) == ["x", "1 ms", "-", "y", "250 µs", "0 µs"]
    widths = [float(each.attrib["width"]) for each in parsed(picture).iter("rect")]
    assert widths[1] == pytest.approx(widths[0] / 4, abs=0.1)
    assert widths[2] == 0


def test_stacked_bars_follow_one_another_and_tell_their_sum() -> None:
    picture = bars("p", ["x"], [Bars("a", [3]), Bars("b", [1])], stacked=True)
    first, second = parsed(picture).iter("rect")
    assert float(second.attrib["x"]) == pytest.approx(float(first.attrib["x"]) + float(first.attrib["width"]), abs=0.1)
    assert texts(picture) == ["x", "4"]


def test_a_long_name_is_cut_and_can_be_read_whole_under_the_pointer() -> None:
    name = "a node with a name that is much longer than there is room"
    picture = bars("p", [name], [Bars("a", [1])])
    assert texts(picture)[0].endswith("…")
    assert name in [each.text for each in parsed(picture).iter("title")]


def test_a_long_line_is_thinned_and_keeps_its_peaks_and_gaps() -> None:
    points: list[tuple[float, float | None]] = [(float(at), 10.0) for at in range(10_000)]
    points[4321] = (4321.0, 999.0)
    points[7777] = (7777.0, 0.5)
    points[5000:5200] = [(float(at), None) for at in range(5000, 5200)]
    kept_points = thinned(points)
    assert len(kept_points) <= 800
    assert {(4321.0, 999.0), (7777.0, 0.5)} <= set(kept_points)
    assert any(value is None for _, value in kept_points)
    assert [at for at, _ in kept_points] == sorted(at for at, _ in kept_points)


def test_the_tail_gives_each_nine_the_same_room_and_ends_with_the_longest() -> None:
    assert tail([(0, 1.0), (90, 2.0), (99, 3.0), (100, 9.0)], 500) == [
        (1.0, 1.0),
        (pytest.approx(10.0), 2.0),
        (pytest.approx(100.0), 3.0),
        (500.0, 9.0),
    ]


def test_an_open_loop_shows_response_and_service_time_apart_and_a_closed_one_says_what_it_hides(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("loops")
    opened = read_results(kept(folder, "open", measured(rate=2000.0)))[0]
    closed = read_results(kept(folder, "closed", measured()))[0]
    legend = [item.text or "" for item in parsed(of_run(opened)[0]).iter("li")]
    assert legend[:2] == ["response time, from the intended start", "service time, from the actual start"]
    assert "waiting that a stall would cause is not in these figures" in of_run(closed)[0]


def test_no_percentile_is_drawn_that_there_are_no_samples_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    opened = read_results(kept(tmp_path_factory.mktemp("few"), "few", measured(rate=2000.0)))[0]  # of 600 requests
    assert opened.percentiles.service
    for points, latency in (
        (opened.percentiles.all, opened.latency_us.all),
        (opened.percentiles.service, opened.latency_us.all),
    ):
        *inner, (last, longest) = points
        assert (last, longest) == (100.0, points[-1][1])
        assert all((100.0 - percentile) / 100.0 * latency.count >= 1 for percentile, _ in inner)


def test_events_are_marked_where_they_happened_and_before_what_they_caused(stormy: Result) -> None:
    over_time = of_run(stormy)[1]
    marks = {
        each.text: float(re.match(r"M([\d.]+)", line.attrib["d"])[1])  # type: ignore[index]
        for line, each in zip(
            [each for each in parsed(over_time).iter("path") if each.attrib.get("class") == "event"],
            [each for each in parsed(over_time).iter("text") if each.attrib.get("class") == "event"],
            strict=True,
        )
    }
    assert "pause node-3 (failed)" in marks
    stops = json.loads(next(parsed(over_time).iter("svg")).attrib["data-stops"])
    sixth = next(where for where, what, _ in stops if what.endswith(": 6.5 s"))
    assert marks["start node-2"] < sixth
