"""The interface of a loader, and the border between other people's code and ours.

Whatever a backend's code raises, SystemExit included, becomes one `LoaderFailed` that names the loader: it is an answer
to the callers that wait, never the end of the node. Only a cancellation of ours passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from zmcache.errors import LoaderFailed


class BatchLoader(Protocol):
    """Fetches missing keys from a backend, a batch at a time."""

    @property
    def name(self) -> str:
        """What messages call it; holds no password."""

    @property
    def max_batch(self) -> int:
        """The most keys in one call; 1 where several in a call make no sense."""

    @property
    def batches(self) -> bool:
        """Whether several keys in a call make sense."""

    async def load(self, keys: list[str]) -> Mapping[str, bytes]:
        """The values of those keys that exist. Raises `LoaderFailed` when the call as a whole failed."""

    async def aclose(self) -> None:
        """Let go of threads and connections; bounded in time, raises nothing, idempotent."""


@contextmanager
def translated(name: str, text_of: Callable[[BaseException], str] = str) -> Iterator[None]:
    """Turn what the backend's code raises into `LoaderFailed`. ``text_of`` says what of an exception may be shown."""
    try:
        yield
    except LoaderFailed:
        raise
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled us: a task inside the loader was, and callers must not take that for their own cancellation.
        raise LoaderFailed(f"loader {name}: its own work was cancelled") from exc
    except (
        Exception,
        SystemExit,
        KeyboardInterrupt,
    ) as exc:  # of a task the last two would end the loop, and with it the node
        raise LoaderFailed(f"loader {name}: {type(exc).__name__}: {one_line(text_of(exc))}") from exc


def one_line(text: str, limit: int = 300) -> str:
    """The text on one line, shortened: it travels in a frame and stands in logs."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
