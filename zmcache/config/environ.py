"""``ZMCACHE_*`` variables that override single settings of a file.

A variable's name is the setting's path in the file, in capitals, joined by ``_``, other signs than letters and digits
as ``_`` too:

    ZMCACHE_CLUSTER                         cluster
    ZMCACHE_NODE_LISTEN                     node.listen
    ZMCACHE_DISCOVERY_ETCD                  discovery.etcd, as host:port,host:port
    ZMCACHE_LIMITS_VALUE                    limits.value
    ZMCACHE_GROUPS_ITEMS_BUDGET             groups.items.budget
    ZMCACHE_GROUPS_ITEMS_LOADER_SQL_URL     groups.items.loader.sql.url

A value is written as in the file; an empty one means null. Only groups that the file has can be overridden, and the
entries of a list of mappings (``nodes``, ``discovery.static``) cannot. A variable that names no setting is an error, so
that a misspelt one does not go unnoticed. Left alone are ZMCACHE_LOG*, which belong to logging, and what others set:
see `FOREIGN`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias, get_args, get_origin

import yaml

from zmcache.config.build import fields_of, mapping_at, rule_of, without_none
from zmcache.config.rules import Rule, Section, Written
from zmcache.core.units import found
from zmcache.errors import ConfigError

PREFIX: Final = "ZMCACHE_"
FOREIGN: Final = ("ZMCACHE_LOG", "ZMCACHE_SERVICE_", "ZMCACHE_PORT", "ZMCACHE_REQUIRE_SERVERS")
"""Not settings: logging's, those that Kubernetes sets beside a service called zmcache, and the test suite's."""

Path: TypeAlias = tuple[str, ...]


def apply(
    raw: Mapping[str, object], section: type[Section], env: Mapping[str, str]
) -> tuple[dict[str, object], dict[str, str]]:
    """The mapping with the overrides in it, and which variable each overridden path came from.

    Raises `ConfigError` naming the variable that names no setting, or more than one.
    """
    wanted = sorted(name for name in env if name.startswith(PREFIX) and not name.startswith(FOREIGN))
    if not wanted:
        return dict(raw), {}
    known: dict[str, list[tuple[Path, Any]]] = {}
    for path, kind in _settings(section, raw, ()):
        known.setdefault(PREFIX + re.sub(r"[^A-Z0-9]", "_", "_".join(path).upper()), []).append((path, kind))
    result: dict[str, object] = dict(raw)
    sources = {}
    for name in wanted:
        if name not in known:
            raise ConfigError(f"expected {_hint(name, known)}, found a variable that names no setting", path=name)
        if len(known[name]) > 1:
            both = " and ".join(".".join(path) for path, _ in known[name])
            raise ConfigError(f"expected the name of one setting, found one that means {both}", path=name)
        path, kind = known[name][0]
        _set(result, path, _value(kind, env[name], name), name)
        sources[".".join(path)] = name
    return result, sources


def _hint(name: str, known: Iterable[str]) -> str:
    # Without the prefix, which would make any two of them look alike.
    close = difflib.get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], n=1)
    return f"`{PREFIX}{close[0]}`" if close else "ZMCACHE_ and the path of a setting, such as ZMCACHE_NODE_LISTEN"


def _settings(section: type[Section], raw: object, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every single setting that a file of this shape could hold, with the names that this file gives to its groups."""
    values = raw if isinstance(raw, Mapping) else {}
    for name, (_, full_kind) in fields_of(section).items():
        kind, _ = without_none(full_kind)
        inner, rule = (*path, name), rule_of(kind)
        if isinstance(rule, Rule):
            yield inner, kind
        elif isinstance(rule, Written):
            yield from _settings(rule.section, values.get(name), inner)
        elif get_origin(kind) is dict:
            for key, value in mapping_at(values.get(name), ".".join(inner)).items():
                yield from _settings(get_args(kind)[1], value, (*inner, str(key)))
        elif get_origin(kind) is not tuple:
            yield from _settings(kind, values.get(name), inner)


def _value(kind: Any, text: str, name: str) -> object:
    rule = rule_of(kind)
    if text == "":
        return None
    if isinstance(rule, Rule) and rule.env == "text":
        return text
    if isinstance(rule, Rule) and rule.env == "list" and text != "embedded":
        return [part.strip() for part in text.split(",")]
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as exc:
        raise ConfigError(f"expected a value as in a file, found {found(text)}", path=name) from exc


def _set(result: dict[str, object], path: Path, value: object, name: str) -> None:
    at = result
    for depth, step in enumerate(path[:-1]):
        below = at.get(step)
        if below is not None and not isinstance(below, Mapping):
            where = ".".join(path[: depth + 1])
            raise ConfigError(f"expected a mapping of settings at {where}, found {found(below)}", path=name)
        # A copy along the path: two groups may be one mapping, by a YAML alias, and only one of them is meant.
        at[step] = copied = dict(below or {})
        at = copied
    at[path[-1]] = value
