"""What is not a result is refused in one line that names the file; a report never takes a good file's place by half."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from result_samples import kept, measured
from zmcache_loadgen.cli import main
from zmcache_loadgen.reporting.results import NotAResult, read_results


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def without(result: dict[str, Any], name: str) -> dict[str, Any]:
    return {each: value for each, value in result.items() if each != name}


def test_a_file_of_one_run_and_a_file_of_several_are_read(tmp_path: Path) -> None:
    (one,) = read_results(kept(tmp_path, "one", measured()))
    assert (one.requests, one.loop.kind, one.loop.callers, one.target["kind"]) == (600, "closed", 4, "dict")
    assert one.latency_us.all.p999 == measured()["latency_us"]["all"]["p99.9"]
    assert len(read_results(kept(tmp_path, "two", measured(), measured(rate=2000.0)))) == 2


REFUSED: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "not JSON"),
    ("text", b"p99 was fine", "not JSON"),
    ("binary", b"\xff\xfe\x00\x01", "not JSON"),
    ("deep", b"[" * 100_000, "not JSON"),
    ("a list", b"[]", "names no schema"),
    ("another thing", b'{"name": "x"}', "names no schema"),
    ("schema 1", b'{"schema": 1, "tool": "zmcache-loadgen"}', "schema 1 of zmcache-loadgen; only schema 2"),
    ("a tool", b'{"schema": 2, "tool": "bench"}', "schema 2 of bench; only schema 2 of zmcache-loadgen"),
    ("no runs", b'{"schema": 2, "runs": []}', "holds no run"),
    ("wrong runs", b'{"schema": 2, "runs": {"a": 1}}', "not a whole result"),
    ("empty", b'{"schema": 2, "tool": "zmcache-loadgen"}', "not a whole result"),
]


@pytest.mark.parametrize(("content", "reason"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
@pytest.mark.parametrize("command", ["report", "compare"])
def test_what_is_not_a_result_is_refused_in_one_line(tmp_path: Path, command: str, content: bytes, reason: str) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    output = ("-o", tmp_path / "page.html") if command == "report" else ()
    done = invoke(command, kept(tmp_path, "good", measured()), path, *output)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {path}: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout
    assert not (tmp_path / "page.html").exists()


def test_a_result_that_was_cut_off_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    whole = json.dumps(measured()).encode()
    path = tmp_path / "cut.json"
    for length in range(0, len(whole), len(whole) // 25):
        path.write_bytes(whole[:length])
        with pytest.raises(NotAResult, match=r"cut\.json: not JSON: "):
            read_results(path)


def test_a_missing_field_and_one_of_the_wrong_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotAResult, match="missing required field `latency_us`"):
        read_results(kept(tmp_path, "a", without(measured(), "latency_us")))
    wrong = measured()
    wrong["generator"]["lag_ms"]["p99"] = "late"
    with pytest.raises(NotAResult, match=r"\$\.generator\.lag_ms\.p99"):
        read_results(kept(tmp_path, "b", wrong))


def test_a_missing_file_and_a_folder_are_refused_in_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        done = invoke("report", path)
        assert done.exit_code == 2
        assert str(path) in done.stderr.splitlines()[-1]


def test_fields_of_a_later_minor_version_are_left_alone(tmp_path: Path) -> None:
    assert read_results(kept(tmp_path, "a", measured() | {"weather": "fair"}))


def test_a_page_that_cannot_be_kept_is_told_in_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    good = kept(tmp_path, "good", measured())
    done = invoke("report", good, "-o", tmp_path / "none" / "page.html")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "cannot be written: No such file or directory" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_no_room_for_the_page_is_told_in_one_line(tmp_path: Path) -> None:
    done = invoke("report", kept(tmp_path, "good", measured()), "-o", "/dev/full")
    assert (done.exit_code, done.stderr) == (1, "Error: /dev/full: cannot be written: No space left on device\n")
