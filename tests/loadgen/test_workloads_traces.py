"""Traces are read as what they are, as streams, and one that breaks off gives what came before the break."""

from __future__ import annotations

import lzma
import pickle
import struct
import tracemalloc
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zmcache_loadgen.errors import TraceError
from zmcache_loadgen.requests import READ
from zmcache_loadgen.workloads import TraceWorkload, parse_csv_columns


def packed(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def trace(folder: Path, content: bytes, name: str = "t.trace") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def tokens(path: Path, form: Any = "auto") -> list[object]:
    return [request[1] for request in TraceWorkload(path=path, form=form).requests()]


def read_until_it_breaks(path: Path, form: Any = "auto", **given: Any) -> tuple[list[object], str]:
    found: list[object] = []
    with pytest.raises(TraceError) as raised:
        found.extend(request[1] for request in TraceWorkload(path=path, form=form, **given).requests())
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return found, message


def test_integers_are_big_endian_and_unsigned(tmp_path: Path) -> None:
    numbers = [0, 1, 256, 2**31, 2**32 - 1]
    assert tokens(trace(tmp_path, packed(*numbers))) == numbers


def test_an_xz_trace_reads_as_the_plain_one_whatever_its_name(tmp_path: Path) -> None:
    numbers = [number * 7 for number in range(20_000)]  # several blocks
    assert tokens(trace(tmp_path, lzma.compress(packed(*numbers)), "misnamed.dat")) == numbers
    assert tokens(trace(tmp_path, lzma.compress(b"a\nb\n"), "keys.xz")) == ["a", "b"]
    assert tokens(trace(tmp_path, lzma.compress(b"5 2 0 1\n"), "P1.lis.xz")) == [5, 6]


def test_an_xz_file_of_several_streams_is_read_to_its_end(tmp_path: Path) -> None:
    assert tokens(trace(tmp_path, lzma.compress(packed(1, 2)) + lzma.compress(packed(3)))) == [1, 2, 3]


def test_lines_keep_their_blanks_and_unicode_and_lose_crlf_and_empty_lines(tmp_path: Path) -> None:
    text = "\ufeffuser:1\r\n\r\n  spaced key \nZürich/\U0001f600\n\nlast without an end"
    assert tokens(trace(tmp_path, text.encode(), "keys.txt")) == [
        "user:1",
        "  spaced key ",
        "Zürich/\U0001f600",
        "last without an end",
    ]


@pytest.mark.parametrize("length", [1, 2, 3, 7, 63, 1000])
def test_lines_are_whole_wherever_a_block_of_the_file_ends(tmp_path: Path, length: int) -> None:
    keys = [f"{number:0{length}}é" for number in range(9)] * 300
    assert tokens(trace(tmp_path, "\r\n".join(keys).encode(), "keys.txt")) == keys


def test_an_arc_line_is_an_access_to_each_key_of_its_range(tmp_path: Path) -> None:
    lines = b"10 3 0 1\n7 1 0 2\r\n\n  100  0  0  3 \n10 2 5 4"
    assert tokens(trace(tmp_path, lines, "P1.lis")) == [10, 11, 12, 7, 10, 11]


def test_a_range_of_an_arc_line_may_be_long(tmp_path: Path) -> None:
    path = trace(tmp_path, b"1 2 0 1\n50 100000 0 2\n3 1 0 3\n", "P1.lis")
    assert tokens(path) == [1, 2, *range(50, 100_050), 3]


def test_the_content_tells_the_form_where_the_name_does_not(tmp_path: Path) -> None:
    assert tokens(trace(tmp_path, b"12\n13\n")) == ["12", "13"]
    assert tokens(trace(tmp_path, packed(0x61626364, 0xFFFEFDFC))) == [0x61626364, 0xFFFEFDFC]


def test_text_whose_first_block_ends_inside_a_character_is_still_text(tmp_path: Path) -> None:
    for shift in range(2):
        text = "k" * shift + "é\n" * 30_000
        assert tokens(trace(tmp_path, text.encode())) == ["k" * shift + "é", *["é"] * 29_999]


def test_an_explicit_form_wins_over_name_and_content(tmp_path: Path) -> None:
    assert tokens(trace(tmp_path, b"abcd", "keys.txt"), "int32") == [0x61626364]
    assert tokens(trace(tmp_path, b"abcd", "keys.int32"), "lines") == ["abcd"]
    assert tokens(trace(tmp_path, b"4 2 0 1", "keys.txt"), "arc") == [4, 5]


def test_a_replay_reads_the_keys_in_order_up_to_its_limit(tmp_path: Path) -> None:
    workload = TraceWorkload(path=trace(tmp_path, packed(5, 6, 5, 7)), limit=3, prefix="p:", size_bytes=9)
    assert list(workload.requests()) == [
        (READ, 5, "p:5", 0, 0.0, 0.0),
        (READ, 6, "p:6", 0, 0.0, 0.0),
        (READ, 5, "p:5", 0, 0.0, 0.0),
    ]
    assert list(workload.requests()) == list(workload.requests())
    assert list(workload.load_requests()) == []
    assert (workload.total, workload.seed, workload.timed) == (3, None, False)


def test_a_limit_beyond_the_end_changes_nothing_and_one_before_a_break_hides_it(tmp_path: Path) -> None:
    path = trace(tmp_path, packed(1, 2, 3) + b"\0")
    assert [request[1] for request in TraceWorkload(path=path, limit=3).requests()] == [1, 2, 3]
    assert read_until_it_breaks(path, limit=4)[0] == [1, 2, 3]


@pytest.mark.parametrize(("records", "over"), [(3, 3), (0, 2), (10_000, 1)])
@pytest.mark.parametrize("pack", [bytes, lzma.compress])
def test_a_trace_that_ends_inside_a_record_gives_the_whole_records_and_says_where(
    tmp_path: Path, records: int, over: int, pack: Any
) -> None:
    content = packed(*range(records)) + bytes(over)
    found, message = read_until_it_breaks(trace(tmp_path, pack(content)))
    assert found == list(range(records))
    assert message.endswith(f"t.trace: ends inside a record, {over} of 4 bytes after record {records}")


def test_a_packed_trace_that_breaks_off_gives_what_could_be_unpacked(tmp_path: Path) -> None:
    # numbers that compress badly, so that there is something before the cut
    numbers = [number * 2654435761 % 2**32 for number in range(50_000)]
    content = lzma.compress(packed(*numbers))
    found, message = read_until_it_breaks(trace(tmp_path, content[: len(content) // 2], "t.trace.xz"))
    assert len(found) > 10_000
    assert found == numbers[: len(found)]
    assert f"ends too early, after record {len(found)}" in message


def test_a_damaged_packed_trace_is_one_clear_line(tmp_path: Path) -> None:
    content = bytearray(lzma.compress(packed(*range(1000))))
    content[40:60] = bytes(20)
    assert "the packed file is damaged" in read_until_it_breaks(trace(tmp_path, bytes(content)))[1]


@settings(max_examples=150, deadline=None)
@given(
    content=st.one_of(st.binary(max_size=200), st.text('0123 \n\r",é', max_size=100).map(str.encode)),
    form=st.sampled_from(["auto", "int32", "lines", "arc", "csv"]),
    pack=st.booleans(),
    cut=st.integers(0, 20),
)
def test_garbage_is_read_or_is_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, form: Any, pack: bool, cut: int
) -> None:
    if pack:
        content = lzma.compress(content)
        content = content[: len(content) - cut]
    path = trace(tmp_path_factory.getbasetemp(), content, "garbage")
    columns = parse_csv_columns("key=0") if form == "csv" else None
    try:
        for _ in islice(TraceWorkload(path=path, form=form, csv_columns=columns).requests(), 10_000):
            pass
    except TraceError as exc:
        message = str(exc)
        assert message.startswith(f"{path}: ")  # an error is one of two good ends
        assert "\n" not in message


def test_bytes_that_are_not_text_are_named_by_line(tmp_path: Path) -> None:
    found, message = read_until_it_breaks(trace(tmp_path, b"good\n\xff\xfe\n"), "lines")
    assert found == ["good"]
    assert "line 2 is not UTF-8" in message


@pytest.mark.parametrize(
    "wrong", [b"1 2 3", b"1 2 3 4 5", b"1 x 0 1", b"-1 2 0 1", b"1 1.5 0 1", b"1 2 0 " + b"9" * 5000]
)
def test_a_line_that_is_no_arc_range_is_named_and_all_before_it_are_asked(tmp_path: Path, wrong: bytes) -> None:
    found, message = read_until_it_breaks(trace(tmp_path, b"10 2 0 1\n20 1 0 2\n" + wrong + b"\n30 1 0 3\n", "P1.lis"))
    assert found == [10, 11, 20]
    assert "line 3 is" in message


def test_an_arc_range_that_no_disk_has_is_refused(tmp_path: Path) -> None:
    assert "line 1 names more keys" in read_until_it_breaks(trace(tmp_path, b"0 99999999999 0 1\n", "P1.lis"))[1]


@pytest.mark.parametrize("name", ["keys.txt", "keys.csv", "P1.lis"])
def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, name: str) -> None:
    head = {"keys.txt": b"5\n", "keys.csv": b"key\n", "P1.lis": b"5 1 0 1\n"}[name]
    path = trace(tmp_path, head + b"1" * 8_000_000, name)
    columns = parse_csv_columns("key=key")
    tracemalloc.start()
    try:
        _, message = read_until_it_breaks(path, csv_columns=columns)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "line 2 is longer than 4096 bytes" in message
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.int32", bytes(40_000_000)), ("t.lis", b"0 1000 0 1\n" * 50_000), ("t.lis", b"0 4000000000 0 1\n")],
    ids=["integers", "arc-ranges", "arc-one-range"],
)
def test_a_long_trace_starts_and_goes_on_without_being_read_whole(tmp_path: Path, name: str, content: bytes) -> None:
    path = trace(tmp_path, lzma.compress(content, preset=0), name)
    tracemalloc.start()
    try:
        assert sum(1 for _ in islice(TraceWorkload(path=path).requests(), 100_000)) == 100_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000


def test_five_million_accesses_start_within_three_seconds(tmp_path: Path) -> None:
    path = trace(tmp_path, lzma.compress(packed(*range(50_000)) * 100, preset=0))
    began = perf_counter()
    assert next(TraceWorkload(path=path).requests())[1] == 0
    assert perf_counter() - began < 3.0


@pytest.mark.parametrize("content", [b"", b"\n\r\n", lzma.compress(b"")])
@pytest.mark.parametrize("name", ["t.trace", "t.txt", "t.lis"])
def test_an_empty_trace_is_refused_before_anything_is_asked(tmp_path: Path, content: bytes, name: str) -> None:
    with pytest.raises(TraceError, match="empty, there is nothing to replay"):
        TraceWorkload(path=trace(tmp_path, content, name)).requests()


def test_a_trace_that_cannot_be_opened_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nowhere\.trace: cannot be read.*No such file"):
        TraceWorkload(path=tmp_path / "nowhere.trace").requests()
    with pytest.raises(TraceError, match=r"cannot be read.*directory"):
        TraceWorkload(path=tmp_path).requests()


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("limit", [None, 1, 4001])
def test_workers_share_a_trace_without_overlap_and_by_turns(tmp_path: Path, workers: int, limit: int | None) -> None:
    path = trace(tmp_path, packed(*range(10_001)))  # several blocks, and no multiple of the workers
    workload = TraceWorkload(path=path, limit=limit)
    parts = [pickle.loads(pickle.dumps(workload.for_worker(index, workers))) for index in range(workers)]
    shares = [[request[1] for request in part.requests()] for part in parts]
    assert shares == [list(range(10_001 if limit is None else limit))[index::workers] for index in range(workers)]
    if limit is not None:
        assert [part.total for part in parts] == [len(share) for share in shares]


def test_each_worker_tells_that_the_trace_breaks_off(tmp_path: Path) -> None:
    path = trace(tmp_path, packed(1, 2, 3) + b"\0")
    for index, share in enumerate([[1, 3], [2]]):
        found: list[object] = []
        with pytest.raises(TraceError, match="after record 3"):
            found.extend(request[1] for request in TraceWorkload(path=path).for_worker(index, 2).requests())
        assert found == share


def test_the_description_names_the_file_and_not_its_folder(tmp_path: Path) -> None:
    shown = TraceWorkload(path=trace(tmp_path, packed(1)), limit=5).description
    assert (shown["kind"], shown["file"], shown["limit"]) == ("trace", "t.trace", 5)
    assert str(tmp_path) not in str(shown)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"form": "json"}, "form: auto, int32, lines, arc or csv"),
        ({"form": "csv"}, "needs the names of its columns"),
        ({"limit": 0}, "limit: at least 1"),
        ({"pace": 1.0}, "pace: only with the time column"),
        ({"size_bytes": -1}, "value size: from 0"),
    ],
)
def test_parameters_outside_their_range_are_refused(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TraceWorkload(path=tmp_path / "t.trace", **wrong)
