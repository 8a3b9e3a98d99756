"""Functions as loaders: all four kinds, what they may not return, and that one that hangs holds up neither loop nor exit."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from loader_calls import load_and_close

from zmcache.errors import ConfigError, LoaderFailed
from zmcache.examples import value_of
from zmcache.loaders import callable_loader, import_loader


def failure(function: Any, *keys: str, batch: bool = False) -> str:
    with pytest.raises(LoaderFailed) as caught:
        load_and_close(callable_loader(function, batch=batch, name="app:load"), *(keys or ("k",)))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def sync_one(key: str) -> bytes | None:
    return None if key == "none" else key.encode()


async def async_one(key: str) -> bytes | None:
    return sync_one(key)


def sync_batch(keys: list[str]) -> dict[str, bytes]:
    return {key: key.encode() for key in keys if key != "none"}


async def async_batch(keys: list[str]) -> dict[str, bytes]:
    return sync_batch(keys)


class AsyncObject:
    async def __call__(self, key: str) -> bytes | None:
        return sync_one(key)


@pytest.mark.parametrize(
    ("function", "batch"),
    [
        (sync_one, False), (async_one, False), (sync_batch, True), (async_batch, True), (AsyncObject(), False),
        (functools.partial(async_batch), True), (functools.partial(sync_one), False),
    ],
)  # fmt: skip
def test_each_kind_of_function_gives_the_values_and_leaves_out_what_is_not_there(function: Any, batch: bool) -> None:
    assert load_and_close(callable_loader(function, batch=batch), "a", "none", "b") == {"a": b"a", "b": b"b"}


def test_a_loader_of_single_keys_wants_them_one_at_a_time() -> None:
    single, batch = callable_loader(sync_one, max_batch=9), callable_loader(sync_batch, batch=True, max_batch=9)
    assert (single.max_batch, single.batches) == (1, False)
    assert (batch.max_batch, batch.batches) == (9, True)


def test_sync_functions_run_in_threads_and_async_ones_on_the_loop() -> None:
    threads: list[threading.Thread] = []

    def sync(_: str) -> None:
        threads.append(threading.current_thread())

    async def on_loop(_: str) -> None:
        threads.append(threading.current_thread())

    load_and_close(callable_loader(sync, name="app:sync"), "k")
    load_and_close(callable_loader(on_loop), "k")
    assert threads[0].name.startswith("zmcache loader app:sync")
    assert threads[1] is threading.main_thread()


def test_a_loader_is_imported_by_its_path_and_attributes_of_attributes_count() -> None:
    assert load_and_close(import_loader("zmcache.examples:echo", batch=True), "7", "absent:7") == {"7": value_of("7")}
    assert import_loader("pathlib:Path.exists").name == "pathlib:Path.exists"
    assert len(value_of("7")) == 128


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            "no_such_module:f",
            "loader no_such_module:f: cannot import no_such_module: ModuleNotFoundError: No module named",
        ),
        (
            "zmcache.examples:nothing",
            "loader zmcache.examples:nothing: module 'zmcache.examples' has no attribute 'nothing'",
        ),
        ("zmcache.examples:VALUE_BYTES", "loader zmcache.examples:VALUE_BYTES: expected a function, found int"),
        ("zmcache.examples", "expected an import path such as package.module:function, found 'zmcache.examples'"),
        (":f", "expected an import path"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused_before_anything_runs(target: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        import_loader(target)
    assert str(caught.value).startswith(text)


def test_a_module_that_fails_while_it_is_imported_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_one.py").write_text("raise ValueError('first\\nsecond')")
    (tmp_path / "broken_two.py").write_text("def f(:")
    (tmp_path / "broken_three.py").write_text("raise SystemExit(3)")
    for module, text in [
        ("broken_one", "ValueError: first second"),
        ("broken_two", "SyntaxError"),
        ("broken_three", "SystemExit: 3"),
    ]:
        with pytest.raises(ConfigError, match=text) as caught:
            import_loader(f"{module}:f")
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is not None


def test_what_is_not_callable_is_no_loader() -> None:
    with pytest.raises(ConfigError, match="expected a function as a loader, found int"):
        callable_loader(5)  # type: ignore[arg-type]  # on purpose


def test_a_wrong_return_type_names_the_loader_and_the_type() -> None:
    assert failure(lambda _: [b"x"], batch=True) == "loader app:load returned list, not a mapping of keys to bytes"
    assert failure(lambda _: None, batch=True) == "loader app:load returned NoneType, not a mapping of keys to bytes"
    assert failure(lambda _: "text") == "loader app:load returned str for one key, not bytes or None"
    assert failure(lambda _: bytearray(b"x")).endswith(
        "returned bytearray for one key, not bytes or None: make bytes() of it"
    )
    assert failure(lambda _: memoryview(b"x")).endswith("make bytes() of it")
    assert failure(lambda key: async_one(key)).startswith(
        "loader app:load returned a coroutine (declare the loader with async def)"
    )


class Boom(Exception):
    pass


def raiser(error: BaseException) -> Any:
    def function(_: str) -> bytes:
        raise error

    return function


def async_raiser(error: BaseException) -> Any:
    async def function(_: str) -> bytes:
        raise error

    return function


@pytest.mark.parametrize("make", [raiser, async_raiser])
def test_what_a_loader_raises_is_an_error_that_names_it(make: Any) -> None:
    assert failure(make(Boom("no\nluck"))) == "loader app:load: Boom: no luck"
    assert failure(make(SystemExit(3))) == "loader app:load: SystemExit: 3"
    assert failure(make(asyncio.CancelledError())) == "loader app:load: its own work was cancelled"
    assert failure(make(StopIteration())).startswith("loader app:load: RuntimeError")
    assert failure(make(LoaderFailed("as it is"))) == "as it is"
    assert len(failure(make(Boom("x" * 10_000)))) < 400


def test_a_keyboard_interrupt_in_a_loaders_thread_does_not_end_the_node() -> None:
    assert failure(raiser(KeyboardInterrupt())) == "loader app:load: RuntimeError: KeyboardInterrupt"


def test_the_cause_of_a_failure_is_kept() -> None:
    with pytest.raises(LoaderFailed) as caught:
        load_and_close(callable_loader(raiser(Boom("x"))), "k")
    assert isinstance(caught.value.__cause__, Boom)


def test_a_cancelled_load_is_cancelled_and_not_failed() -> None:
    async def run() -> None:
        started = asyncio.Event()

        async def hang(_: str) -> bytes:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

        task = asyncio.create_task(callable_loader(hang).load(["k"]))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_no_more_threads_than_allowed_run_at_once_and_closing_ends_them() -> None:
    lock, running, most = threading.Lock(), 0, 0
    all_in = threading.Barrier(3)

    def function(key: str) -> bytes:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if key != "alone":
            all_in.wait(10)
        with lock:
            running -= 1
        return b"v"

    async def run() -> None:
        loader = callable_loader(function, threads=3, name="app:counted")
        assert len(await asyncio.gather(*(loader.load([str(n)]) for n in range(9)))) == 9
        assert most == 3
        await loader.aclose()
        assert not [thread for thread in threading.enumerate() if "app:counted" in thread.name]
        with pytest.raises(LoaderFailed, match="the loader is closed"):
            await loader.load(["k"])
        await loader.aclose()

    asyncio.run(run())


def test_an_idle_thread_is_used_again() -> None:
    async def run() -> None:
        loader = callable_loader(sync_one, threads=100, name="app:reuse")
        for _ in range(100):
            await loader.load(["k"])
        # More than one only where a thread had not yet said that it is idle.
        assert sum("app:reuse" in thread.name for thread in threading.enumerate()) < 10
        await loader.aclose()

    asyncio.run(run())


def test_a_function_that_hangs_holds_up_neither_the_loop_nor_closing(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    def hang(_: str) -> bytes:
        release.wait(60)
        return b"late"

    async def run() -> None:
        loader = callable_loader(hang, threads=1, name="app:hang")
        stuck = asyncio.create_task(loader.load(["a"]))
        waiting = asyncio.create_task(loader.load(["b"]))
        await asyncio.sleep(0)
        for task in (stuck, waiting):
            task.cancel()
        await asyncio.wait([stuck, waiting])
        assert stuck.cancelled()
        assert waiting.cancelled()
        started = time.monotonic()
        await loader.aclose()
        assert time.monotonic() - started < 5
        release.set()

    asyncio.run(run())
    assert "loader app:hang: 1 of its threads still at work were left behind" in caplog.text


def test_a_call_that_was_cancelled_before_a_thread_took_it_is_never_made() -> None:
    asked: list[str] = []
    taken, release = threading.Event(), threading.Event()

    def function(key: str) -> bytes:
        asked.append(key)
        taken.set()
        release.wait(10)
        return b""

    async def run() -> None:
        loader = callable_loader(function, threads=1)
        first = asyncio.create_task(loader.load(["first"]))
        second = asyncio.create_task(loader.load(["second"]))
        assert await asyncio.to_thread(taken.wait, 10)
        second.cancel()
        await asyncio.wait([second])
        release.set()
        await first
        await loader.load(["third"])
        await loader.aclose()

    asyncio.run(run())
    assert asked == ["first", "third"]


def test_a_process_ends_although_a_loader_hangs() -> None:
    script = textwrap.dedent("""
        import asyncio, time
        from zmcache.loaders import callable_loader
        async def main():
            loader = callable_loader(lambda key: time.sleep(600))
            task = asyncio.create_task(loader.load(["k"]))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.wait([task])
            await loader.aclose()
        asyncio.run(main())
        print("done")
    """)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr
