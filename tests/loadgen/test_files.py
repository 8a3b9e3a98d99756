"""A result is kept whole or the old one stays, and that it cannot be kept is known before the run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from zmcache_loadgen.files import CannotWrite, check_writable, write_whole


def test_a_result_that_cannot_be_kept_is_known_before(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "x.json"):
        with pytest.raises(CannotWrite, match="cannot be written"):
            check_writable(path)
        with pytest.raises(CannotWrite, match="cannot be written"):
            write_whole(path / "x" / "y.json", "text")


def test_looking_whether_a_result_can_be_kept_changes_nothing(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("kept")
    check_writable(old)
    check_writable(tmp_path / "new.json")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old.json": "kept"}


def test_a_disk_without_room_is_one_line_and_the_old_file_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old.json"
    old.write_text("kept")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match=r"old\.json: cannot be written: No space left on device"):
        write_whole(old, "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old.json": "kept"}


def test_what_is_no_regular_file_is_written_to_and_not_replaced() -> None:
    write_whole(Path(os.devnull), "text")
    assert not Path(os.devnull).is_file()
