"""The address of a cache as `zmcache.connect` takes it: where it is, and how to speak to it, in one line that fits an environment variable.

mem://                                              in this process
zmcache://host:port,host:port/?timeout=50ms         a cluster, by any of its nodes
ipc:///run/zmcache.sock                             a node on this machine
host:port,host:port                                 the same as zmcache://
"""

from __future__ import annotations

import difflib
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from zmcache.core.units import parse_duration, parse_size
from zmcache.errors import ConfigError

_DURATIONS: Final = frozenset({"timeout", "connect_timeout", "busy_poll", "near_ttl"})
_SIZES: Final = frozenset({"near"})
_CHOICES: Final = {"route": ("owner", "any"), "on_error": ("raise", "miss")}
_SHARES: Final = frozenset({"hedge"})
_OPTIONS: Final = (*sorted(_DURATIONS), *_SIZES, *_SHARES, *_CHOICES)
# What fits, with the zero behind it, into the sun_path of Linux (unix(7)).
_PATH_BYTES: Final = 107


class Address(NamedTuple):
    """``endpoints`` as transports take them; none: in this process. ``options`` by the names that `zmcache.connect` has for them."""

    endpoints: tuple[str, ...]
    options: dict[str, float | str]


def parse_address(address: str) -> Address:
    """Raises `ConfigError`, in one line, for what is no address."""
    if not isinstance(address, str):
        raise ConfigError(f"expected an address such as zmcache://host:port, found {type(address).__name__}")
    place, question, query = address.strip().partition("?")
    if "#" in address:
        raise ConfigError("expected no # in an address")
    options = _options(query) if question else {}
    scheme, colon, rest = place.partition("://")
    if colon and scheme == "mem":
        if rest.strip("/"):
            raise ConfigError(
                f"expected mem:// and no name behind it, found {place!r}: there is one cache a connection"
            )
        return Address((), options)
    if colon and scheme == "zmcache":
        hosts, _, path = rest.partition("/")
        if path:
            raise ConfigError(f"expected nothing between / and ?, found {path!r}")
        return Address(tuple(_host(part) for part in _parts(hosts)), options)
    return Address(
        tuple(_endpoint(part) for part in _parts(place.rstrip("/") if "://" not in place else place)), options
    )


def _parts(hosts: str) -> list[str]:
    parts = [part.strip() for part in hosts.split(",") if part.strip()]
    if not parts:
        raise ConfigError("expected at least one address, host:port[,host:port...]")
    return parts


def _endpoint(part: str) -> str:
    if part.startswith("tcp://"):
        return _host(part.removeprefix("tcp://"))
    if part.startswith("ipc://"):
        return _socket(part)
    if "://" in part:
        raise ConfigError(f"expected mem://, zmcache://, ipc:// or host:port, found {part!r}")
    return _host(part)


def _socket(part: str) -> str:
    """``ipc://path`` as an endpoint. What libzmq would only ever try again, and never say, is said here."""
    path = part.removeprefix("ipc://").rstrip("/")  # the / before a ?, which is no part of a socket's name
    if not path:
        raise ConfigError("expected ipc:// and the path of a socket")
    if len(path.encode(errors="surrogatepass")) > _PATH_BYTES:
        raise ConfigError(f"expected the path of a socket, of {_PATH_BYTES} bytes at most, found {part!r}")
    return f"ipc://{path}"


def _host(part: str) -> str:
    """``host:port`` as an endpoint."""
    if "@" in part:
        raise ConfigError("expected no user and no password in an address")
    host, colon, port = part.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ConfigError(f"expected host:port, found {part!r}")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ConfigError(f"expected [address]:port for IPv6, found {part!r}")
    return f"tcp://{host}:{port}"


def _options(query: str) -> dict[str, float | str]:
    options: dict[str, float | str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise ConfigError(f"expected ?name=value&name=value, found {query!r}") from None
    for name, value in pairs:
        if name not in _OPTIONS:
            close = difflib.get_close_matches(name, _OPTIONS, n=1)
            raise ConfigError(
                f"expected {close[0] if close else ', '.join(_OPTIONS)}, found an unknown option {name!r}"
            )
        if name in options:
            raise ConfigError(f"expected {name} once, found it twice")
        options[name] = _value(name, value)
    return options


def _value(name: str, value: str) -> float | str:
    if name in _DURATIONS:
        try:
            return parse_duration(value)
        except ValueError as exc:
            raise ConfigError(f"{name}: {exc}") from None
    if name in _SIZES:
        try:
            return parse_size(value)
        except ValueError as exc:
            raise ConfigError(f"{name}: {exc}") from None
    if name in _SHARES:
        try:
            return value == "true" if value in ("true", "false") else float(value)
        except ValueError:
            raise ConfigError(f"{name}: expected true, false or a share from 0 to 1, found {value!r}") from None
    if value not in _CHOICES[name]:
        raise ConfigError(f"{name}: expected {' or '.join(_CHOICES[name])}, found {value!r}")
    return value
