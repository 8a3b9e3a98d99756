"""The key of a decorated function's call, made from its arguments: the same for the same call in every process, and never for two different ones.

Without a template the key is the function's name and all arguments, each written so that its type shows: ``1``, ``True`` and ``"1"`` are three keys.
Only what has one clear way to be written is: builtin values, enums, dates, UUIDs, decimals, paths, named tuples and frozen dataclasses of
these, and lists, tuples, sets and dictionaries of them. Everything else raises: its address in memory, or its pickle, would be a key for
one process only.

In a template, ``"user:{user_id}"``, text and whole numbers are written as they are; what would let two calls meet is escaped (percent signs,
what separates two of the template's names, control characters), and all other types show as above, behind a ``~``. A 1 and a "1" are the same
there. So a key can be read back into its parts: the first separator that is not escaped ends the first part, and so on.

A key that would be too long ends in a hash of all of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import math
import string
import zoneinfo
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from zmcache.errors import ConfigError, InvalidKey

_MAX_DEPTH: Final = 32
_HASH_BYTES: Final = 16
_TAG: Final = "~"
_MARKS: Final = frozenset("%" + _TAG)
_WORD: Final = 1 << 63


class Keys:
    """Makes the keys of one function. ``key``: a template, a function of the same arguments, or None. About 1 us for a plain template."""

    def __init__(
        self,
        function: Callable[..., Any],
        key: str | Callable[..., str] | None,
        ignore: Collection[str] = (),
        *,
        limit: int = 1024,
        what: str = "key",
    ) -> None:
        """Raises `ConfigError` where no right key could be made: a parameter that the template leaves out hands one call's result to another.

        ``ignore``: parameters that do not belong in the key. ``limit``: of a key, in bytes of UTF-8. ``what``
        errors call it.
        """
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._signature = inspect.signature(function)
        self._parameters = list(self._signature.parameters)
        self._ignore = frozenset([ignore] if isinstance(ignore, str) else ignore)
        self._limit = limit
        self._what = what
        self._of = key if callable(key) else None
        self._pieces: list[tuple[str, tuple[str | int, ...]]] = []
        self._end = ""
        self._escapes: dict[int, str] = {}
        unknown = self._ignore - set(self._parameters)
        if unknown:
            raise self._wrong(f"ignore names {sorted(unknown)[0]!r}, which is no parameter")
        used = set(self._parameters)
        if isinstance(key, str):
            used = self._compile(key)
        elif key is not None and self._of is None:
            raise self._wrong(f"key is a template or a function, not {type(key).__name__}")
        if self._of is None:
            for name in self._parameters:
                if name not in used and name not in self._ignore:
                    raise self._wrong(f"the key leaves out the parameter {name!r}: use it, or name it in ignore=")
                if name in ("self", "cls") and not isinstance(key, str) and name not in self._ignore:
                    raise self._wrong(
                        f"a method needs a key that says which object it is of, {{{name}.id}} or so, or ignore={name!r}"
                    )
        kinds = {parameter.kind for parameter in self._signature.parameters.values()}
        # Arguments by position, none left out: then a parameter's place is the argument's.
        plain = kinds <= {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
        self._plain_count = len(self._parameters) if plain else -1
        self._places = [(before, self._parameters.index(str(path[0])), path[1:]) for before, path in self._pieces]
        self._plain_numbers = self._escapes.keys().isdisjoint(map(ord, "-0123456789"))

    def key_for(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """The key of a call. Raises `InvalidKey` for arguments that no key can be made of, `TypeError` for a call that cannot be."""
        if self._of is not None:
            made = self._of(*args, **kwargs)
            if not isinstance(made, str):
                raise InvalidKey(f"{self._name}: its key function returned {type(made).__name__}, not text")
            return self._fitting(made)
        if kwargs or len(args) != self._plain_count:
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            args = tuple(bound.arguments[name] for name in self._parameters)
        if not self._pieces and not self._end:
            return self._fitting(self._written(args))
        key = ""
        for before, at, path in self._places:
            value = args[at]
            # Every machine word is far below the length from which Python refuses to write a number.
            if type(value) is int and self._plain_numbers and -_WORD < value < _WORD:
                key += f"{before}{value}"
            else:
                key += before + self._in_template(value, at, path)
        return self._fitting(key + self._end)

    # -- templates -------------------------------------------------------------------------------------------------

    def _compile(self, template: str) -> set[str]:
        literal, used, separators = "", set(), "%" + _TAG
        try:
            fields = list(string.Formatter().parse(template))
        except ValueError as exc:
            raise self._wrong(f"the {self._what} {template!r} is no template: {exc}") from exc
        for before, field, spec, conversion in fields:
            literal += before
            if field is None:
                continue
            if spec or conversion:
                raise self._wrong(
                    f"the {self._what} {template!r} formats {field!r}: expected a name in braces and no more"
                )
            if self._pieces:
                separators += self._separators(template, literal)
            path = self._path(template, field)
            used.add(str(path[0]))
            self._pieces.append((literal, path))
            literal = ""
        self._end = literal
        if not template:
            raise self._wrong(f"the {self._what} is empty")
        self._escapes = {ord(c): _escape(c) for c in {*separators, *map(chr, range(32)), "\x7f"}}
        return used

    def _separators(self, template: str, between: str) -> str:
        """What values may not have of the text between two names, so that its first one shows where the value before it ends."""
        if not between:
            raise self._wrong(
                f"the {self._what} {template!r} has nothing between two names: two calls could share a key"
            )
        # Letters and digits only where there is nothing else, or nearly every value would be escaped.
        found = "".join(c for c in between if not c.isalnum() and c not in _MARKS) or between
        if not _MARKS.isdisjoint(found):
            raise self._wrong(
                f"the {self._what} {template!r} has {between!r} between two names, where values are marked with it"
            )
        return found

    def _path(self, template: str, field: str) -> tuple[str | int, ...]:
        try:
            first, rest = string._string.formatter_field_name_split(field)  # type: ignore[attr-defined]  # what str.format itself uses
            path = [first]
            for is_attribute, name in rest:
                if is_attribute and str(name).startswith("_"):
                    raise self._wrong(f"the {self._what} {template!r} reads {name!r}, which is private")
                path.append(f".{name}" if is_attribute else name)
        except ValueError as exc:
            raise self._wrong(f"the {self._what} {template!r} is no template: {exc}") from exc
        if first not in self._signature.parameters:
            known = ", ".join(self._parameters) or "none"
            raise self._wrong(f"the {self._what} {template!r} names {field!r}; the parameters are: {known}")
        return tuple(path)

    def _in_template(self, value: Any, at: int, path: tuple[str | int, ...]) -> str:
        try:
            for step in path:
                value = getattr(value, step[1:]) if isinstance(step, str) and step.startswith(".") else value[step]
        except (AttributeError, LookupError, TypeError) as exc:
            raise InvalidKey(f"{self._name}: no {self._what} from {self._parameters[at]!r}: {exc}") from exc
        if type(value) is str:
            return value.translate(self._escapes)
        text = self._text(value, at).translate(self._escapes)
        return text if type(value) is int else _TAG + text

    # -- without one -----------------------------------------------------------------------------------------------

    def _written(self, args: tuple[Any, ...]) -> str:
        parts = [self._text(value, at) for at, value in enumerate(args) if self._parameters[at] not in self._ignore]
        return f"{self._name}:{','.join(parts)}"

    def _text(self, value: Any, at: int) -> str:
        try:
            return _text(value, 0)
        except _Unwritable as exc:
            hint = "give cached() a key= that says what matters of it, or name it in ignore="
            raise InvalidKey(f"{self._name}: no {self._what} from {self._parameters[at]!r}, {exc}: {hint}") from None

    def _fitting(self, key: str) -> str:
        if len(key) * 4 <= self._limit or (key.isascii() and len(key) <= self._limit):
            return key
        try:
            data = key.encode()
        except UnicodeEncodeError as exc:
            raise InvalidKey(f"{self._name}: its key is not valid Unicode text") from exc
        if len(data) <= self._limit:
            return key
        end = "#" + hashlib.blake2b(data, digest_size=_HASH_BYTES).hexdigest()
        return data[: self._limit - len(end)].decode(errors="ignore") + end

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"{self._name}: {what}")


def _escape(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))


class _Unwritable(Exception):
    pass


# Types whose `str` is one and only one text for each value.
_BY_STR: Final = (UUID, Decimal, PurePath, complex)
_STANDARD: Final = frozenset({"builtins", "datetime", "decimal", "pathlib", "uuid", "_pydatetime", "_pydecimal"})


def _text(value: Any, depth: int) -> str:
    """A value, so that its type shows and two different ones differ."""
    kind = type(value)
    if value is None or kind is bool:
        return str(value)
    if kind is int:
        try:
            return str(value)
        except ValueError:  # Python itself refuses
            raise _Unwritable("a number of thousands of digits") from None
    if kind is str or kind is bytes:
        return repr(value)
    if kind is float:
        if math.isnan(value):
            raise _Unwritable("NaN, which equals nothing")
        return repr(value + 0.0)  # -0.0 equals 0.0
    if depth >= _MAX_DEPTH:
        raise _Unwritable(f"which is more than {_MAX_DEPTH} deep")
    if kind is tuple or kind is list:
        inside = ",".join(_text(item, depth + 1) for item in value)
        return f"({inside},)" if kind is tuple else f"[{inside}]"
    if kind is set or kind is frozenset:
        return f"{kind.__name__}({','.join(sorted(_text(item, depth + 1) for item in value))})"
    if kind is dict:
        pairs = sorted(f"{_text(key, depth + 1)}:{_text(item, depth + 1)}" for key, item in value.items())
        return f"{{{','.join(pairs)}}}"
    return _text_of_object(value, kind, depth)


def _text_of_object(value: Any, kind: type, depth: int) -> str:
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, Flag):
        return f"{name}({value.value})"  # several bits together, and none, may have no name
    if isinstance(value, Enum):
        return f"{name}.{value.name}"
    if dataclasses.is_dataclass(value):
        # Of this class itself: a subclass that is none may have attributes that are no fields.
        params = kind.__dict__.get("__dataclass_params__")
        if params is not None and params.frozen:
            fields = [_text(getattr(value, field.name), depth + 1) for field in dataclasses.fields(value)]
            return f"{name}({','.join(fields)})"
    elif not _says_more(value, kind):
        if _is_standard(kind):  # whose module is another in some Pythons
            name = kind.__name__
        if isinstance(value, (datetime, time)):
            zone = "" if value.tzinfo is None else f",{_zone(value.tzinfo)}"
            return f"{name}({value.isoformat()}{value.fold or ''}{zone})"
        if isinstance(value, date):
            return f"{name}({value.isoformat()})"
        if isinstance(value, timedelta):
            return f"{name}({value.days},{value.seconds},{value.microseconds})"
        if isinstance(value, _BY_STR):
            return f"{name}({str(value)!r})"
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return f"{name}({','.join(_text(item, depth + 1) for item in value)})"
    raise _Unwritable(f"a {name}, which has no text of its own")


def _zone(zone: tzinfo) -> str:
    """A time zone. An offset alone does not tell two apart, and a time of day has none in a zone that changes it."""
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key is not None:
        return zone.key
    kind = type(zone)
    if kind is timezone or (kind.__repr__ is not object.__repr__ and not isinstance(zone, zoneinfo.ZoneInfo)):
        return repr(zone)
    raise _Unwritable(f"the time zone {kind.__qualname__}, which has no text of its own")


def _says_more(value: Any, kind: type) -> bool:
    """Whether it has attributes beside what its base class has, in which two of equal text could differ."""
    return bool(getattr(value, "__dict__", None)) or any(
        base.__dict__.get("__slots__") for base in kind.__mro__ if not _is_standard(base)
    )


def _is_standard(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in _STANDARD
