"""CSV traces are read by the names of their columns, kept to their pace, and a line that is no record is named."""

from __future__ import annotations

import csv
import io
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zmcache_loadgen.errors import TraceError
from zmcache_loadgen.requests import DELETE, READ, WRITE, Request
from zmcache_loadgen.workloads import CsvColumns, TraceWorkload, parse_csv_columns

ALL = "time=ts,key=obj,size=bytes,op=cmd"


def replayed(folder: Path, text: str, columns: str = ALL, *, unit: Any = "s", **given: Any) -> list[Request]:
    path = folder / "t.csv"
    path.write_bytes(text.encode())
    return list(TraceWorkload(path=path, csv_columns=parse_csv_columns(columns, unit), **given).requests())


def message_of(folder: Path, text: str, columns: str = ALL, **given: Any) -> str:
    with pytest.raises(TraceError) as raised:
        replayed(folder, text, columns, **given)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(f"{folder / 't.csv'}: ")
    return message.removeprefix(f"{folder / 't.csv'}: ")


def test_columns_are_found_by_name_wherever_they_stand(tmp_path: Path) -> None:
    text = "cmd, junk,obj,bytes,ts\nget,x,a,10,100\nset,y,b,20,101.5\ndelete,,a,0,103\n"
    assert replayed(tmp_path, text, pace=1.0, prefix="p:") == [
        (READ, "a", "p:a", 0, 0.0, 0.0),
        (WRITE, "b", "p:b", 20, 0.0, 1.5),
        (DELETE, "a", "p:a", 0, 0.0, 3.0),
    ]


def test_only_the_key_is_needed_and_then_all_are_reads(tmp_path: Path) -> None:
    assert replayed(tmp_path, "id\n1\n2\n", "key=id") == [(READ, "1", "1", 0, 0.0, 0.0), (READ, "2", "2", 0, 0.0, 0.0)]


def test_a_write_without_a_size_has_the_size_that_was_given(tmp_path: Path) -> None:
    assert [request[3] for request in replayed(tmp_path, "k,op\na,set\nb,get\n", "key=k,op=op", size_bytes=77)] == [
        77,
        0,
    ]
    sizes = [
        request[3] for request in replayed(tmp_path, "k,op,n\na,set,\nb,set,5\n", "key=k,op=op,size=n", size_bytes=77)
    ]
    assert sizes == [77, 5]


@pytest.mark.parametrize(
    ("spelling", "op"),
    [("get", READ), ("GET", READ), ("Get", READ), (" read ", READ), ("r", READ), ("set", WRITE), ("PUT", WRITE), ("W", WRITE),
     ("Update", WRITE), ("del", DELETE), ("DELETE", DELETE), ("Remove", DELETE)],
)  # fmt: skip
def test_operations_are_known_by_their_usual_spellings(tmp_path: Path, spelling: str, op: int) -> None:
    assert replayed(tmp_path, f"k,op\na,{spelling}\n", "key=k,op=op")[0][0] == op


@pytest.mark.parametrize(("unit", "a_second"), [("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("pace", [1.0, 2.0, 0.5])
def test_requests_are_due_at_the_recorded_pace_or_a_multiple_of_it(
    tmp_path: Path, unit: str, a_second: int, pace: float
) -> None:
    times = [1000 * a_second, 1001 * a_second, 1004 * a_second]
    text = "ts,k\n" + "".join(f"{time},x\n" for time in times)
    due = [request[5] for request in replayed(tmp_path, text, "time=ts,key=k", unit=unit, pace=pace)]
    assert due == pytest.approx([0.0, 1 / pace, 4 / pace])


def test_without_a_pace_requests_have_no_second(tmp_path: Path) -> None:
    assert {request[5] for request in replayed(tmp_path, "ts,k\n5,a\n9,b\n", "time=ts,key=k")} == {0.0}


def test_a_time_that_goes_back_is_due_at_once(tmp_path: Path) -> None:
    times = [10, 12, 11, 9, 13, *[1] * 2000, 2015]  # over several blocks of the file, too
    text = "ts,k\n" + "".join(f"{time},{'x' * 20}\n" for time in times)
    due = [request[5] for request in replayed(tmp_path, text, "time=ts,key=k", pace=1.0)]
    assert due[:5] == [0.0, 2.0, 2.0, 2.0, 3.0]
    assert set(due[5:-1]) == {3.0}
    assert due[-1] == 2005.0


def test_workers_share_a_timed_trace_and_keep_its_seconds(tmp_path: Path) -> None:
    text = "ts,k,n,op\n" + "".join(f"{100 + number},{number},{number},set\n" for number in range(1000))
    whole = replayed(tmp_path, text, "time=ts,key=k,size=n,op=op", pace=2.0)
    workload = TraceWorkload(
        path=tmp_path / "t.csv", csv_columns=parse_csv_columns("time=ts,key=k,size=n,op=op"), pace=2.0
    )
    for index in range(3):
        assert list(workload.for_worker(index, 3).requests()) == whole[index::3]


@pytest.mark.parametrize("pack", [bytes, lzma.compress])
def test_quotes_commas_crlf_a_mark_of_order_and_empty_lines_are_read_as_csv_has_them(tmp_path: Path, pack: Any) -> None:
    text = '\ufeff"obj","cmd"\r\n"a,b",get\r\n\r\n"say ""hi""",set\r\nplain,"get"\r\n"",get\n'
    path = tmp_path / "t.csv"
    path.write_bytes(pack(text.encode()))
    found: list[object] = []
    with pytest.raises(TraceError, match="line 6 has no key"):
        found.extend(
            request[:2]
            for request in TraceWorkload(path=path, csv_columns=parse_csv_columns("key=obj,op=cmd")).requests()
        )
    assert found == [(READ, "a,b"), (WRITE, 'say "hi"'), (READ, "plain")]


_CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n\r"), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(_CELLS, _CELLS), min_size=1, max_size=40),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_whatever_a_writer_of_csv_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], quoting: Any
) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=quoting).writerows([("key", "other"), *rows])
    requests = replayed(tmp_path_factory.getbasetemp(), out.getvalue(), "key=key")
    assert [request[1] for request in requests] == [key for key, _ in rows]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,a,5", "has 3 of 4 columns"),
        ("1,a,5,get,more", "has 5 of 4 columns"),
        ("1,,5,get", "has no key"),
        ("soon,a,5,get", "has a time that is no number"),
        (",a,5,get", "has a time that is no number"),
        ("nan,a,5,get", "has a time that is not finite"),
        ("inf,a,5,get", "has a time that is not finite"),
        ("1,a,many,get", "has a size that is no number of bytes"),
        ("1,a,1.5,get", "has a size that is no number of bytes"),
        ("1,a,-5,get", "has a size that is not from 0 to 67108864 bytes"),
        ("1,a,99999999999,get", "has a size that is not from 0 to"),
        ("1,a,5,fly", "has the operation 'fly', which is no spelling of get, set or delete"),
        ("1,a,5,", "has the operation ''"),
        ('1,"a,5,get', "is no CSV"),
        ('1,"a"b,5,get', "is no CSV"),
        ("1,a\rb,5,get", "is no CSV"),
        ("1," + "a" * 5000 + ",5,get", "is longer than 4096 bytes"),
    ],
)
@pytest.mark.parametrize("quoted", [False, True])
def test_a_line_that_is_no_record_is_named_and_all_before_it_are_asked(
    tmp_path: Path, line: str, reason: str, quoted: bool
) -> None:
    good = ['0,"k",5,get' if quoted else "0,k,5,get"] * 700  # more than one block of the file
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["ts,obj,bytes,cmd", *good, line, *good]), newline="")
    found: list[Request] = []
    with pytest.raises(TraceError) as raised:
        found.extend(TraceWorkload(path=path, csv_columns=parse_csv_columns(ALL), pace=1.0).requests())
    assert f"{path}: line 702 {reason}" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(found) == 700


