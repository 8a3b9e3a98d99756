"""What an eviction policy is: it orders slots, and names the next victim.

The store gives each entry a slot, a small whole number that is used again when the entry has gone. A policy keeps what
it needs in arrays indexed by slot, so that it holds no second dictionary of the same keys and nothing that the garbage
collector has to visit. It decides nothing about expiry or keys: the store tells it what came, what was used and what
went, and asks for a victim when the budget is exceeded. Costs are what the store charges; a policy that divides the
budget among queues divides bytes, so that one item is not like another.

The way of a new entry:

    1  arriving(identity, cost)    before room is made for it: what depends on whether it was here before
    2  victim(), evicted(...)      as often as needed
    3  inserted(slot, cost)        it has a slot now

Hits come in batches: the store notes the slots that were used and hands them over before it tells of anything else, so
a policy sees all that happens in the order in which it happened, and only slots that are in use.

A key's *identity* is its hash: a policy that remembers keys without keeping them (ghosts, counts) knows them by it. Two
keys with one hash share a memory, which costs a hit now and then and no more.
"""

from __future__ import annotations

from array import array
from typing import ClassVar, Final, Protocol

_SLOTS_PAGE: Final = 4096
SPARED_MOST: Final = 500
"""How many entries a policy passes over for one victim. The papers set no bound, but where everything in a large cache has been used, going
round all of it would hold the loop for most of a second; then the next one goes, used or not.
"""


class EvictionPolicy(Protocol):
    """Orders the slots in use. Slots are whole numbers from 1; 0 is never a slot."""

    ENTRY_BYTES: ClassVar[int]
    """What it keeps for an entry at the most, with what it remembers of those that have gone; charged with each entry."""

    def resize(self, budget_bytes: int) -> None:
        """The budget is this from now on. What is in use may exceed it for a while."""

    def arriving(self, identity: int, cost: int) -> None:
        """A new entry is about to come, of ``cost`` bytes, and room will be made for it first."""

    def inserted(self, slot: int, cost: int) -> None:
        """The entry that was arriving has this slot."""

    def resized(self, slot: int, cost: int) -> None:
        """The entry was overwritten and costs ``cost`` bytes now. That counts as a use."""

    def touched(self, slots: list[int]) -> None:
        """These slots were used, oldest use first; one may stand there many times. Copy it if you keep it."""

    def removed(self, slot: int) -> None:
        """The entry was deleted or has expired; the slot may be used again."""

    def victim(self) -> int:
        """The slot to be evicted next, the same until something else happens; asking may move others. Raises `LookupError` when none is in use."""

    def evicted(self, slot: int, identity: int) -> None:
        """The victim has gone; the slot may be used again."""


def cover(slot: int, *by_slot: array[int] | bytearray) -> None:
    """Have a place for this slot in each. Arrays grow by pages, so that no single insert copies for long."""
    for places in by_slot:
        while slot >= len(places):
            places.extend(
                bytes(_SLOTS_PAGE)
                if isinstance(places, bytearray)
                else array(places.typecode, bytes(places.itemsize * _SLOTS_PAGE))
            )
