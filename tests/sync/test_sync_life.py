"""The life of a synchronous connection: what ends it, and what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from eventually import eventually_blocking
from processes import free_port
from sync_worlds import WORLDS, held, in_threads, opened, opened_with_loops

import zmcache.sync
from zmcache.errors import ConfigError, LifecycleError, PeerUnavailable
from zmcache.sync import SyncCache


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Started in a shell's background, a process ignores interruptions, and Python then leaves it at that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def sync_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("zmcache")]


@pytest.mark.parametrize("kind", WORLDS)
def test_after_the_end_calls_are_refused_and_no_thread_is_left(kind: str) -> None:
    with opened(kind) as cache:
        items = cache.group("items")
        items.get_or_set("k", lambda: b"1")
        cached = items.cached(key="x")(lambda: b"1")
        cache.close()
        cache.close()
        for call in (lambda: items.get("k"), lambda: cache.group("items"), cache.topology, cache.ring, cached):
            with pytest.raises(LifecycleError, match="closed"):
                call()
        with pytest.raises(LifecycleError):
            cache.open()
        eventually_blocking(lambda: not sync_threads(), sync_threads)


def test_before_it_is_open_calls_are_refused() -> None:
    cache = zmcache.sync.connect("mem://")
    for call in (lambda: cache.group("items").get("k"), lambda: cache.group("items").set("k", b"v"), cache.ring):
        with pytest.raises(LifecycleError, match="not open"):
            call()
    with cache:
        assert cache.group("items").get("k") is None
        with pytest.raises(LifecycleError, match="once"):
            cache.open()
        assert cache.group("items").get("k") is None
    zmcache.sync.connect("mem://").close()


def test_a_function_decorated_at_the_level_of_a_module_works_once_the_connection_is_open() -> None:
    cache = zmcache.sync.connect("mem://")
    squares = cache.group("squares", codec="json")

    @squares.cached(key="square:{n}")
    def square(n: int) -> int:
        return n * n

    with pytest.raises(LifecycleError, match="not open"):
        square(12)
    assert not [thread for thread in sync_threads() if thread.name == "zmcache sync"]
    with cache:
        assert [square(12), squares.get("square:12")] == [144, 144]
        assert cache.group("squares", codec="json") is squares
        groups = in_threads(8, lambda n: cache.group("others", type=list[int]))
        assert len(set(groups)) == 1
    for call in (lambda: square(12), lambda: squares.get("k"), lambda: cache.group("squares")):
        with pytest.raises(LifecycleError, match="closed"):
            call()


def test_a_connection_made_before_a_fork_is_opened_in_each_process() -> None:
    cache = zmcache.sync.connect("mem://")
    items = cache.group("items")

    def use() -> bytes | None:
        with cache:
            items.set("k", b"v")
            return items.get("k")

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = use() != b"v"
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert use() == b"v"


def test_where_nobody_answers_opening_raises_and_leaves_nothing() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(PeerUnavailable):
        zmcache.sync.connect(address, connect_timeout=0.3).open()
    eventually_blocking(lambda: not sync_threads(), sync_threads)
    with pytest.raises(ConfigError):
        zmcache.sync.connect(address, route="elsewhere")
    with zmcache.sync.connect(address, connect_timeout=0.2, on_error="miss") as cache:
        items = cache.group("items")
        assert items.get("k", b"none") == b"none"
        assert items.get_or_set("k", lambda: b"made") == b"made"
        assert cache.failures >= 2


@pytest.mark.parametrize("kind", WORLDS)
def test_closing_ends_the_calls_that_wait(kind: str) -> None:
    with opened(kind) as cache:
        items = cache.group("items")
        began, gate = threading.Event(), threading.Event()

        def fill() -> bytes:
            began.set()
            gate.wait(10)
            return b"late"

        def closer() -> None:
            began.wait(10)
            flights = items._group._filling._flights
            eventually_blocking(lambda: flights.waiting == 8, lambda: flights.waiting)
            cache.close()
            gate.set()

        thread = threading.Thread(target=closer)
        thread.start()
        found = in_threads(8, lambda n: items.get_or_set("k", fill))
        thread.join(10)
        assert {type(error) for error in found} == {LifecycleError}


@pytest.mark.parametrize("kind", WORLDS)
def test_many_threads_that_call_while_it_closes_all_come_back(kind: str) -> None:
    for _ in range(10):
        with opened(kind) as cache:
            items = cache.group("items")

            def run(n: int, cache: SyncCache = cache, items: Any = items) -> None:
                if n == 0:
                    time.sleep(0.01)
                    cache.close()
                while True:
                    items.get("k")

            assert {type(error) for error in in_threads(12, run)} == {LifecycleError}


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("kind", WORLDS)
def test_an_interruption_cancels_the_call_and_leaves_the_client_usable(kind: str) -> None:
    with opened_with_loops(kind) as (cache, loops):
        items = cache.group("items")
        items.set("k", b"1")
        bridge = cache._bridge
        for _ in range(5):
            # The loops are kept from answering, the client's and the node's, so that the get waits.
            with held(*loops):
                threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
                with pytest.raises(KeyboardInterrupt):
                    items.get("k")
            assert items.get("k") == b"1"
        eventually_blocking(lambda: not bridge.active, lambda: bridge.active)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("kind", WORLDS)
def test_an_interruption_cancels_what_goes_through_the_loop_as_well(kind: str) -> None:
    with opened_with_loops(kind) as (cache, loops):
        items = cache.group("items")
        items.set("k", b"1")
        bridge = cache._bridge
        for _ in range(3):
            with held(loops[0]):
                threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
                with pytest.raises(KeyboardInterrupt):
                    items.fetch("k")
            assert items.get("k") == b"1"
        eventually_blocking(lambda: not bridge.active, lambda: bridge.active)


@pytest.mark.parametrize("when", ["before the wake-up", "after it"])
def test_an_interruption_at_the_wake_up_itself_leaves_the_client_usable(when: str) -> None:
    class Interrupted:
        def __init__(self, loop: Any) -> None:
            self.loop, self.armed = loop, True

        def call_soon_threadsafe(self, callback: Any) -> None:
            armed, self.armed = self.armed, False
            if not armed or when == "after it":
                self.loop.call_soon_threadsafe(callback)
            if armed:
                raise KeyboardInterrupt

        def __getattr__(self, name: str) -> Any:
            return getattr(self.loop, name)

    with zmcache.sync.connect("mem://") as cache:
        items = cache.group("items")
        bridge = cache._bridge
        real, bridge.loop = bridge.loop, Interrupted(bridge.loop)  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            items.set("k", b"1")
        bridge.loop = real
        items.set("k", b"2")
        assert items.get("k") == b"2"
        assert not bridge.active


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_of_who_waits_for_anothers_fill_ends_only_that_wait() -> None:
    with zmcache.sync.connect("mem://") as cache:
        items = cache.group("items")
        began, gate = threading.Event(), threading.Event()
        found: list[bytes] = []

        def fill() -> bytes:
            began.set()
            gate.wait(10)
            return b"made"

        leader = threading.Thread(target=lambda: found.append(items.get_or_set("k", fill)))
        leader.start()
        began.wait(10)
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            items.get_or_set("k", fill)
        gate.set()
        leader.join(10)
        assert found == [b"made"]


@pytest.mark.parametrize("kind", WORLDS)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_after_a_fork_calls_are_refused_and_the_parent_goes_on(kind: str) -> None:
    with opened(kind) as cache:
        items = cache.group("items")
        items.set("k", b"1")
        pid = os.fork()
        if pid == 0:
            refused = 0
            for call in (lambda: items.get("k"), lambda: items.get_or_set("k", lambda: b"1"), cache.ring, cache.close):
                try:
                    call()
                except LifecycleError as error:
                    refused += "fork" in str(error)
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
        assert items.get("k") == b"1"


def test_in_its_own_thread_a_call_is_refused_and_does_not_hang() -> None:
    with zmcache.sync.connect("mem://") as cache:
        items = cache.group("items")

        def condition(value: object) -> bool:  # is asked on the loop
            items.get("k")
            return True

        with pytest.raises(LifecycleError, match="own thread"):
            items.cached(key="k", condition=condition)(lambda: b"1")()


@pytest.mark.parametrize("kind", WORLDS)
def test_a_program_that_never_closes_ends_all_the_same(kind: str) -> None:
    program = (
        "import sys, threading, time, zmcache.sync\n"
        "cache = zmcache.sync.connect(sys.argv[1]).open()\n"
        "items = cache.group('items')\n"
        "items.get_or_set('k', lambda: b'1', ttl=0.01, stale_ttl=60)\n"
        "time.sleep(0.05)\n"
        "items.get_or_set('k', lambda: time.sleep(30), ttl=60, stale_ttl=60)\n"
        "threading.Thread(target=lambda: [items.get('k') for _ in range(10**9)], daemon=True).start()\n"
        "time.sleep(0.1)\n"
        "print('ends')\n"
    )
    with opened(kind) as cache:
        address = "mem://" if kind == "mem" else cache.ring().members[0].endpoint.removeprefix("tcp://")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, address],
            capture_output=True, text=True, timeout=20, check=False, env={**os.environ, "PYTHONPATH": os.getcwd()},
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")


def test_at_the_end_of_a_program_the_loop_stands_still_and_no_exit_handler_hangs() -> None:
    program = (
        "import atexit, threading\n"
        "def last():\n"  # registered first
        "    ran = threading.Event()\n"
        "    cache._bridge.loop.call_soon_threadsafe(ran.set)\n"
        "    print('runs', ran.wait(0.2))\n"
        "    try: items.get('k')\n"
        "    except zmcache.errors.LifecycleError as error: print(error)\n"
        "    cache.close()\n"
        "    print(closed._bridge._ended)\n"
        "atexit.register(last)\n"
        "import zmcache.sync, zmcache.errors\n"
        "cache, closed = zmcache.sync.connect('mem://').open(), zmcache.sync.connect('mem://').open()\n"
        "items = cache.group('items')\n"
        "items.set('k', b'1')\n"
        "atexit.register(closed.close)\n"
        "atexit.register(lambda: print(items.get('k')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, timeout=20, check=False, env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    expected = "b'1'\nruns False\nthe program is ending\nTrue\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")
