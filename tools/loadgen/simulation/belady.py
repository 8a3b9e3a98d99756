"""The most hits that any cache can have: Belady's algorithm, which knows what comes.

L. A. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5 (1966). Of the items held
and the one that came, the one that is needed again last goes; so an item may go before it was stored, which a cache with an
admission policy can do as well. It is an optimum for items of one size; for others it is no bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush


def next_uses(tokens: Sequence[int]) -> list[int]:
    """For each access, where the same token comes next; the length of the sequence where it never does."""
    never = len(tokens)
    after = [never] * never
    seen: dict[int, int] = {}
    for at in range(never - 1, -1, -1):
        token = tokens[at]
        after[at] = seen.get(token, never)
        seen[token] = at
    return after


def most_hits(tokens: Sequence[int], after: Sequence[int], items: int) -> int:
    """The most hits with room for ``items``, from an empty cache. ``after``: `next_uses` of the tokens. About 1 us an access.

    A held item is known by where it is needed next, which no two have in common but those that are never needed again;
    these are not held at all, for that costs no hit.
    """
    never = len(tokens)
    held: set[int] = set()
    # A heap of negated places; those that were reached are not taken out, and stand at its end.
    furthest: list[int] = []
    hits = 0
    for at, needed in enumerate(after):
        if at in held:
            held.remove(at)
            hits += 1
        if needed == never:
            continue
        held.add(needed)
        heappush(furthest, -needed)
        if len(held) > items:
            # The furthest of all that is held lies ahead, and so does everything above it in the heap.
            held.remove(-heappop(furthest))
    return hits
