"""What a test gives as groups and loaders, read as a config file is read: the same names, the same checks, the same words for what is wrong.

Two things differ from a file: a setting may also stand under its name in Python (``ttl_s``), and lives are not shortened at random unless that
is asked for, so that a value that lives for an hour is there after 59 minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from zmcache.config import GroupConfig, NodeConfig
from zmcache.config.build import build, join
from zmcache.errors import ConfigError
from zmcache.loaders import callable_loader
from zmcache.loading import Loader

Settings = Mapping[str, Any] | GroupConfig | None
Groups = Mapping[str, Settings] | Iterable[str] | None
Loaders = Mapping[str, Callable[..., Any]] | None
Batch = bool | Collection[str]

_SPELLED = {field.name: field.encode_name for field in msgspec.structs.fields(GroupConfig)}


def read_groups(groups: Groups, loaders: Loaders) -> dict[str, GroupConfig]:
    """The groups by name; those that only ``loaders`` names have the default settings. Raises `ConfigError`."""
    if groups is None:
        given: dict[str, Settings] = dict.fromkeys(loaders or ["items"])
    elif isinstance(groups, Mapping):
        given = dict(groups)
    else:
        given = dict.fromkeys([groups] if isinstance(groups, str) else groups)
    for name in loaders or ():
        given.setdefault(name, None)
    ready = {name: settings for name, settings in given.items() if isinstance(settings, GroupConfig)}
    written = {name: None if name in ready else _written(name, settings) for name, settings in given.items()}
    return build(NodeConfig, {"groups": written}).groups | ready


def read_settings(settings: Mapping[str, Any]) -> GroupConfig:
    """The settings of one group. Raises `ConfigError`."""
    return build(GroupConfig, _written("", settings))


def _written(name: str, settings: Any) -> object:
    """As a file would have it."""
    if settings is None:
        return {"ttl_jitter": 0.0}
    if not isinstance(settings, Mapping):
        return settings  # `build` says what is wrong with it
    written: dict[object, object] = {"ttl_jitter": 0.0}
    given = set()
    for key, value in settings.items():
        spelled = _SPELLED.get(key, key)
        if spelled in given:
            path = f"groups.{name}" if name else ""
            raise ConfigError(f"expected `{spelled}` once, found it as `{key}`, too", path=join(path, spelled))
        given.add(spelled)
        written[spelled] = value
    return written


def make_loaders(loaders: Loaders, batch: Batch, groups: Mapping[str, GroupConfig]) -> dict[str, Loader]:
    """A loader for each group that has one here; each node needs its own. ``batch``: those that take a list of keys, or whether all do."""
    made: dict[str, Loader] = {}
    for name, function in (loaders or {}).items():
        batches = batch if isinstance(batch, bool) else name in batch
        made[name] = callable_loader(function, batch=batches, threads=groups[name].max_loads)
    return made
