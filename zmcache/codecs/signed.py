"""Pickle, which carries nearly everything and runs whatever it is told to: only by name, and only under a signature.

An entry is an HMAC-SHA256 of 32 bytes, then the pickle. Nothing is unpickled before the signature was checked, in constant time, so what
was written by anybody without the key is no entry. The signature says who wrote a value, not under which key or when: whoever can write to
the cache can put an older signed value in the place of another.
"""

from __future__ import annotations

import hmac
import pickle
from typing import Any, Final

from zmcache.codecs.base import cannot_carry, cannot_read
from zmcache.errors import ConfigError

# 128 bits: what cannot be guessed.
LEAST_KEY_BYTES: Final = 16
_SIGNATURE_BYTES: Final = 32
# A program may sign other things with the same key: none of those signatures is to be good for a pickle.
_PURPOSE: Final = b"zmcache.codecs.pickle"


class PickleCodec:
    """Signed pickles. See `pickle_codec`."""

    name: Final = "pickle"

    def __init__(self, key: bytes) -> None:
        self._key: Final = hmac.digest(key, _PURPOSE, "sha256")

    def __repr__(self) -> str:
        return "PickleCodec()"

    def encode(self, value: Any, /) -> bytes:
        """Raises `InvalidValue` for what pickle cannot carry: a lambda, an open file, a class inside a function."""
        try:
            data = pickle.dumps(value, protocol=5)
        except Exception as exc:
            raise cannot_carry(self.name, value, exc) from exc
        return hmac.digest(self._key, data, "sha256") + data

    def decode(self, data: bytes, /) -> Any:
        """Raises `Undecodable`, without a look at the pickle where the signature is wrong or missing."""
        view = memoryview(data)
        signature, signed = view[:_SIGNATURE_BYTES], view[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, hmac.digest(self._key, signed, "sha256")):
            raise cannot_read(self.name, "it is not signed with this key")
        try:
            return pickle.loads(signed)
        except Exception as exc:  # signed, but of a class that has moved, or no longer takes its own state
            raise cannot_read(self.name, exc) from exc


def pickle_codec(key: bytes | None) -> PickleCodec:
    """Pickle under a signature. ``key``: at least 16 bytes that only the programs which share the values know, such as
    ``secrets.token_bytes(32)``, kept where they keep their other secrets.

    Raises `ConfigError` without one.
    """
    if type(key) is not bytes or len(key) < LEAST_KEY_BYTES:
        # The key itself is never shown.
        found = f"{len(key)} bytes" if type(key) is bytes else "none" if key is None else type(key).__name__
        raise ConfigError(
            f"expected key=, at least {LEAST_KEY_BYTES} secret bytes to sign with, for the codec pickle, found {found}"
        )
    return PickleCodec(key)
