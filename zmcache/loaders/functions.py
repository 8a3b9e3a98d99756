"""A Python function as a loader: sync or async, of one key or of a batch.

    def load(key: str) -> bytes | None                     one key; None: no such key
    async def load(keys: list[str]) -> dict[str, bytes]    a batch (declared as such); absent: no such key

Sync functions run in daemon threads of this loader alone (see `threads`), async ones on the loop. What comes back is
checked for its shape here, since only here its author can be named; the group checks each value.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from zmcache.errors import ConfigError, LoaderFailed
from zmcache.loaders.base import BatchLoader, one_line, translated
from zmcache.loaders.threads import DaemonThreads

_log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S: Final = 1.0
"""How long closing waits for a function in a thread; whoever drained the node first has none left."""


def import_loader(target: str, *, batch: bool = False, max_batch: int = 100, threads: int = 16) -> BatchLoader:
    """The loader named ``package.module:function`` (attributes of attributes allowed).

    ``batch``: it takes a list of at most ``max_batch`` keys; else one key. ``threads``: at most so many at once where
    it is sync. Raises `ConfigError` when it cannot be imported, with the reason, or cannot be called.
    """
    return callable_loader(_resolve(target), batch=batch, max_batch=max_batch, threads=threads, name=target)


def callable_loader(
    function: Callable[..., Any], *, batch: bool = False, max_batch: int = 100, threads: int = 16, name: str = ""
) -> BatchLoader:
    """The same from the function itself, for programs that embed a node. ``name`` (for messages) is made from it."""
    if not callable(function):
        raise ConfigError(f"expected a function as a loader, found {type(function).__name__}")
    return _FunctionLoader(function, name or _name_of(function), batch=batch, max_batch=max_batch, threads=threads)


def _resolve(target: str) -> Callable[..., Any]:
    module_name, _, attributes = target.partition(":")
    if not module_name or not attributes:
        raise ConfigError(f"expected an import path such as package.module:function, found {target!r}")
    try:
        found: object = importlib.import_module(module_name)
    except (Exception, SystemExit) as exc:  # importing runs whatever stands in the module
        raise ConfigError(
            f"loader {target}: cannot import {module_name}: {type(exc).__name__}: {one_line(str(exc))}"
        ) from exc
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError as exc:
            raise ConfigError(f"loader {target}: {one_line(str(exc))}") from exc
    if not callable(found):
        raise ConfigError(f"loader {target}: expected a function, found {type(found).__name__}")
    return found


def _name_of(function: Callable[..., Any]) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    of = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{of.__module__}:{of.__qualname__}"


class _FunctionLoader:
    def __init__(self, function: Callable[..., Any], name: str, *, batch: bool, max_batch: int, threads: int) -> None:
        self.name = name
        self.batches = batch
        self.max_batch = max_batch if batch else 1
        self._function = function
        # An object may be called through an async __call__.
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
        self._threads = None if is_async else DaemonThreads(threads, f"zmcache loader {name}")
        self.can_be_stopped = is_async

    async def load(self, keys: list[str]) -> Mapping[str, bytes]:
        if self.batches:
            found = await self._call(keys)
            if not isinstance(found, Mapping):
                raise LoaderFailed(f"loader {self.name} returned {_type_of(found)}, not a mapping of keys to bytes")
            return found
        values = {}
        for key in keys:
            value = await self._call(key)
            if isinstance(value, bytes):
                values[key] = value
            elif value is not None:
                hint = ": make bytes() of it" if isinstance(value, bytearray | memoryview) else ""
                raise LoaderFailed(
                    f"loader {self.name} returned {_type_of(value)} for one key, not bytes or None{hint}"
                )
        return values

    async def aclose(self) -> None:
        if self._threads is not None and (left := await self._threads.aclose(CLOSE_TIMEOUT_S)):
            _log.warning("loader %s: %d of its threads still at work were left behind", self.name, left)

    async def _call(self, argument: str | list[str]) -> object:
        with translated(self.name):
            if self._threads is None:
                return await self._function(argument)
            return await self._threads.run(functools.partial(self._function, argument))


def _type_of(value: object) -> str:
    if inspect.iscoroutine(value):
        value.close()  # or the interpreter warns that nobody awaited it
        return "a coroutine (declare the loader with async def)"
    return type(value).__name__
