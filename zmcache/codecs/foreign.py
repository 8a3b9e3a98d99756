"""A program's own codec: an object with ``name``, ``encode`` and ``decode``, and the border to it.

Whatever it raises on encoding becomes `InvalidValue`, on decoding `Undecodable`, chained; it may raise those itself. What it returns for
bytes is checked, since all below rely on it.
"""

from __future__ import annotations

from typing import Any, Final

from zmcache.codecs.base import Codec, Undecodable, cannot_carry, cannot_read, one_line, type_name
from zmcache.errors import ConfigError, InvalidValue


class ForeignCodec:
    """Another's codec, held to the interface."""

    def __init__(self, codec: Codec[Any]) -> None:
        """Raises `ConfigError` for what is no codec."""
        name = getattr(codec, "name", None)
        if (
            isinstance(codec, type)
            or not (isinstance(name, str) and name)
            or not (callable(getattr(codec, "encode", None)) and callable(getattr(codec, "decode", None)))
        ):
            found = f"the class {type_name(codec)} itself" if isinstance(codec, type) else type_name(type(codec))
            raise ConfigError(f"expected a codec's name or an object with name, encode and decode, found {found}")
        self.name: Final = one_line(name)
        self._codec: Final = codec

    def encode(self, value: Any, /) -> bytes:
        """Raises `InvalidValue` and nothing else."""
        try:
            data = self._codec.encode(value)
        except InvalidValue:
            raise
        except Exception as exc:
            raise cannot_carry(self.name, value, exc) from exc
        if type(data) is not bytes:
            raise cannot_carry(self.name, value, f"it encodes to {type_name(type(data))}, and not to bytes")
        return data

    def decode(self, data: bytes, /) -> Any:
        """Raises `Undecodable` and nothing else."""
        try:
            return self._codec.decode(data)
        except Undecodable:
            raise
        except Exception as exc:
            raise cannot_read(self.name, exc) from exc
