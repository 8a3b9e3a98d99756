"""The token of a value: a hash of it, by which somebody says later which value was seen. Nothing has to be kept for it, and it holds on every
node and after a restart. A value that was changed and changed back has the same token again.
"""

from __future__ import annotations

from typing import Final

import xxhash

ANEW: Final = 1
"""In the place of a token, in a FILL: whatever the value is."""


def token_of(value: bytes | None) -> int:
    """What a `cas` has to bring for it. About 0.2 us."""
    return ANEW if value is None else xxhash.xxh3_64_intdigest(value) | 2
