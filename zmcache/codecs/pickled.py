"""pickle, for what nothing else carries. Unpickling runs whatever the bytes say: so only what was signed with the user's own key is ever read."""

from __future__ import annotations

import hashlib
import hmac
import pickle
from typing import Any, Final

from zmcache.codecs.base import Undecodable
from zmcache.errors import ConfigError, InvalidValue

_SIGNATURE_BYTES: Final = 32
_KEY_BYTES_MIN: Final = 16


class Pickled:
    """HMAC-SHA256 of the rest, then the pickle."""

    name = "pickle"

    def __init__(self, key: bytes | None) -> None:
        """Raises `ConfigError` without a key of 16 bytes at least."""
        if not isinstance(key, bytes) or len(key) < _KEY_BYTES_MIN:
            raise ConfigError(
                f"codec pickle needs a key=, a secret of {_KEY_BYTES_MIN} bytes or more, that signs what it reads"
            )
        self._key = key

    def encode(self, value: Any) -> bytes:
        """See `Codec.encode`."""
        try:
            data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as exc:  # whatever a value's own __reduce__ raises
            raise InvalidValue(f"{type(value).__name__} cannot be pickled: {exc}") from exc
        return self._sign(data) + data

    def decode(self, data: bytes) -> Any:
        """See `Codec.decode`."""
        signature, rest = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(rest)):
            raise Undecodable("not signed with this key")
        try:
            return pickle.loads(rest)  # signed by whoever has the key
        except Exception as exc:  # a class that has moved since, and whatever else its code does
            raise Undecodable(f"{type(exc).__name__}: {exc}") from exc

    def _sign(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, hashlib.sha256)
