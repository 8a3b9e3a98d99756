"""What reads results: pages for people, comparisons, and the files that other tools read.

Nothing here runs anything. What a run was like is read from its JSON, schema 2, and from nowhere else, so that an old
result is shown like a fresh one. From the bottom, imports go down only:

    numbers.py          numbers with their units, as people read them
    scales.py           where a value stands on an axis, and which values are written beside it
    svg.py              pictures: lines and bars, from plain data
    page.py             one HTML file from sections: self-contained, light and dark
    style.py            that file's looks, and the script for read-outs under the pointer
    results.py          the JSON as frozen data; what is not a result is refused in one line
    wording.py          what was run and whether it counts, in words
    pictures.py         the pictures of one run, and of several over one another
    sections.py         the section of one run, and that of several side by side
    comparison.py       one result against another: differences, and whether they are within the spread
    hgrm.py             the text form that HdrHistogram's own tools plot
    report_command.py   ``zmcache-loadgen report``
    compare_command.py  ``zmcache-loadgen compare``

An experiment makes its page with these names::

    picture = lines("Hit ratio by cache size", [Series("Zipf 0.99", points)], x=Axis("cache size", "bytes"), y=Axis("hit ratio", "share"))
    section = Section(title="hit-rate", says="How much ...", tables=[Table(...)], pictures=[picture], fine_print=[("again", command)])
    write_whole(path, page("What the cache is worth", [section]))
"""

from ..files import CannotWrite, write_whole
from .hgrm import write_hgrm
from .page import Notice, Section, Table, page
from .svg import Axis, Bars, Mark, Series, bars, lines

__all__ = [
    "Axis",
    "Bars",
    "CannotWrite",
    "Mark",
    "Notice",
    "Section",
    "Series",
    "Table",
    "bars",
    "lines",
    "page",
    "write_hgrm",
    "write_whole",
]
