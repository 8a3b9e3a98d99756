"""What a type looks like, in four bytes: the same in every process, another as soon as what was written might be read wrongly.

It is a hash of msgspec's own description of the type and of all that it is made of. The JSON schema that msgspec makes of that description
is not enough: it leaves out the names of the fields of what is written as an array (two of them exchanged would be read as each other), the
types of a mapping's keys and the names of an enum's members. Docstrings are not in it: a better explanation is no reason to load everything
again. Nor are a default that is called for and what a class does by itself: who changes the meaning of a field renames it.

Four bytes are enough: they tell apart the few versions of one type that are ever in a cache at one time, and nothing here is secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import inspect

from zmcache.codecs.base import one_line, type_name
from zmcache.errors import ConfigError

BYTES: Final = 4

_ASIDE: Final = frozenset({"extra_json_schema", "extra", "default_factory"})


def fingerprint(kind: object) -> bytes:
    """Four bytes that stand for ``kind``. Raises `ConfigError`, naming the part at fault, where msgspec cannot handle it."""
    try:
        shape = list(_shape(inspect.type_info(kind), {}))
    except Exception as exc:  # a name that cannot be resolved, a union that cannot be told apart: all sorts
        raise ConfigError(f"expected a type that msgspec can handle, found {type_name(kind)}: {one_line(exc)}") from exc
    mark = hashlib.sha256(msgspec.json.encode(shape)).digest()[:BYTES]
    # The first byte is neither a digit, so that a counter is never taken for a value, nor the mark of `zmcache.codecs.tagged`.
    return bytes((mark[0] | 0x80,)) + mark[1:]


def _shape(part: object, seen: dict[int, int]) -> Iterator[Any]:
    """All parts of msgspec's description, in order. A type that contains itself is told the second time by its number."""
    if isinstance(part, inspect.CustomType):
        raise TypeError(f"it does not know {type_name(part.cls)}")
    if isinstance(part, tuple | list):
        for one in part:
            yield list(_shape(one, seen))
    elif isinstance(part, type):
        yield part.__qualname__
        if issubclass(part, Enum):
            yield [[name, repr(member.value)] for name, member in part.__members__.items()]
    elif not isinstance(part, msgspec.Struct):
        yield repr(part)
    elif id(part) in seen:
        yield seen[id(part)]
    else:
        seen[id(part)] = len(seen)
        yield type(part).__name__
        for name in part.__struct_fields__:
            if name == "default":
                yield _written(getattr(part, name))
            elif name not in _ASIDE:
                yield [name, *_shape(getattr(part, name), seen)]


def _written(default: object) -> str:
    # Not its repr, which may hold an address, and lists a frozenset in another order in every process.
    try:
        return msgspec.json.encode(default, order="deterministic").decode()
    except Exception:  # nothing that could be left out of an entry, either
        return type(default).__qualname__
