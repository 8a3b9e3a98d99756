"""What an entry costs in bytes, overhead included: what is charged to the budget when it comes, and given back when it goes."""

from __future__ import annotations

from typing import Final

# Measured over a million entries of 13 + 128 bytes (240 with their headers) that all expire: 383 resident bytes an
# entry as they come in, 414 after three million more have replaced them, which leaves the shards with room. A shard's
# place 27 to 52, the slot's int 32, two pages' places 54, and in arrays: when it ends 8, the wheel 8, the policy 8 to
# 16; the rest is the allocator's. To repeat: /proc/self/statm before and after a loop of `Store.set`.
ENTRY_OVERHEAD: Final = 176


def charge_of(key: str, value: bytes) -> int:
    """What an entry costs: both objects as the allocator rounds them, and `ENTRY_OVERHEAD`.

    It depends on the key's text and the value's length only: what was charged is what is given back. (`sys.getsizeof`
    of a key that is not ASCII grows when somebody asks for its UTF-8; four bytes a character for each form are the most
    it can come to.)
    """
    key_bytes = 49 + len(key) if key.isascii() else 77 + 8 * len(key)
    return (key_bytes + 15 & -16) + (33 + len(value) + 15 & -16) + ENTRY_OVERHEAD
