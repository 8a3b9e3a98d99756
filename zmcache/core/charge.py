"""What an entry costs in bytes, overhead included: what is charged to the budget when it comes, and given back when it goes."""

from __future__ import annotations

from typing import Final

from zmcache.core.marks import Held

# Beside the two objects and what the policy keeps: a shard's place 20 to 50, a place in each of two lists 16, and in arrays
# when it ends 8, its version 8 and the wheel 8; the rest is the allocator's, and what tables have to spare. Seen by
# `zmcache-loadgen simulate`, which measures what an entry costs with each policy.
STORE_OVERHEAD: Final = 88


def charge_of(key: str, value: Held, overhead: int) -> int:
    """What an entry costs: both objects as the allocator rounds them, and ``overhead`` (`zmcache.core.eviction.entry_overhead`).

    It depends on the key's text and the value's length only: what was charged is what is given back. (`sys.getsizeof`
    of a key that is not ASCII grows when somebody asks for its UTF-8; four bytes a character for each form are the most
    it can come to.)
    """
    key_bytes = 49 + len(key) if key.isascii() else 77 + 8 * len(key)
    return (key_bytes + 15 & -16) + (33 + len(value) + 15 & -16) + overhead
