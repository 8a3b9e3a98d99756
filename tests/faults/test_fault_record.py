"""What is written down is what is read back, and values tell whose they are."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from faults.backend import read_loads
from faults.cluster import _tracebacks
from faults.marks import Marker, read_mark
from faults.record import ABSENT, ALIEN, GET, OK, TORN, Load, Op, Stream, read_ops

OPERATION = Op(1, GET, "k", 1.5, 1.6, 2.0, OK, 1 << 60, "")


def test_operations_are_read_back_in_order_and_a_half_written_one_is_none(tmp_path: Path) -> None:
    stream = Stream(tmp_path / "ops-1", most=2)
    later = OPERATION._replace(began_s=2.0)
    for op in (later, OPERATION):
        assert not stream.full
        stream.add(op)
    assert stream.full
    stream.close()
    (tmp_path / "ops-2").write_bytes((tmp_path / "ops-1").read_bytes()[:-3])
    assert read_ops([tmp_path / "ops-1"]) == [OPERATION, later]
    assert read_ops([tmp_path / "ops-2"]) == [later]


def test_loads_are_read_back_and_one_that_a_killed_node_had_begun_never_ended(tmp_path: Path) -> None:
    (tmp_path / "loads-a-7").write_text("began 5 1.0 x\nbegan 6 1.0 y\nended 5 1.5 x\nended 6 1.")
    assert read_loads(tmp_path) == [Load("a", 7, "x", 1.0, 1.5, 5), Load("a", 7, "y", 1.0, math.inf, 6)]


def test_a_value_tells_its_version() -> None:
    marker = Marker(3)
    version = marker.next_version()
    value = marker.value("k", version, 100)
    assert read_mark("k", value) == (OK, version, "")
    assert read_mark("k", None)[0] == ABSENT
    assert marker.next_version() != version
    assert Marker(4).next_version() != version != Marker(None).next_version()


@pytest.mark.parametrize(
    "spoilt", [lambda v: v[:50], lambda v: v + b"x", lambda v: v[:60] + b"?" + v[61:], lambda v: b"?" + v[1:]]
)
def test_a_torn_value_is_known_as_such(spoilt) -> None:  # type: ignore[no-untyped-def]
    marker = Marker(3)
    assert read_mark("k", spoilt(marker.value("k", marker.next_version(), 100)))[0] == TORN


def test_another_keys_value_and_a_strangers_are_known_as_such() -> None:
    marker = Marker(3)
    assert read_mark("other", marker.value("k", marker.next_version(), 100))[0] == ALIEN
    assert read_mark("k", b"whatever")[0] == ALIEN


def test_tracebacks_are_found_in_a_log() -> None:
    log = 'fine\nTraceback (most recent call last):\n  File "x"\n    y\nValueError: no\nfine again\n'
    (found,) = _tracebacks(log)
    assert found.endswith("ValueError: no")
    assert _tracebacks("fine\n") == []
