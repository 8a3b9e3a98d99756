"""Accesses in order, in memory: a simulation goes through them many times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..requests import DELETE, READ
from ..workloads import TraceWorkload


@dataclass(frozen=True)
class Stream:
    """``keys`` that are read, in order, and the bytes of each value; ``sizes`` of None: all are of one size.

    Equal keys are one object. In a stream without sizes all keys are of one length, so that the store charges the same for each.
    """

    keys: Sequence[str]
    sizes: Sequence[int] | None = None

    @cached_property
    def distinct(self) -> int:
        """How many keys there are."""
        return len(set(self.keys))


def same_length(tokens: Iterable[int]) -> list[str]:
    """Keys for whole numbers, all of one length; equal ones are one object."""
    made: dict[int, str] = {}
    return [made.get(token) or made.setdefault(token, f"{token:012d}") for token in tokens]


def read_trace(workload: TraceWorkload, *, with_sizes: bool) -> Stream:
    """What a trace asks for. A write is an access like a read, as its value is in the cache afterwards; deletes are left out.

    ``with_sizes``: with the bytes that the trace gives each value, and its own keys; else with keys of one length. Raises
    `TraceError`.
    """
    numbers: dict[int | str, int] = {}
    tokens: list[int] = []
    sizes: list[int] = []
    for found in workload.accesses():
        asked: Sequence[int | str] = found.tokens
        ops = found.ops or [READ] * len(asked)
        given = found.sizes or [workload.size_bytes] * len(asked)
        for op, token, size in zip(ops, asked, given, strict=True):
            if op != DELETE:
                tokens.append(numbers.setdefault(token, len(numbers)))
                sizes.append(size)
    if not with_sizes:
        return Stream(same_length(tokens))
    names = [str(token) for token in numbers]
    return Stream([names[token] for token in tokens], sizes)
