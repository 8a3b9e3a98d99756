"""The contract of a workload, and how several workers share one.

A workload is plain data: it can be shown in a report and handed to another process, and every call of `requests` starts the
same stream again. It draws sizes and never values, and knows no clock: seconds in its requests are intended ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from ..requests import Request


class Workload(Protocol):
    """A stream of requests, and what the report says about it."""

    @property
    def seed(self) -> int | None:
        """What decides the stream; None where nothing is drawn."""

    @property
    def description(self) -> Mapping[str, object]:
        """Its parameters, by name, for the report and for JSON."""

    @property
    def total(self) -> int | None:
        """How many requests there are, where that is known."""

    @property
    def timed(self) -> bool:
        """Whether each request says at which second it is due."""

    def requests(self) -> Iterator[Request]:
        """The stream, from its start. Raises `TraceError` where it cannot go on."""

    def load_requests(self) -> Iterator[Request]:
        """Every key once, written, for the load phase; nothing where the keys are not known."""

    def for_worker(self, index: int, count: int) -> Workload:
        """The part of worker ``index``, from 0, of ``count``."""


class Part(NamedTuple):
    """Which of how many workers."""

    worker: int = 0
    workers: int = 1

    def check(self) -> None:
        """Raises ValueError where there is no such worker."""
        if not 0 <= self.worker < self.workers:
            raise ValueError(f"worker: from 0 to {self.workers - 1}, not {self.worker}")

    def stem(self, seed: int) -> str:
        """What the generators of this worker are seeded with, each with its own name behind it."""
        return f"{seed}" if self.workers == 1 else f"{seed}/{self.worker} of {self.workers}"


WHOLE: Final = Part()
"""The part of the only worker."""


def named(prefix: str, tokens: Sequence[int] | Sequence[str]) -> list[str]:
    """The keys as the cache gets them: ``prefix`` and the token as text."""
    # an f-string takes three quarters of the time of str()
    return [f"{prefix}{token}" for token in tokens]
