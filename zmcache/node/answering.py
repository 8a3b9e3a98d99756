"""Answers to the wire: the rows of keys within the message limit, a refusal, a word that it is done. Each bears the epoch of the ring in use, and
says where the asker's is another and not all of its keys are this node's.

On the way of every hit. It knows neither groups nor what is in flight: whoever has it send something says what came of each key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.errors import ZmcacheError
from zmcache.node.late import Row
from zmcache.node.rows import TEXT_BYTES, Values, error_text, lives_ms, parts, rows_bytes

_HEADER_BYTES: Final = 1024  # a generous guess of what an answer holds besides its rows

KeyRequest: TypeAlias = wire.Get | wire.Set | wire.Delete | wire.Changes
"""What has rows in its answer, one a key."""


class Desk(Protocol):
    """What it needs of its node."""

    @property
    def epoch(self) -> Epoch:
        """That of the ring in use."""

    def is_ours(self, key: str) -> bool:
        """Whether the ring gives the key to this node."""


class Answers:
    """Sends them by ``send``, which takes a peer and a frame."""

    def __init__(self, desk: Desk, limits: wire.Limits, send: Callable[[bytes, bytes], bool]) -> None:
        self._desk = desk
        self._send = send
        self._room = limits.message_bytes - _HEADER_BYTES
        # So many rows fit one message, whatever they hold.
        self._rows_that_fit = self._room // (max(limits.value_bytes, TEXT_BYTES) + wire.ROW_OVERHEAD_BYTES)
        self.refused = 0

    def answer(self, peer: bytes, reply: wire.Reply) -> None:
        """Send this."""
        self._send(peer, wire.encode(reply))

    def pong(self, peer: bytes, request: wire.Message) -> None:
        """What was asked for is done; to a PING: this node is alive."""
        self.answer(peer, wire.Query(*wire.header(wire.PONG, request.request_id, self._desk.epoch)))

    def refuse(self, peer: bytes, request_id: int, error: ZmcacheError) -> None:
        """Nothing of what was asked for is done."""
        self.refused += 1
        header = wire.header(wire.REFUSAL, request_id, self._desk.epoch)
        self.answer(peer, wire.Refusal(*header, error.code, error_text(error)))

    def outcomes(self, peer: bytes, request: KeyRequest, rows: list[Row], now_s: float) -> None:
        """What came of some of a request's keys; ``now_s`` by the clock of their expiries."""
        came = [outcome for _, outcome in rows]
        tokens, with_tags = [outcome.token for outcome in came], [outcome.has_tags for outcome in came]
        self.rows(
            peer,
            request,
            [at for at, _ in rows],
            bytes([outcome.status for outcome in came]),
            [outcome.value if outcome.error is None else error_text(outcome.error) for outcome in came],
            # What was found at the beginning of this turn may have ended by now.
            lives_ms([max(outcome.expires_at_s, now_s) for outcome in came], now_s),
            tokens if any(tokens) else None,
            [wire.TAGS_FLAG * has_tags for has_tags in with_tags] if any(with_tags) else None,
        )

    def rows(
        self,
        peer: bytes,
        request: KeyRequest,
        positions: list[int] | None,
        statuses: bytes,
        values: Values,
        lives: list[int],
        tokens: list[int] | None = None,
        value_flags: list[int] | None = None,
    ) -> None:
        """One answer, or as many as keep each within the message limit. ``positions`` are None where every key was found."""
        epoch = self._desk.epoch
        flags = 0
        if request.revision != epoch.revision or request.digest != epoch.digest:
            is_ours = self._desk.is_ours
            if not all(is_ours(key) for key in request.keys):
                flags = wire.NOT_OWNER
        header = wire.header(wire.ANSWER, request.request_id, epoch, flags=flags)
        if len(values) <= self._rows_that_fit or rows_bytes(values, all_found=positions is None) <= self._room:
            self.answer(peer, wire.Answer(*header, positions, statuses, list(values), lives, value_flags, tokens))
            return
        at = positions if positions is not None else range(len(values))
        for part in parts(values, self._room):
            rows = list(at[part]), statuses[part], list(values[part]), lives[part]
            self.answer(peer, wire.Answer(*header, *rows, value_flags and value_flags[part], tokens and tokens[part]))
