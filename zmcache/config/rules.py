"""What a single setting may be: one `Rule` for each kind, and the annotated types that the model is written in.

A rule reads what YAML gave and returns the value that the program works with, in bytes and seconds; whatever is wrong
with it is a `ValueError` whose text says what was expected and what was found. The same rule carries the kind's JSON
schema, so that the editor and the program cannot disagree. Rules see one value; what concerns two settings at once is
in `load`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from zmcache.core.eviction import POLICIES
from zmcache.core.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    wrong,
)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping in a file, with its settings as fields. A field's encoded name is how the file spells it."""


@dataclass(frozen=True, eq=False, slots=True)
class Rule:
    """How one setting is read, and what its schema is.

    ``show`` writes a value as the file would, for the schema's defaults. ``env`` says how a variable's text is taken:
    as YAML, as it stands, or split at commas.
    """

    read: Callable[[object], object]
    schema: Mapping[str, object]
    show: Callable[..., object] = field(default=lambda value: value)
    env: Literal["yaml", "text", "list"] = "yaml"


@dataclass(frozen=True, eq=False, slots=True)
class Written:
    """A section that the file spells differently from the model: it is read as ``section``, then ``make`` turns it into
    the model's.

    ``schema`` is what to add to the section's schema.
    """

    section: type[Section]
    make: Callable[..., object]
    schema: Mapping[str, object] = field(default_factory=dict)


def _size(*, at_least: int) -> Rule:
    def read(value: object) -> int:
        size = parse_size(value)
        if size < at_least:
            raise wrong(f"a size of at least {format_size(at_least)}", value)
        return size

    return Rule(read, {"type": ["string", "integer"], "pattern": SIZE_PATTERN, "minimum": at_least}, format_size)


def _duration(*, above: float = -1.0, at_least: float = 0.0, at_most: float | None = None) -> Rule:
    def read(value: object) -> float:
        seconds = parse_duration(value)
        if seconds <= above:
            raise wrong(f"a duration above {above:g}", value)
        if seconds < at_least:
            raise wrong(f"a duration of at least {format_duration(at_least)}", value)
        if at_most is not None and seconds > at_most:
            raise wrong(f"a duration of at most {format_duration(at_most)}", value)
        return seconds

    bound: dict[str, object] = {"exclusiveMinimum": above} if above >= 0 else {"minimum": at_least}
    if at_most is not None:
        bound["maximum"] = at_most
    return Rule(read, {"type": ["string", "number"], "pattern": DURATION_PATTERN, **bound}, format_duration)


def _number(what: str, least: float, most: float) -> Rule:
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise wrong(what, value)
        return float(value)

    return Rule(read, {"type": "number", "minimum": least, "maximum": most})


def _count(most: int) -> Rule:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise wrong(f"a whole number from 1 to {most}", value)
        return value

    return Rule(read, {"type": "integer", "minimum": 1, "maximum": most})


