"""Scripts: what befalls a cluster while the load goes on, and when. A YAML file::

    - at: 5s
      do: kill
      node: node-2
    - {at: 12s, do: start, node: node-2}
    - {at: 15s, do: stop-etcd}

``at`` counts from the moment at which the run's figures begin. Each event begins at its time, whatever an earlier one
still does; so a node may be killed while it drains. An event that fails is told, and the run goes on: a failing event is
a finding, too.
"""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Literal, Protocol, TypedDict, get_args

import msgspec
import yaml

from .errors import LoadgenError

NodeAction = Literal["start", "stop", "kill", "pause", "resume"]
EtcdAction = Literal["stop-etcd", "start-etcd"]
Action = NodeAction | EtcdAction

_NODE_ACTIONS: Final = get_args(NodeAction)
_ETCD_ACTIONS: Final = get_args(EtcdAction)
_AT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class ScriptError(LoadgenError):
    """The script cannot be read, or asks for what there is not; the text names the file and the place in it."""


class Stage(Protocol):
    """What a script acts on: a cluster whose processes are ours. What is done returns how it went, in words."""

    @property
    def node_ids(self) -> Sequence[str]:
        """Every node that can be named, running or not."""

    @property
    def owns_etcd(self) -> bool:
        """Whether there is an etcd to stop."""

    async def start(self, node_id: str) -> str:
        """Start a node that does not run."""

    async def stop(self, node_id: str) -> str:
        """Let a node drain and end."""

    async def kill(self, node_id: str) -> str:
        """End a node without a word."""

    async def pause(self, node_id: str) -> str:
        """Have a node do nothing."""

    async def resume(self, node_id: str) -> str:
        """Let a paused node go on."""

    async def stop_etcd(self) -> str:
        """End the etcd."""

    async def start_etcd(self) -> str:
        """Start the etcd again."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do. ``node`` is None where it is about the etcd."""

    at_s: float
    do: Action
    node: str | None = None

    @property
    def what(self) -> str:
        """In words: ``kill node-2``."""
        return f"{self.do} {self.node}" if self.node else self.do


class Happened(TypedDict):
    """One event as it stands in the result. ``at_s`` is when it began, or was to begin if it never did."""

    at_s: float
    what: str
    ok: bool
    detail: str


def load_script(path: str | Path) -> list[Event]:
    """The events of a file, by their time. Raises `ScriptError`."""
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as exc:
        raise ScriptError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as exc:
        raise ScriptError(f"{path}: expected YAML, found: {' '.join(str(exc).split())}") from exc
    if not isinstance(raw, list) or not raw:
        raise ScriptError(f"{path}: expected a list of events, such as `- {{at: 5s, do: kill, node: node-2}}`")
    events = [_event(entry, f"{path}: [{index}]") for index, entry in enumerate(raw)]
    return sorted(events, key=lambda event: event.at_s)


def check_script(events: Iterable[Event], stage: Stage, *, duration_s: float | None = None) -> None:
    """See before a run that its script can be played, or raise `ScriptError`. ``duration_s`` None: it has no set end."""
    for event in events:
        if event.node is not None and event.node not in stage.node_ids:
            raise ScriptError(f"{event.what}: there is no such node; there are {', '.join(stage.node_ids)}")
        if event.node is None and not stage.owns_etcd:
            raise ScriptError(f"{event.what}: the cluster has no etcd of its own (`etcd: embedded`)")
        if duration_s is not None and event.at_s >= duration_s:
            raise ScriptError(f"{event.what}: at {event.at_s:g} s, but the run ends after {duration_s:g} s")


async def run_script(
    events: Sequence[Event], stage: Stage, started_s: float, on_event: Callable[[Happened], None]
) -> list[Happened]:
    """Have the events happen at their time after ``started_s`` (of `time.perf_counter`). ``on_event`` hears of each when
    it is over, and of those that are not when this is cancelled.
    """
    tasks = [asyncio.create_task(_play(event, stage, started_s, on_event)) for event in events]
    try:
        return sorted(await asyncio.gather(*tasks), key=lambda happened: happened["at_s"])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _play(event: Event, stage: Stage, started_s: float, on_event: Callable[[Happened], None]) -> Happened:
    happened: Happened = {
        "at_s": event.at_s,
        "what": event.what,
        "ok": False,
        "detail": "the run ended before its time",
    }
    try:
        await asyncio.sleep(max(0.0, started_s + event.at_s - perf_counter()))
        happened["at_s"] = round(perf_counter() - started_s, 3)
        happened["detail"] = "the run ended before it was done"
        happened["detail"] = await _doing(event, stage)
        happened["ok"] = True
    except (LoadgenError, OSError) as exc:
        happened["detail"] = " ".join(str(exc).split())
    finally:
        on_event(happened)
    return happened


def _doing(event: Event, stage: Stage) -> Awaitable[str]:
    if event.node is None:
        return stage.stop_etcd() if event.do == "stop-etcd" else stage.start_etcd()
    doings: Mapping[str, Callable[[str], Awaitable[str]]] = {
        "start": stage.start, "stop": stage.stop, "kill": stage.kill, "pause": stage.pause, "resume": stage.resume,
    }  # fmt: skip
    return doings[event.do](event.node)


def _event(raw: object, where: str) -> Event:
    if not isinstance(raw, dict):
        raise ScriptError(f"{where}: expected an event with `at` and `do`, found {raw!r}")
    known = ("at", "do", "node")
    for name in raw:
        if name not in known:
            raise ScriptError(f"{where}.{name}: expected {_nearest(str(name), known)}, found an unknown name")
    for name in ("at", "do"):
        if name not in raw:
            raise ScriptError(f"{where}: expected `{name}`, found no such setting")
    if raw["do"] not in (*_NODE_ACTIONS, *_ETCD_ACTIONS):
        nearest = _nearest(str(raw["do"]), (*_NODE_ACTIONS, *_ETCD_ACTIONS))
        raise ScriptError(f"{where}.do: expected {nearest}, found {raw['do']!r}")
    if raw["do"] in _NODE_ACTIONS and raw.get("node") is None:
        raise ScriptError(f"{where}: expected `node`, which node to {raw['do']}, found no such setting")
    if raw["do"] in _ETCD_ACTIONS and "node" in raw:
        raise ScriptError(f"{where}.node: expected none beside {raw['do']}, found {raw['node']!r}")
    fields = {"at_s": _seconds(raw["at"], f"{where}.at"), "do": raw["do"], "node": raw.get("node")}
    try:
        return msgspec.convert(fields, Event)
    except msgspec.ValidationError as exc:
        raise ScriptError(f"{where}: {exc}") from exc


def _seconds(written: Any, where: str) -> float:
    match = None if isinstance(written, bool) else _AT.fullmatch(str(written).strip())
    if match is None:
        raise ScriptError(f"{where}: expected a time, such as 5s, 500ms or 1.5m, found {written!r}")
    return float(match[1]) * _SECONDS[match[2]]


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"`{close[0]}`" if close else f"one of {', '.join(known)}"
