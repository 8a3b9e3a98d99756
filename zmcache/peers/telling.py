"""Telling all nodes that tags are invalidated, or a group is cleared: in two rounds.

1. Each is asked which version a set would have now. The greatest of these is newer than all that was written anywhere before the call.
2. Each is told that what has the tags is old up to that version. It gives none but newer ones from then on.

So nothing that was acknowledged before the call outlives it, whatever the clocks say, and what is set after it does. A node that could not be asked
is told all the same, in case it can be reached again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from zmcache.core import wire
from zmcache.core.tags import TAG_BYTES
from zmcache.core.wire import FORWARDED, INVALIDATE, MOMENT, Header, Invalidate, Limits, Reply, Word
from zmcache.errors import MeshError, NotAllTold, ProtocolError, ZmcacheError
from zmcache.peers.channel import Channel

# Of the time that there is, for the first round: who hangs must not use up the second's.
_FIRST: Final = 0.5


async def invalidate(
    channels: Sequence[Channel],
    group: str,
    tags: Sequence[str],
    until_s: float,
    clock: Callable[[], float],
    least: int = 0,
    on_version: Callable[[int], None] = lambda _: None,
) -> None:
    """Tell them all. A node that does so has an answer to the first round itself, ``least``, and is told of the version by ``on_version``.

    Raises `NotAllTold` when all have been tried; where nobody could be told, why not.
    """
    asked = [
        channel.query(MOMENT, _between(clock(), until_s), group, make=lambda header: Word(*header, 0))
        for channel in channels
    ]
    moments = [answer.number for answer in await _answers(asked) if isinstance(answer, Word) and answer.kind == MOMENT]
    version = max([least, *moments])
    if not version:
        # Nobody has answered, and so nobody is told.
        failures = (error for future in asked if (error := future.exception()) is not None)
        raise next(failures, ProtocolError("no node says which version a set would have"))
    on_version(version)
    failed: dict[str, ZmcacheError] = {}
    most = tags_at_once(channels[0].limits) if channels else 1
    for start in range(0, len(tags), most):
        part = list(tags[start : start + most])
        told = [
            channel.query(INVALIDATE, until_s, group, make=lambda header, part=part: _message(header, part, version))  # type: ignore[misc]
            for channel in channels
        ]
        for channel, answer in zip(channels, await _answers(told), strict=True):
            if isinstance(answer, ZmcacheError):
                failed[channel.name] = answer
            elif answer.kind != wire.PONG:
                failed[channel.name] = ProtocolError(f"told of tags, it answered with kind {answer.kind}")
    for error in failed.values():
        if not isinstance(error, MeshError):
            raise error
    if failed:
        raise NotAllTold(nodes=tuple(failed)) from next(iter(failed.values()))


def tags_at_once(limits: Limits) -> int:
    """So many fit one message, whatever they are."""
    return max(1, min(limits.keys, limits.message_bytes // 2 // (TAG_BYTES + wire.ROW_OVERHEAD_BYTES)))


def _message(header: Header, tags: list[str], version: int) -> Invalidate:
    return Invalidate(*header, tags, [version] * len(tags), 0)


def relay(channels: Sequence[Channel], told: Invalidate, until_s: float) -> None:
    """Tell these what one has told; nobody waits for it."""
    for channel in channels:
        answer = channel.query(
            INVALIDATE, until_s, told.group, flags=FORWARDED,
            make=lambda header: Invalidate(*header, told.tags, told.versions, told.floor),
        )  # fmt: skip
        answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())


def _between(now_s: float, until_s: float) -> float:
    return now_s + (until_s - now_s) * _FIRST


async def _answers(asked: list[asyncio.Future[Reply]]) -> list[Reply | ZmcacheError]:
    """What came of each."""
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, ZmcacheError):
            raise answer
    return answers  # type: ignore[return-value]  # all else was raised
