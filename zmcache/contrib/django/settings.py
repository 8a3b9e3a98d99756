"""What an entry of CACHES says, and Django's keys and lives as the cluster takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.conf import settings
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

import zmcache
from zmcache import Codec, ConfigError, Limits, PartialResult
from zmcache.codecs import Undecodable, make_codec, pickle_codec
from zmcache.contrib.django.connections import Place, Where
from zmcache.contrib.django.values import Values

_CONNECTING: Final = ("timeout", "connect_timeout", "on_error", "route", "busy_poll", "limits")
_OPTIONS: Final = ("group", "codec", "key", "compress_above", "lease", *_CONNECTING)
_GROUP: Final = "django"
_LEASE: Final = "10s"

# No cache has known anything for longer, and every clock on the way can tell it.
_LONGEST_S: Final = 100 * 365 * 86400.0


class Configured(BaseCache):
    """An entry of CACHES, read. Raises `ImproperlyConfigured` for what is wrong with it."""

    def __init__(self, location: str | list[str] | tuple[str, ...], params: dict[str, Any]) -> None:
        super().__init__(params)
        options: Mapping[str, Any] = params.get("OPTIONS", {})
        unknown = [name for name in options if name not in _OPTIONS]
        if unknown:
            hint = (
                "; how much it holds is the budget of the group"
                if {"MAX_ENTRIES", "CULL_FREQUENCY"} & {*unknown}
                else ""
            )
            raise ImproperlyConfigured(
                f"no option of zmcache: {', '.join(unknown)} (there are {', '.join(_OPTIONS)}){hint}"
            )
        address = location if isinstance(location, str) else ",".join(location)
        if not address:
            raise ImproperlyConfigured("zmcache needs a LOCATION, such as zmcache://10.0.0.1:7401 or mem://")
        limits = options.get("limits", Limits())
        self._key_bytes: int = limits.key_bytes
        self._lease = options.get("lease", _LEASE)
        self._place = Place(
            Where(address.strip(), tuple((name, options[name]) for name in _CONNECTING if name in options)),
            options.get("group", _GROUP),
            options.get("compress_above"),
        )
        try:
            zmcache.connect(address, **dict(self._place.where.options))  # only to see that it can be made
            self._values = Values(_codecs(options.get("codec", "pickle"), options.get("key")))
        except ConfigError as error:
            raise ImproperlyConfigured(f"zmcache: {error}") from error

    def get_backend_timeout(self, timeout: float | None = DEFAULT_TIMEOUT) -> float | None:
        """Seconds; None: for ever; zero or less: it is over already."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        return None if timeout is None else min(timeout, _LONGEST_S)

    def _key(self, key: Any, version: int | None) -> str:
        """As it is kept. Django's other backends take keys of any length: what is too long here, or empty, goes by its hash."""
        made = self.make_and_validate_key(key, version=version)
        if made.isascii() and 0 < len(made) <= self._key_bytes:
            return made
        data = made.encode(errors="surrogatepass")
        if 0 < len(data) <= self._key_bytes and data.decode(errors="replace") == made:
            return made
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def _names(self, keys: Iterable[Any], version: int | None) -> dict[str, Any]:
        """As they are kept, and what the caller calls them."""
        return {self._key(key, version): key for key in keys}

    def _read(self, data: Any, default: Any) -> Any:
        """What cannot be read is not there."""
        try:
            return self._values.decode(data)
        except Undecodable:
            return default

    def _read_many(self, found: Mapping[str, bytes | None], names: Mapping[str, Any]) -> dict[Any, Any]:
        read = {names[key]: self._read(data, self._missing_key) for key, data in found.items()}
        return {name: value for name, value in read.items() if value is not self._missing_key}

    def _partial(self, error: PartialResult, names: Mapping[str, Any]) -> PartialResult:
        errors = {names[key]: why for key, why in error.errors.items()}
        return PartialResult(self._read_many(error.values, names), errors)


def is_over(ttl: float | None) -> bool:
    """Whether what is to live so long is not to be kept at all."""
    return ttl is not None and ttl <= 0


def _codecs(codec: Any, key: bytes | str | None) -> list[Codec[Any]]:
    """The first writes. Raises `ConfigError`."""
    if codec == "pickle":
        if key is not None:
            return [pickle_codec(key.encode() if isinstance(key, str) else key)]
        return [pickle_codec(_derived(secret)) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    if key is not None:
        raise ConfigError("the option key is for the codec pickle alone")
    if isinstance(codec, str) and "." in codec:
        codec = import_string(codec)
        codec = codec() if isinstance(codec, type) else codec
    made = make_codec(codec)
    if made is None:
        raise ConfigError("raw carries bytes alone; expected pickle, json, msgpack or a codec's import path")
    return [made]


def _derived(secret: str | bytes) -> bytes:
    """Django signs other things with it: none of those signatures is to be good for an entry here."""
    return hashlib.sha256(
        b"zmcache.contrib.django:" + (secret.encode() if isinstance(secret, str) else secret)
    ).digest()
