"""What an eviction policy is: it orders slots, and names the next victim.

The store gives each entry a slot, a small whole number that is used again when the entry has gone. A policy keeps what
it needs in arrays indexed by slot, so that it holds no second dictionary of the same keys and nothing that the garbage
collector has to visit. It decides nothing about bytes, expiry or keys: the store tells it what came, what was used and
what went, and asks for a victim when the budget is exceeded.

Hits come in batches: the store notes the slots that were used and hands them over before it tells of anything else, so
a policy sees all that happens in the order in which it happened, and only slots that are in use.

A policy that remembers what it evicted (a ghost list) needs the key's identity, which a slot is not: it is to be given
the key's hash beside ``cost``, as a further argument of `inserted`, when the first such policy comes.
"""

from __future__ import annotations

from typing import Protocol


class EvictionPolicy(Protocol):
    """Orders the slots in use. Slots are whole numbers from 1; 0 is never a slot."""

    def inserted(self, slot: int, cost: int) -> None:
        """A new entry, of ``cost`` bytes, has this slot."""

    def resized(self, slot: int, cost: int) -> None:
        """The entry was overwritten and costs ``cost`` bytes now. That counts as a use."""

    def touched(self, slots: list[int]) -> None:
        """These slots were used, oldest use first; one may stand there many times. Copy it if you keep it."""

    def removed(self, slot: int) -> None:
        """The entry has gone, evicted or not; the slot may be used again."""

    def victim(self) -> int:
        """The slot to be evicted next. The store removes it, and calls `removed`. Raises `LookupError` when none is in
        use.
        """
