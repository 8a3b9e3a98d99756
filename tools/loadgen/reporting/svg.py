"""Pictures as inline SVG, from plain data: lines on two axes, and bars. They know nothing of caches or results.

A picture is a ``<figure>``: a title, a legend where there is more than one thing to tell apart, and the SVG. Colours and
fonts come from the page's style by class and variable, so that one picture is read in light and in dark. The picture is
complete as it stands; ``data-stops`` carries the read-outs, already in words, for the page's script to show under the
pointer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Final

from .numbers import SELF_TOLD, axis_texts, told
from .scales import Kind, Scale, scale

WIDTH: Final = 560
_HEIGHT: Final = 302
_RIGHT: Final = 18
_BOTTOM: Final = 42
_TOP: Final = 26
_ROW: Final = 14  # of the texts over the events
_CHARACTER: Final = 6.4  # the mean width of one at the pictures' 11.5 px; there are no font metrics here
_COLOURS: Final = 8
_POINTS_MAX: Final = 800  # more than there are pixels for
_MARKED_MAX: Final = 14  # so few points are drawn as points, too: they were measured, what lies between was not
_LABEL_MAX: Final = 26  # characters


@dataclass(frozen=True, slots=True)
class Series:
    """One line: (x, y) with x ascending; a y of None is a gap."""

    label: str
    points: Sequence[tuple[float, float | None]]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """What it shows, in which unit (see `numbers`), how, and its ends where those of the data are not wanted."""

    label: str
    unit: str = ""
    kind: Kind = "linear"
    low: float | None = None
    high: float | None = None

    @property
    def told(self) -> str:
        """The label, with the unit where the numbers do not name it themselves."""
        return self.label if self.unit in SELF_TOLD else f"{self.label}, {self.unit}"


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at one x."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bars:
    """One bar for each row of the picture; None where there is none."""

    label: str
    values: Sequence[float | None]


def lines(title: str, series: Sequence[Series], *, x: Axis, y: Axis, marks: Sequence[Mark] = (), says: str = "") -> str:
    """A picture of ``series``; ``says`` is a sentence under it. Long lines are thinned, their peaks kept."""
    thin = [Series(each.label, thinned(each.points), each.dashed) for each in series]
    xs = [point[0] for each in thin for point in each.points] + [mark.at for mark in marks if x.kind == "linear"]
    ys = [point[1] for each in thin for point in each.points if point[1] is not None]
    across = scale(x.kind, xs, low=x.low, high=x.high, ticks=7, fit=True, binary=x.unit == "bytes")
    up = scale(y.kind, ys, low=y.low, high=y.high, binary=y.unit == "bytes")
    y_texts = axis_texts(up.ticks, y.unit, log=up.kind == "log")
    left = 12 + max((len(text) for text in y_texts), default=1) * _CHARACTER
    placed, rows = _rows_of(marks, across, left)
    top = _TOP + rows * _ROW
    frame = _Frame(left, top, WIDTH - _RIGHT, top + _HEIGHT - _TOP - _BOTTOM, across, up)
    body = [_grid(frame, x, y, y_texts), *(_mark(frame, mark, row) for mark, row in placed)]
    body += [_line(frame, each, index) for index, each in enumerate(thin)]
    if not ys:
        body.append(_text((left + WIDTH) / 2, (frame.top + frame.bottom) / 2, "nothing was measured", anchor="middle"))
    stops = json.dumps(_stops(frame, thin, x, y), ensure_ascii=False, separators=(",", ":"))
    attributes = f' data-top="{top}" data-bottom="{_n(frame.bottom)}" data-stops="{escape(stops)}"'
    legend = _legend([(each.label, each.dashed) for each in thin])
    return _figure(title, legend, _svg(title, frame.bottom + _BOTTOM, body, attributes), says)


def bars(
    title: str,
    rows: Sequence[str],
    series: Sequence[Bars],
    *,
    unit: str = "",
    kind: Kind = "linear",
    stacked: bool = False,
    says: str = "",
) -> str:
    """A row of bars for each of ``rows``, one for each of ``series`` beside or (``stacked``) after one another.

    Each bar has its number at its end. On a log scale the lengths tell orders of magnitude only; never stack there.
    """
    labels = [_shortened(row) for row in rows]
    left = 12 + max((len(label) for label in labels), default=1) * _CHARACTER
    lengths = (
        _totals(rows, series) if stacked else [value for each in series for value in each.values if value is not None]
    )
    texts = [told(length, unit) for length in lengths]
    right = WIDTH - 12 - max((len(text) for text in texts), default=1) * _CHARACTER
    along = scale(kind, lengths, fit=kind == "linear", low=0.0 if kind == "linear" else None)
    thick = 16 if stacked or len(series) == 1 else 12
    high = thick if stacked else thick * len(series)
    body: list[str] = []
    top = 8.0
    for index, row in enumerate(rows):
        body.append(_text(left - 8, top + high / 2 + 4, labels[index], anchor="end", whole=row))
        begin = left
        for number, each in enumerate(series):
            value = each.values[index]
            at = top if stacked else top + thick * number
            if value is not None:
                length = along.at(value) * (right - left)
                whole = f"{row}, {each.label}: {told(value, unit)}"
                body.append(_bar(begin, at, length, thick, number, whole))
                begin += length if stacked else 0
            if not stacked:
                end = left if value is None else left + along.at(value) * (right - left)
                body.append(_text(end + 6, at + thick / 2 + 4, told(value, unit)))
        if stacked:
            body.append(_text(begin + 6, top + high / 2 + 4, texts[index]))
        top += high + 12
    body.append(f'<path class="axis" d="M{_n(left)} 2V{_n(top - 4)}"/>')
    legend = _legend([(each.label, False) for each in series], filled=True)
    return _figure(title, legend, _svg(title, top, body), says)


def thinned(points: Sequence[tuple[float, float | None]], most: int = _POINTS_MAX) -> list[tuple[float, float | None]]:
    """At most about so many points: of each stretch the lowest and the highest, so that no peak is lost."""
    if len(points) <= most:
        return list(points)
    kept: list[tuple[float, float | None]] = []
    stretch = -(-len(points) * 2 // most)
    for begin in range(0, len(points), stretch):
        part = points[begin : begin + stretch]
        known = [(y, index) for index, (_, y) in enumerate(part) if y is not None]
        if known:
            kept += [part[index] for index in sorted({min(known)[1], max(known)[1]})]
        else:
            kept.append(part[0])
    return kept


@dataclass(frozen=True, slots=True)
class _Frame:
    """The rectangle that the lines are drawn in, and its scales."""

    left: float
    top: float
    right: float
    bottom: float
    across: Scale
    up: Scale

    def x(self, value: float) -> float:
        return self.left + self.across.at(value) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - self.up.at(value) * (self.bottom - self.top)


def _grid(frame: _Frame, x: Axis, y: Axis, y_texts: Sequence[str]) -> str:
    parts: list[str] = []
    for value, text in zip(frame.up.ticks, y_texts, strict=True):
        at = frame.y(value)
        parts.append(f'<path class="grid" d="M{_n(frame.left)} {_n(at)}H{_n(frame.right)}"/>')
        parts.append(_text(frame.left - 6, at + 4, text, anchor="end"))
    free = 0.0
    x_texts = axis_texts(frame.across.ticks, x.unit, log=frame.across.kind == "log")
    for value, text in zip(frame.across.ticks, x_texts, strict=True):
        at, half = frame.x(value), len(text) * _CHARACTER / 2
        parts.append(f'<path class="grid" d="M{_n(at)} {_n(frame.top)}V{_n(frame.bottom)}"/>')
        begin = min(at - half, WIDTH - 2 * half)  # the last one must not run over the edge
        if begin >= free:
            parts.append(_text(begin + half, frame.bottom + 18, text, anchor="middle"))
            free = begin + 2 * half + 8
    parts.append(f'<path class="axis" d="M{_n(frame.left)} {_n(frame.top)}V{_n(frame.bottom)}H{_n(frame.right)}"/>')
    parts.append(_text(4, 12, y.told, kind="name"))
    parts.append(_text(frame.right, frame.bottom + 35, x.told, anchor="end", kind="name"))
    return "".join(parts)


def _rows_of(marks: Sequence[Mark], across: Scale, left: float) -> tuple[list[tuple[Mark, int]], int]:
    """Each mark with the row its text stands in, so that no two texts overlap; and how many rows that takes."""
    free: list[float] = []
    placed: list[tuple[Mark, int]] = []
    for mark in sorted(marks, key=lambda mark: mark.at):
        at = left + across.at(mark.at) * (WIDTH - _RIGHT - left)
        begin = _mark_begin(at, _shortened(mark.label))
        row = next((row for row, end in enumerate(free) if end <= begin), len(free))
        free[row : row + 1] = [begin + len(_shortened(mark.label)) * _CHARACTER + 8]
        placed.append((mark, row))
    return placed, len(free)


def _mark_begin(at: float, label: str) -> float:
    return max(0.0, min(at + 4, WIDTH - len(label) * _CHARACTER))


def _mark(frame: _Frame, mark: Mark, row: int) -> str:
    at, label, over = frame.x(mark.at), _shortened(mark.label), _TOP + row * _ROW
    text = _text(_mark_begin(at, label), over, label, kind="event", whole=mark.label)
    return f'<path class="event" d="M{_n(at)} {_n(over - 9)}V{_n(frame.bottom)}"/>{text}'


def _line(frame: _Frame, series: Series, index: int) -> str:
    """The strokes between gaps; a point that stands alone, or is one of few, is drawn as a point."""
    style = f'style="--c:var(--c{index % _COLOURS + 1})"'
    dashed = " dashed" if series.dashed or index >= _COLOURS else ""
    few = len(series.points) <= _MARKED_MAX
    parts: list[str] = []
    for known, stroke in groupby(series.points, key=lambda point: point[1] is not None):
        if not known:
            continue
        places = [(_n(frame.x(x)), _n(frame.y(y))) for x, y in stroke if y is not None]
        if len(places) > 1:
            parts.append(f'<polyline class="line{dashed}" points="{" ".join(",".join(place) for place in places)}"/>')
        if few or len(places) == 1:
            parts += [f'<circle class="point" cx="{x}" cy="{y}" r="2.8"/>' for x, y in places]
    return f"<g {style}><title>{escape(series.label)}</title>{''.join(parts)}</g>"


def _bar(left: float, top: float, length: float, thick: float, index: int, whole: str) -> str:
    return (
        f'<rect class="bar" style="--c:var(--c{index % _COLOURS + 1})" x="{_n(left)}" y="{_n(top)}" width="{_n(length)}"'
        f' height="{_n(thick - 2)}"><title>{escape(whole)}</title></rect>'
    )


def _stops(frame: _Frame, series: Sequence[Series], x: Axis, y: Axis) -> list[list[object]]:
    """For each x that anything was measured at: where it is, what it is, and [colour, text] of each line there."""
    at: dict[float, list[list[object]]] = {}
    for index, each in enumerate(series):
        for where, value in each.points:
            if value is not None:
                at.setdefault(where, []).append([index % _COLOURS + 1, f"{each.label}: {told(value, y.unit)}"])
    return [[round(frame.x(where), 1), f"{x.label}: {told(where, x.unit)}", at[where]] for where in sorted(at)]


def _totals(rows: Sequence[str], series: Iterable[Bars]) -> list[float]:
    kept = list(series)
    return [sum(each.values[index] or 0.0 for each in kept) for index in range(len(rows))]


def _legend(entries: Sequence[tuple[str, bool]], *, filled: bool = False) -> str:
    if len(entries) < 2:
        return ""
    items = (
        f'<li style="--c:var(--c{index % _COLOURS + 1})" class="{"filled" if filled else "dashed" if dashed or index >= _COLOURS else "solid"}">'
        f"{escape(label)}</li>"
        for index, (label, dashed) in enumerate(entries)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _figure(title: str, legend: str, svg: str, says: str) -> str:
    under = f'<p class="says">{escape(says)}</p>' if says else ""
    return f"<figure><figcaption>{escape(title)}</figcaption>{legend}{svg}{under}</figure>"


def _svg(title: str, height: float, body: Iterable[str], attributes: str = "") -> str:
    return f'<svg viewBox="0 0 {WIDTH} {_n(height)}" role="img" aria-label="{escape(title)}"{attributes}>{"".join(body)}</svg>'


def _text(x: float, y: float, text: str, *, anchor: str = "", kind: str = "", whole: str = "") -> str:
    """``whole``: shown under the pointer where ``text`` had to be cut."""
    attributes = (f' text-anchor="{anchor}"' if anchor else "") + (f' class="{kind}"' if kind else "")
    more = f"<title>{escape(whole)}</title>" if whole and whole != text else ""
    return f'<text x="{_n(x)}" y="{_n(y)}"{attributes}>{escape(text)}{more}</text>'


def _shortened(text: str) -> str:
    return text if len(text) <= _LABEL_MAX else f"{text[: _LABEL_MAX - 1]}…"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