def test_lines_with_too_few_and_too_many_columns_do_not_make_up_for_each_other(tmp_path: Path) -> None:
    assert message_of(tmp_path, "a,b\n1\n2,3,4\n5,6\n", "key=a") == "line 2 has 1 of 2 columns"


def test_a_line_break_inside_quotes_is_no_record(tmp_path: Path) -> None:
    assert message_of(tmp_path, 'key,n\na,1\n"b\nc",2\n', "key=key").startswith("line 3 is no CSV")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ts,key\n1,a\n", "line 1 names no column 'obj'; there are: ts, key"),
        ("\n1,a\n", "line 1 names no column 'obj'"),
        ('"ts,obj\n1,a\n', "line 1 is no CSV"),
        ("obj,ts,bytes\na,1,5\n", "line 1 names no column 'cmd'"),
    ],
)
def test_a_header_without_the_columns_is_one_clear_line(tmp_path: Path, text: str, expected: str) -> None:
    assert message_of(tmp_path, text).startswith(expected)


@pytest.mark.parametrize("text", ["", "ts,obj,bytes,cmd", "ts,obj,bytes,cmd\n\r\n\n"])
def test_a_file_without_a_record_is_empty(tmp_path: Path, text: str) -> None:
    assert message_of(tmp_path, text) == "empty, there is nothing to replay"


def test_a_csv_file_without_columns_says_which_option_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("key\na\n")
    with pytest.raises(TraceError, match=r"t\.csv: a CSV trace needs --csv-columns, such as"):
        TraceWorkload(path=path).requests()


def test_a_pace_for_a_file_that_is_no_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_text("a\n")
    with pytest.raises(TraceError, match="has no times, so there is no pace to keep"):
        TraceWorkload(path=path, csv_columns=parse_csv_columns(ALL), pace=1.0).requests()


@pytest.mark.parametrize("pace", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pace_that_is_none_is_refused(tmp_path: Path, pace: float) -> None:
    with pytest.raises(ValueError, match="pace: a finite number above 0"):
        TraceWorkload(path=tmp_path / "t.csv", csv_columns=parse_csv_columns(ALL), pace=pace)


def test_the_names_of_columns_parse_and_print() -> None:
    columns = parse_csv_columns(" key = obj , time=ts", "ms")
    assert columns == CsvColumns(key="obj", time="ts", time_unit="ms")
    assert parse_csv_columns(str(columns), "ms") == columns


@pytest.mark.parametrize("text", ["", "obj", "time=ts", "key=", "key=a,key=b", "key=a,colour=b", "key=a,"])
def test_names_of_columns_that_do_not_parse_say_how_they_are_written(text: str) -> None:
    with pytest.raises(ValueError, match="names no columns: they are written key=obj or"):
        parse_csv_columns(text)


def test_another_unit_of_time_is_refused() -> None:
    with pytest.raises(ValueError, match="'days' is no unit of time: s, ms, us or ns"):
        parse_csv_columns("key=a", "days")  # type: ignore[arg-type]  # wrong on purpose
