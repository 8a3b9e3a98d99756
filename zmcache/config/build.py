"""A raw mapping to the model: walk the structs and the mapping together, and say exactly where the first wrong thing
stands.

msgspec could convert the whole at once, but its paths do not name the keys of a mapping (which group?), and it has no
list of the names that would have been right. So containers are walked here, each value is read by its `Rule`, and the
structs are built from the inside out.
"""

from __future__ import annotations

import difflib
import functools
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from zmcache.config.rules import Rule, Section, Written
from zmcache.core.units import found
from zmcache.errors import ConfigError

T = TypeVar("T", bound=Section)


@functools.cache
def fields_of(section: type[Section]) -> dict[str, tuple[msgspec.structs.FieldInfo, Any]]:
    """The settings of a section as the file spells them: their field, and their annotated type."""
    hints = get_type_hints(section, include_extras=True)
    return {info.encode_name: (info, hints[info.name]) for info in msgspec.structs.fields(section)}


def rule_of(kind: Any) -> Rule | Written | None:
    """How a value of this annotated type is read, or None for a container."""
    if get_origin(kind) is Annotated:
        return next((extra for extra in kind.__metadata__ if isinstance(extra, Rule | Written)), None)
    return None


def without_none(kind: Any) -> tuple[Any, bool]:
    """The type less its ``| None``, and whether it had one."""
    if get_origin(kind) in (Union, types.UnionType):
        inner = [one for one in get_args(kind) if one is not type(None)]
        return inner[0], True
    rule = rule_of(kind)
    return kind, isinstance(rule, Written) and type(None) in get_args(get_args(kind)[0])


def build(section: type[T], raw: object, path: str = "") -> T:
    """One section from what stands in the file. Raises `ConfigError` for the first wrong setting, with its path."""
    values = mapping_at(raw, path)
    known = fields_of(section)
    for name in values:
        if name not in known:
            raise ConfigError(f"expected {nearest(name, known)}, found an unknown name", path=join(path, name))
    arguments = {}
    for name, (info, kind) in known.items():
        if name in values:
            arguments[info.name] = _read(kind, values[name], join(path, name))
        elif info.required:
            raise ConfigError(f"expected `{name}`, found no such setting", path=path)
    return section(**arguments)


def _read(kind: Any, raw: object, path: str) -> object:
    kind, optional = without_none(kind)
    if raw is None and optional:
        return None
    rule = rule_of(kind)
    try:
        if isinstance(rule, Rule):
            return rule.read(raw)
        if isinstance(rule, Written):
            return rule.make(build(rule.section, raw, path))
    except ValueError as exc:
        raise ConfigError(str(exc), path=path) from exc
    origin = get_origin(kind)
    if origin is dict:
        return _read_dict(kind, raw, path)
    if origin is tuple:
        if not isinstance(raw, list | tuple) or not raw:
            raise ConfigError(f"expected a list, found {'an empty one' if raw == [] else found(raw)}", path=path)
        return tuple(_read(get_args(kind)[0], item, f"{path}[{index}]") for index, item in enumerate(raw))
    return build(kind, raw, path)


def _read_dict(kind: Any, raw: object, path: str) -> dict[str, object]:
    name_kind, value_kind = get_args(kind)
    values = mapping_at(raw, path)
    if not values:
        raise ConfigError("expected at least one name with its settings, found none", path=path)
    return {
        str(_read(name_kind, name, path)): _read(value_kind, value, join(path, name)) for name, value in values.items()
    }


def mapping_at(raw: object, path: str) -> Mapping[Any, object]:
    """A section's mapping; a section with nothing in it (all of its lines commented out) is an empty one."""
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise ConfigError(f"expected a mapping of settings, found {found(raw)}", path=path)
    return raw


def nearest(name: object, known: Iterable[str]) -> str:
    """What was probably meant, or else all that there is."""
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"`{close[0]}`" if close else f"one of {', '.join(names)}"


def join(path: str, name: object) -> str:
    """The path of a name inside a path."""
    text = name if isinstance(name, str) and name.isprintable() and len(name) <= 100 else found(name)
    return f"{path}.{text}" if path else text
