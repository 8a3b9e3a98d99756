"""One HTML file from sections. It opens from disk, fetches nothing, and is complete without its script.

That it fetches nothing is not a matter of care: its content security policy allows no address at all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from .style import SCRIPT, STYLE

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class Table:
    """Texts, as they are to be shown. The first cell of a row names it; ``words``: the other columns that are no numbers."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    words: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A line that must not be missed: ``word`` in colour, then the text."""

    kind: Literal["good", "bad", "warn"]
    word: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One thing that is shown.

    ``says``: a sentence: what it shows. ``key``: (what, figure) of the few figures to see first. ``pictures``: from
    `svg`. ``fine_print``: (what, text): the command that repeats it, the machine, the versions.
    """

    title: str
    says: str
    notices: Sequence[Notice] = ()
    key: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[str] = ()
    fine_print: Sequence[tuple[str, str]] = ()


def page(title: str, sections: Sequence[Section], *, says: str = "") -> str:
    """The whole file. Every text is escaped, whatever a key, a node or an error was called."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
        f"{_paragraph(says)}{_contents(sections)}"
        f"{''.join(_section(number, section) for number, section in enumerate(sections, 1))}"
        f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _paragraph(text: str) -> str:
    return f'<p class="lead">{escape(text)}</p>\n' if text else ""


def _contents(sections: Sequence[Section]) -> str:
    if len(sections) < 2:
        return ""
    items = (f'<li><a href="#s{number}">{escape(each.title)}</a></li>' for number, each in enumerate(sections, 1))
    return f"<nav><ul>{''.join(items)}</ul></nav>\n"


def _section(number: int, section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", _paragraph(section.says)]
    parts += [
        f'<p class="notice {each.kind}"><b>{escape(each.word)}</b> {escape(each.text)}</p>' for each in section.notices
    ]
    if section.key:
        items = (f"<li><b>{escape(value)}</b><span>{escape(what)}</span></li>" for what, value in section.key)
        parts.append(f'<ul class="key">{"".join(items)}</ul>')
    if section.tables:
        parts.append(f'<div class="tables">{"".join(map(_table, section.tables))}</div>')
    if section.pictures:
        parts.append(f'<div class="pictures">{"".join(section.pictures)}</div>')
    if section.fine_print:
        items = (f"<dt>{escape(what)}</dt><dd>{escape(text)}</dd>" for what, text in section.fine_print)
        parts.append(f'<dl class="fine">{"".join(items)}</dl>')
    return f'<section id="s{number}">\n{"".join(parts)}\n</section>\n'


def _table(table: Table) -> str:
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    heads = "".join(
        f'<th scope="col"{_words(column, table)}>{escape(text)}</th>' for column, text in enumerate(table.headings)
    )
    rows = "".join(
        f"<tr>{''.join(_cell(column, cell, table) for column, cell in enumerate(row))}</tr>" for row in table.rows
    )
    return f'<div class="table"><table>{caption}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(column: int, text: str, table: Table) -> str:
    if column == 0:
        return f'<th scope="row">{escape(text)}</th>'
    return f"<td{_words(column, table)}>{escape(text)}</td>"


def _words(column: int, table: Table) -> str:
    return ' class="words"' if column in table.words else ""
