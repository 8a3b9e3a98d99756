"""Scripts: what is refused and how it is told, and that events happen at their time whatever the others do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import perf_counter

import pytest
from eventually import eventually
from zmcache_loadgen.errors import LoadgenError
from zmcache_loadgen.script import Event, Happened, ScriptError, check_script, load_script, run_script


def written(folder: Path, text: str) -> Path:
    path = folder / "script.yaml"
    path.write_text(text)
    return path


class FakeStage:
    """Notes what it is asked to do. Stopping takes until it is let go; resuming fails."""

    node_ids = ("n1", "n2")
    owns_etcd = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stopped = asyncio.Event()

    async def start(self, node_id: str) -> str:
        self.asked.append(f"start {node_id}")
        return "serves"

    async def stop(self, node_id: str) -> str:
        self.asked.append(f"stop {node_id}")
        await self.stopped.wait()
        return "exited with code 0"

    async def kill(self, node_id: str) -> str:
        self.asked.append(f"kill {node_id}")
        return "was ended by SIGKILL"

    async def pause(self, node_id: str) -> str:
        self.asked.append(f"pause {node_id}")
        return "paused"

    async def resume(self, node_id: str) -> str:
        self.asked.append(f"resume {node_id}")
        raise LoadgenError(f"{node_id} is\nnot paused")

    async def stop_etcd(self) -> str:
        self.asked.append("stop-etcd")
        return "was ended by SIGTERM"

    async def start_etcd(self) -> str:
        self.asked.append("start-etcd")
        return "serves"


def test_a_script_is_read_in_the_order_of_its_times(tmp_path: Path) -> None:
    text = """
    - {at: 1.5m, do: start-etcd}
    - at: 5s
      do: kill
      node: n2
    - {at: 0, do: pause, node: n1}
    - {at: 500ms, do: stop-etcd}
    """
    events = load_script(written(tmp_path, text))
    assert [(event.at_s, event.what) for event in events] == [
        (0.0, "pause n1"), (0.5, "stop-etcd"), (5.0, "kill n2"), (90.0, "start-etcd"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a list of events"),
        ("at: 5s", "expected a list of events"),
        ("[]", "expected a list of events"),
        ("- at: [", "expected YAML"),
        ("- 5", "[0]: expected an event with `at` and `do`, found 5"),
        ("- {at: 5s, do: kill, nod: n1}", "[0].nod: expected `node`, found an unknown name"),
        ("- {at: 5s, do: kill, node: n1}\n- {at: 5s, when: 3}", "[1].when: expected one of at, do, node, found an unknown"),
        ("- {do: kill, node: n1}", "[0]: expected `at`"),
        ("- {at: 5s, node: n1}", "[0]: expected `do`"),
        ("- {at: 5s, do: kil, node: n1}", "[0].do: expected `kill`, found 'kil'"),
        ("- {at: 5s, do: [kill], node: n1}", "[0].do: expected"),
        ("- {at: 5s, do: kill}", "[0]: expected `node`, which node to kill"),
        ("- {at: 5s, do: kill, node: 7}", "[0]: Expected `str | null`, got `int`"),
        ("- {at: 5s, do: stop-etcd, node: n1}", "[0].node: expected none beside stop-etcd"),
        ("- {at: soon, do: kill, node: n1}", "[0].at: expected a time, such as 5s"),
        ("- {at: -1s, do: kill, node: n1}", "[0].at: expected a time"),
        ("- {at: true, do: kill, node: n1}", "[0].at: expected a time"),
        ("- {at: null, do: kill, node: n1}", "[0].at: expected a time"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_script_is_told_in_one_line_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ScriptError) as caught:
        load_script(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="No such file"):
        load_script(tmp_path / "none.yaml")


def test_a_script_that_cannot_be_played_is_refused_before_the_run() -> None:
    async def check() -> None:
        stage = FakeStage()
        with pytest.raises(ScriptError, match="kill n3: there is no such node; there are n1, n2"):
            check_script([Event(at_s=1, do="kill", node="n3")], stage)
        with pytest.raises(ScriptError, match="at 10 s, but the run ends after 10 s"):
            check_script([Event(at_s=10, do="kill", node="n1")], stage, duration_s=10)
        etcd = [Event(at_s=1, do="stop-etcd")]
        check_script(etcd, stage, duration_s=10)
        stage.owns_etcd = False
        with pytest.raises(ScriptError, match="no etcd of its own"):
            check_script(etcd, stage)

    asyncio.run(check())


def test_a_failing_event_is_told_and_the_next_ones_happen() -> None:
    async def check() -> None:
        stage, heard = FakeStage(), list[Happened]()
        events = [
            Event(at_s=0.0, do="resume", node="n1"),
            Event(at_s=0.02, do="kill", node="n2"),
            Event(at_s=0.04, do="stop-etcd"),
        ]
        happened = await run_script(events, stage, perf_counter(), heard.append)
        assert [(one["what"], one["ok"], one["detail"]) for one in happened] == [
            ("resume n1", False, "n1 is not paused"),
            ("kill n2", True, "was ended by SIGKILL"),
            ("stop-etcd", True, "was ended by SIGTERM"),
        ]
        assert happened == heard
        assert all(one["at_s"] >= event.at_s for one, event in zip(happened, events, strict=True))

    asyncio.run(check())


def test_an_event_that_takes_long_holds_no_other_up_and_is_told_where_it_began() -> None:
    async def check() -> None:
        stage, heard = FakeStage(), list[Happened]()
        events = [Event(at_s=0.0, do="stop", node="n1"), Event(at_s=0.05, do="kill", node="n1")]
        playing = asyncio.create_task(run_script(events, stage, perf_counter(), heard.append))
        await eventually(lambda: len(heard) == 1)
        assert heard[0]["what"] == "kill n1"
        stage.stopped.set()
        happened = await playing
        assert [one["what"] for one in happened] == ["stop n1", "kill n1"]
        assert happened[0]["at_s"] < 0.05

    asyncio.run(check())


def test_a_run_that_ends_first_tells_what_did_not_come_to_pass() -> None:
    async def check() -> None:
        stage, heard = FakeStage(), list[Happened]()
        events = [Event(at_s=0.0, do="stop", node="n1"), Event(at_s=60.0, do="start", node="n1")]
        playing = asyncio.create_task(run_script(events, stage, perf_counter(), heard.append))
        await eventually(lambda: stage.asked == ["stop n1"])
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
        assert {(one["what"], one["ok"], one["detail"]) for one in heard} == {
            ("stop n1", False, "the run ended before it was done"),
            ("start n1", False, "the run ended before its time"),
        }
        assert stage.asked == ["stop n1"]

    asyncio.run(check())