def _text(what: str, pattern: str) -> Rule:
    compiled = re.compile(pattern)

    def read(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise wrong(what, value)
        return value

    return Rule(read, {"type": "string", "pattern": f"^(?:{pattern})$"}, env="text")


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong("true or false", value)
    return value


def _folder(value: object) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise wrong("the path of a folder", value)
    return Path(value)


def _policy(value: object) -> str:
    if value not in POLICIES:
        raise wrong(f"a policy ({', '.join(POLICIES)})", value)
    return str(value)


def _url(value: object) -> str:
    # The text is never shown: it may hold a password.
    if not isinstance(value, str) or not re.match(r"[a-z][a-z0-9+]*://", value):
        raise ValueError("expected a database URL such as sqlite:///items.db, found something else")
    return value


def _query(value: object) -> str:
    if not isinstance(value, str) or not re.search(r":keys\b", value):
        raise wrong("a query of key and value with `IN :keys` in it", value)
    return value


def _endpoint(*, least_port: int) -> Rule:
    def read(value: object) -> str:
        try:
            parts = urlsplit(value if isinstance(value, str) else "")
            if parts.scheme == "tcp":
                valid = bool(parts.hostname) and not parts.path and parts.port is not None and parts.port >= least_port
            else:
                valid = parts.scheme in ("ipc", "mem") and bool(parts.netloc + parts.path)
        except ValueError:
            valid = False
        if not valid or not isinstance(value, str) or any(char.isspace() for char in value):
            raise wrong("an endpoint such as tcp://127.0.0.1:7401", value)
        return value

    return Rule(read, {"type": "string", "pattern": r"^(tcp://[^\s/]+:[0-9]+|ipc://\S+|mem://\S+)$"}, env="text")


def read_host_ports(value: object) -> tuple[str, ...]:
    """A list of ``host:port``, at least one."""
    what = "a list of host:port such as [127.0.0.1:2379]"
    if not isinstance(value, list | tuple) or not value:
        raise wrong(what, value)
    for one in value:
        try:
            parts = urlsplit(f"//{one}" if isinstance(one, str) else "")
            valid = bool(parts.hostname) and bool(parts.port) and parts.netloc == one and "@" not in one
        except ValueError:
            valid = False
        if not valid:
            raise wrong(what, one)
    return tuple(value)


def _cluster_etcd(value: object) -> str | tuple[str, ...]:
    if value == "embedded":
        return "embedded"
    if not isinstance(value, list | tuple):
        raise wrong("`embedded` or a list of host:port", value)
    return read_host_ports(value)


_HOST_PORTS: Final = {"type": "array", "items": {"type": "string", "pattern": r"^\S+:[0-9]+$"}, "minItems": 1}
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"

Size: TypeAlias = Annotated[int, _size(at_least=1)]
Budget: TypeAlias = Annotated[int, _size(at_least=4096)]
Duration: TypeAlias = Annotated[float, _duration()]
Span: TypeAlias = Annotated[float, _duration(above=0.0)]
Lease: TypeAlias = Annotated[float, _duration(at_least=1.0, at_most=3600.0)]
# The loop does nothing else meanwhile: what is longer than this is a pause, not a poll.
BusyPoll: TypeAlias = Annotated[float, _duration(at_most=0.01)]
# 512 points x weight: from 5 points to 51,200.
Weight: TypeAlias = Annotated[float, _number("a weight from 0.01 to 100 (1.0 is one ordinary node)", 0.01, 100.0)]
Beta: TypeAlias = Annotated[float, _number("a number from 0 (off) to 10 (1 is usual)", 0.0, 10.0)]
Jitter: TypeAlias = Annotated[float, _number("a share from 0 to 0.5", 0.0, 0.5)]
# An eighth for copies is groupcache's; more would be taken from the only place in the cluster where a key is kept.
HotShare: TypeAlias = Annotated[float, _number("a share from 0 to 0.125", 0.0, 0.125)]
ItemShare: TypeAlias = Annotated[float, _number("a share from 0.01 to 1", 0.01, 1.0)]
Count: TypeAlias = Annotated[int, _count(1_000_000_000)]
# SQLite takes 32,766 parameters in one statement, PostgreSQL 32,767.
BatchSize: TypeAlias = Annotated[int, _count(10_000)]
Slots: TypeAlias = Annotated[int, _count(1000)]
# More copies than that are a broadcast.
Copies: TypeAlias = Annotated[int, _count(9)]
Flag: TypeAlias = Annotated[bool, Rule(_flag, {"type": "boolean"})]
Name: TypeAlias = Annotated[str, _text("a name of letters, digits, . _ and -, at most 100", _NAME)]
NodeId: TypeAlias = Annotated[
    str, _text("a node id of letters, digits, . _ : and -, at most 100", r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
]
Zone: TypeAlias = Annotated[str, _text("a zone's name, at most 100 letters, digits, . _ and -", rf"|{_NAME}")]
Listen: TypeAlias = Annotated[str, _endpoint(least_port=0)]
Endpoint: TypeAlias = Annotated[str, _endpoint(least_port=1)]
HostPorts: TypeAlias = Annotated[tuple[str, ...], Rule(read_host_ports, _HOST_PORTS, list, env="list")]
ClusterEtcd: TypeAlias = Annotated[
    str | tuple[str, ...], Rule(_cluster_etcd, {"anyOf": [{"const": "embedded"}, _HOST_PORTS]}, env="list")
]
Folder: TypeAlias = Annotated[Path, Rule(_folder, {"type": "string", "minLength": 1}, str, env="text")]
Policy: TypeAlias = Annotated[str, Rule(_policy, {"enum": list(POLICIES)}, env="text")]
Target: TypeAlias = Annotated[
    str,
    _text("an import path such as package.module:function", r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*"),
]
Url: TypeAlias = Annotated[str, Rule(_url, {"type": "string", "pattern": "^[a-z][a-z0-9+]*://"}, env="text")]
Query: TypeAlias = Annotated[str, Rule(_query, {"type": "string", "pattern": ":keys"}, env="text")]
