"""Traces are read as what they are, as streams, and one that breaks off gives what came before the break."""

from __future__ import annotations

import lzma
import struct
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest
from zmcache_loadgen.errors import TraceError
from zmcache_loadgen.traces import TraceWorkload, read_keys


def packed(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def trace(folder: Path, content: bytes, name: str = "t.trace") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read_until_it_breaks(path: Path, form: str = "auto") -> tuple[list[int | str], str]:
    keys: list[int | str] = []
    try:
        for key in read_keys(path, form):
            keys.append(key)
    except TraceError as exc:
        return keys, str(exc)
    raise AssertionError("the trace did not break")


def test_integers_are_big_endian_and_unsigned(tmp_path: Path) -> None:
    numbers = [0, 1, 256, 2**31, 2**32 - 1]
    assert list(read_keys(trace(tmp_path, packed(*numbers)))) == numbers


def test_an_xz_trace_reads_as_the_plain_one_whatever_its_name(tmp_path: Path) -> None:
    numbers = [number * 7 for number in range(20_000)]  # several chunks
    assert list(read_keys(trace(tmp_path, lzma.compress(packed(*numbers)), "misnamed.dat"))) == numbers
    assert list(read_keys(trace(tmp_path, lzma.compress(b"a\nb\n"), "keys.xz"))) == ["a", "b"]


def test_an_xz_file_of_several_streams_is_read_to_its_end(tmp_path: Path) -> None:
    content = lzma.compress(packed(1, 2)) + lzma.compress(packed(3))
    assert list(read_keys(trace(tmp_path, content))) == [1, 2, 3]


def test_lines_keep_their_blanks_and_unicode_and_lose_crlf_and_empty_lines(tmp_path: Path) -> None:
    text = "\ufeffuser:1\r\n\r\n  spaced key \nZürich/\U0001f600\n\nlast without an end"
    assert list(read_keys(trace(tmp_path, text.encode(), "keys.txt"))) == [
        "user:1",
        "  spaced key ",
        "Zürich/\U0001f600",
        "last without an end",
    ]


def test_the_content_tells_the_form_where_the_name_does_not(tmp_path: Path) -> None:
    assert list(read_keys(trace(tmp_path, b"12\n13\n"))) == ["12", "13"]
    assert list(read_keys(trace(tmp_path, packed(0x61626364, 0xFFFEFDFC)))) == [0x61626364, 0xFFFEFDFC]


def test_text_whose_first_chunk_ends_inside_a_character_is_still_text(tmp_path: Path) -> None:
    text = ("k\n" * 8192)[:-1] + "é\n"
    assert list(read_keys(trace(tmp_path, text.encode()))) == ["k"] * 8191 + ["ké"]


def test_an_explicit_form_wins_over_name_and_content(tmp_path: Path) -> None:
    assert list(read_keys(trace(tmp_path, b"abcd", "keys.txt"), "int32")) == [0x61626364]
    assert list(read_keys(trace(tmp_path, b"abcd", "keys.int32"), "lines")) == ["abcd"]


def test_a_trace_that_ends_inside_a_record_gives_the_whole_records_and_says_where(tmp_path: Path) -> None:
    keys, message = read_until_it_breaks(trace(tmp_path, packed(1, 2, 3) + b"\0\0\1"))
    assert keys == [1, 2, 3]
    assert message.endswith("t.trace: ends inside a record, 3 of 4 bytes after record 3")


def test_a_packed_trace_that_breaks_off_gives_what_could_be_unpacked(tmp_path: Path) -> None:
    # numbers that compress badly, so that there is something before the cut
    numbers = [number * 2654435761 % 2**32 for number in range(50_000)]
    content = lzma.compress(packed(*numbers))
    keys, message = read_until_it_breaks(trace(tmp_path, content[: len(content) // 2], "t.trace.xz"))
    assert len(keys) > 10_000
    assert keys == numbers[: len(keys)]
    assert f"ends too early, after record {len(keys)}" in message


def test_a_damaged_packed_trace_is_one_clear_line(tmp_path: Path) -> None:
    content = bytearray(lzma.compress(packed(*range(1000))))
    content[40:60] = bytes(20)
    _, message = read_until_it_breaks(trace(tmp_path, bytes(content)))
    assert "damaged" in message
    assert "\n" not in message


def test_bytes_that_are_not_text_are_named_by_line(tmp_path: Path) -> None:
    keys, message = read_until_it_breaks(trace(tmp_path, b"good\n\xff\xfe\n"), "lines")
    assert keys == ["good"]
    assert "line 2 is not UTF-8" in message


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = trace(tmp_path, b"ok\n" + b"x" * 8_000_000, "keys.txt")
    tracemalloc.start()
    try:
        keys, message = read_until_it_breaks(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert keys == ["ok"]
    assert "line 2 is longer than 4096 bytes" in message
    assert peak < 1_000_000


def test_a_long_trace_starts_without_being_read_whole(tmp_path: Path) -> None:
    path = trace(tmp_path, lzma.compress(bytes(40_000_000), preset=0))
    tracemalloc.start()
    try:
        assert list(islice(read_keys(path, "int32"), 100_000)) == [0] * 100_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("content", [b"", b"\n\r\n", lzma.compress(b"")])
def test_an_empty_trace_is_refused_before_anything_is_asked(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TraceError, match="empty, there is nothing to replay"):
        TraceWorkload(path=trace(tmp_path, content)).requests()


def test_a_missing_trace_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nowhere\.trace: cannot be read"):
        TraceWorkload(path=tmp_path / "nowhere.trace").requests()


def test_a_replay_reads_the_keys_in_order_up_to_its_limit(tmp_path: Path) -> None:
    path = trace(tmp_path, packed(5, 6, 5, 7))
    assert list(TraceWorkload(path=path, limit=3, prefix="p:").requests()) == [
        (5, "p:5", None),
        (6, "p:6", None),
        (5, "p:5", None),
    ]
