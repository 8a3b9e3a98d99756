"""What waits at a peer that is slow, or that lets a ping wait, is looked for at those who hold a copy, too.

Who asks of a slow peer from now on is sent elsewhere by whoever routes it. What had been sent before waits for as long as that peer takes, which
may be longer than its caller does; and until the peer is known to be slow, nobody is sent elsewhere. So what waits is asked of another holder as a
*look*: that begins no load, and where it finds nothing the peer's own answer is awaited as before. Whichever comes first is the caller's; the
other fills nothing any more, and the peer is told that it need not answer. A look is a get of one who fills (FILLS) and no PEEK, which a node
that is cut off answers too, with what was replaced long ago.

Only gets, of groups of which there are copies. Of what was looked for no copy is kept: nobody would tell when the look's answer is no longer true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zmcache.core.wire import ANSWER, FILLS, FORWARDED, FROM_LOADER, GET, IS_NONE, NOT_OWNER, PEEK, Answer, header
from zmcache.errors import ZmcacheError
from zmcache.peers.batch import Batch
from zmcache.peers.channel import LATE_S, Channel

_KEYS_MOST: Final = 1000  # at once, of one peer


class _Look:
    """One message to another holder; its sinks are positions in the batch that waits. Consumer of its own batch."""

    __slots__ = ("_waits",)

    def __init__(self, waits: Batch) -> None:
        self._waits = waits

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        positions = range(len(batch.keys)) if answer.positions is None else answer.positions
        told = zip(positions, answer.value_flags or (), strict=False)
        flags = {batch.sinks[at]: flag for at, flag in told if at < len(batch.sinks)}
        rows = [row for row in batch.fill(answer) if row[1] <= FROM_LOADER or row[1] == IS_NONE]
        if rows:
            found, statuses, values, lives_ms, tokens = map(list, zip(*rows, strict=True))
            # Who keeps the owner's answer is not to take it for that.
            head = header(ANSWER, self._waits.request_id, batch.channel.epoch, flags=NOT_OWNER, group=batch.group)
            value_flags = [flags.get(at, 0) for at in found] if flags else None
            self._waits.channel.fill_in(
                self._waits, Answer(*head, found, bytes(statuses), values, lives_ms, value_flags, tokens)
            )

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        # The slow peer may still answer, and another may be asked.
        self._waits.looked.difference_update(batch.unfilled())


def look_elsewhere(slow: Channel, now_s: float, other_holder: Callable[[str, str, Channel], Channel | None]) -> None:
    """Twice a beat, for a peer that is late. ``other_holder``: of this group's key, but for that peer; None: there is none in reach that is quick."""
    left = _KEYS_MOST
    for batch in slow.unanswered_gets():
        if batch.flags & PEEK or now_s - batch.opened_s < LATE_S:
            continue
        looks: dict[Channel, Batch] = {}
        for at in [at for at in batch.open_positions() if at not in batch.looked][:left]:
            left -= 1
            key = batch.keys[at]
            channel = other_holder(batch.group, key, slow)
            if channel is None:
                continue
            batch.looked.add(at)
            if batch.kept:
                batch.kept.pop(at, None)
            look = looks.get(channel)
            if look is None or not look.open:
                look = looks[channel] = channel.open_batch(_Look(batch), GET, batch.group, flags=FORWARDED | FILLS)
            look.add(key, at, batch.deadline_s)
        if left <= 0:
            return
