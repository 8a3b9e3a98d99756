"""The members last seen: there after a restart, and never in the way."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from etcd_fixture import member
from hypothesis import given
from hypothesis import strategies as st

from zmcache.core.ring import Member
from zmcache.discovery import LastSeen, Snapshot, record

SNAPSHOT = Snapshot(17, (member("a", zone="z"), member("b", 2, weight=0.5, state="leaving")))


def test_what_was_saved_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "members.json"
    LastSeen(path).save("c", SNAPSHOT)
    LastSeen(path).save("c", SNAPSHOT)
    assert LastSeen(path).load("c") == SNAPSHOT
    assert [entry.name for entry in path.parent.iterdir()] == ["members.json"], "a half file was left"


def test_another_clusters_members_and_an_empty_list_are_nothing(tmp_path: Path) -> None:
    file = LastSeen(tmp_path / "members.json")
    assert file.load("c") is None
    file.save("c", SNAPSHOT)
    assert file.load("d") is None
    file.save("c", Snapshot(18, ()))
    assert file.load("c") is None


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"members": 1}', '{"cluster": "c", "members": [], "revision": "1"}',
        '{"cluster": "c", "members": [7], "revision": 1}', '{"cluster": "c", "members": [{}], "revision": 1}',
        '{"cluster": "c", "members": [{"node_id": "a"}], "revision": 1}', "\udcff", "[" * 100_000,
    ],
)  # fmt: skip
def test_a_spoiled_file_is_nothing_and_said(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "members.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert LastSeen(path).load("c") is None
    assert [entry.levelno for entry in caplog.records] == [logging.WARNING]


def test_a_disk_that_takes_nothing_is_said_once_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "members.json"
    file = LastSeen(path)
    file.save("c", SNAPSHOT)
    file.save("c", SNAPSHOT)
    assert len(caplog.records) == 1
    (tmp_path / "file").unlink()
    file.save("c", SNAPSHOT)
    assert file.load("c") == SNAPSHOT


members = st.builds(
    Member,
    node_id=st.text(min_size=1).filter(lambda text: "/" not in text),
    endpoint=st.from_regex(r"[a-z0-9.]{1,20}:[0-9]{1,5}", fullmatch=True),
    weight=st.floats(min_value=0, max_value=record.MAX_WEIGHT, exclude_min=True),
    zone=st.text(),
    state=st.sampled_from(["serving", "leaving"]),
    protocol=st.integers(min_value=0),
)


@given(members)
def test_every_member_reads_back_as_it_was_written(one: Member) -> None:
    assert record.decode(one.node_id, record.encode(one)) == one


@given(st.text() | st.binary())
def test_anything_else_is_a_bad_record_and_no_other_error(text: str | bytes) -> None:
    try:
        record.decode("a", text)
    except record.BadRecord:
        pass
    else:
        assert json.loads(text)["endpoint"]


@pytest.mark.parametrize(
    "text",
    [
        '{"endpoint": "tcp://h:1", "weight": 1' + 400 * "0" + "}",
        '{"endpoint": "tcp://h:1", "zone": "\\ud800"}',
        '{"endpoint": "tcp://h:1", "weight": NaN}',
    ],
)
def test_what_would_break_only_where_it_is_used_is_a_bad_record(text: str) -> None:
    with pytest.raises(record.BadRecord):
        record.decode("a", text)
