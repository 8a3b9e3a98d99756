"""Experiments are performed one by one, each record is kept as it is finished, and the page shows all there are."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from zmcache_loadgen.cli import main
from zmcache_loadgen.commands import experiment as command
from zmcache_loadgen.errors import LoadgenError
from zmcache_loadgen.experiments.base import Experiment, Record, Setting
from zmcache_loadgen.reporting import Section


def section(record: Record) -> Section:
    return Section(title=record["envelope"]["experiment"], says=f"It found {record['found']}.")


async def find(setting: Setting) -> Record:
    setting.say("looking")
    (setting.folder / "left").write_text("behind")
    return {"found": setting.seed, "folder": str(setting.folder)}


async def fail(setting: Setting) -> Record:
    raise LoadgenError("etcd is not installed")


async def be_interrupted(setting: Setting) -> Record:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(3600)
    return {}


@pytest.fixture(autouse=True)
def experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    known = (
        Experiment("one", "the first", find, section),
        Experiment("broken", "cannot be done", fail, section),
        Experiment("two", "the second", find, section),
        Experiment("endless", "does not end", be_interrupted, section),
    )
    monkeypatch.setattr(command, "EXPERIMENTS", known)


def invoke(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["experiment", *arguments, "--results", str(folder)])


def record(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "experiments" / f"{name}.json").read_text())
    return found


def test_a_record_tells_what_was_found_and_how_to_find_it_again(tmp_path: Path) -> None:
    done = invoke(tmp_path, "one", "--quick", "--seed", "7", "--database", "sqlite")
    assert done.exit_code == 0, done.output
    kept = record(tmp_path, "one")
    assert kept["found"] == 7
    envelope = kept["envelope"]
    assert envelope["command"] == "zmcache-loadgen experiment one --quick --database sqlite --seed 7"
    assert (envelope["experiment"], envelope["schema"], envelope["quick"]) == ("one", 1, True)
    assert envelope["machine"]["cores"] == os.cpu_count()
    assert not Path(kept["folder"]).exists()
    assert "looking" in done.stderr
    assert "It found 7." in done.stderr
    page = (tmp_path / "report.html").read_text()
    assert "It found 7." in page
    assert envelope["command"] in page


def test_one_that_cannot_be_done_is_a_line_and_the_others_are_done(tmp_path: Path) -> None:
    done = invoke(tmp_path, "one", "broken", "two")
    assert done.exit_code == 1
    assert "Error: broken: etcd is not installed" in done.stderr.splitlines()
    assert record(tmp_path, "one")["found"] == record(tmp_path, "two")["found"] == 1
    assert not (tmp_path / "experiments" / "broken.json").exists()


def test_the_page_has_every_record_there_is_in_the_experiments_order(tmp_path: Path) -> None:
    assert invoke(tmp_path, "two").exit_code == 0
    assert invoke(tmp_path, "one").exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert page.index(">one<") < page.index(">two<")


def test_ctrl_c_keeps_what_was_finished_and_exits_130(tmp_path: Path) -> None:
    done = invoke(tmp_path, "one", "endless", "two")
    assert done.exit_code == 130, done.output
    assert "Interrupted: what was finished is kept." in done.stderr
    assert "It found 1." in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "experiments" / "two.json").exists()


def test_a_folder_that_cannot_be_written_to_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "experiments").write_text("a file where the folder should be")
    done = invoke(tmp_path, "one")
    assert done.exit_code == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in done.output


def test_a_record_that_is_none_is_told_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "two.json").write_text("{")
    done = invoke(tmp_path, "one")
    assert done.exit_code == 1
    assert "two.json: is no record of an experiment" in done.stderr


def test_an_unknown_name_is_one_line_with_those_there_are(tmp_path: Path) -> None:
    done = invoke(tmp_path, "three")
    assert done.exit_code == 2
    assert "there is no experiment three; there are one, broken, two, endless, and all" in done.stderr
