"""The codec that a name, a type, or an object of the user's own stands for."""

from __future__ import annotations

from typing import Any, Final

from zmcache.codecs.base import Codec, Undecodable
from zmcache.codecs.compressing import Marking
from zmcache.codecs.formats import Raw, Typed, json_codec, msgpack_codec
from zmcache.codecs.pickled import Pickled
from zmcache.errors import ConfigError, InvalidValue

NAMES: Final = ("raw", "msgpack", "json", "pickle")


def make_codec(
    codec: Any = None,
    *,
    type: Any = None,  # noqa: A002  # what it is called everywhere
    compress_above: int | str | None = None,
    key: bytes | None = None,
) -> Codec[Any] | None:
    """None is raw bytes without more. Raises `ConfigError` for what cannot be made."""
    if codec is not None and type is not None:
        raise ConfigError("expected either a codec or a type, found both")
    if key is not None and codec != "pickle":
        raise ConfigError("expected a key= only with codec='pickle', which it signs")
    if (codec is None or codec == "raw") and type is None:
        return None if compress_above is None else Marking(Raw(), compress_above)
    return Marking(Typed(type) if type is not None else _named(codec, key), compress_above)


def _named(codec: Any, key: bytes | None) -> Codec[Any]:
    if codec == "msgpack":
        return msgpack_codec()
    if codec == "json":
        return json_codec()
    if codec == "pickle":
        return Pickled(key)
    if (
        not isinstance(codec, str)
        and callable(getattr(codec, "encode", None))
        and callable(getattr(codec, "decode", None))
    ):
        return _Own(codec)
    raise ConfigError(f"expected one of {', '.join(NAMES)}, or an object with encode and decode, found {codec!r:.60}")


class _Own:
    """A codec of the user's: whatever it raises is one of ours."""

    def __init__(self, codec: Codec[Any]) -> None:
        self.name = str(getattr(codec, "name", codec.__class__.__name__))
        self._codec = codec

    def encode(self, value: Any) -> bytes:
        try:
            data = self._codec.encode(value)
        except InvalidValue:
            raise
        except Exception as exc:  # other people's code
            raise InvalidValue(f"codec {self.name}: {exc.__class__.__name__}: {exc}") from exc
        if not isinstance(data, bytes):
            raise InvalidValue(f"codec {self.name} made {data.__class__.__name__}, not bytes")
        return data

    def decode(self, data: bytes) -> Any:
        try:
            return self._codec.decode(data)
        except Undecodable:
            raise
        except Exception as exc:  # other people's code
            raise Undecodable(f"codec {self.name}: {exc.__class__.__name__}: {exc}") from exc
