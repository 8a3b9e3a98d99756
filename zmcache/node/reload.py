"""What of a config can be changed while a node serves: the budgets of its groups. The rest is told, and waits for a restart."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from zmcache.config import GroupConfig, NodeConfig


class Changes(NamedTuple):
    """``budgets``: of which groups, in bytes, the old and the new one. ``waiting``: paths of settings that a restart would change."""

    budgets: dict[str, tuple[int, int]]
    waiting: list[str]


def changes(old: NodeConfig, new: NodeConfig) -> Changes:
    """What is different. A group that has come or gone waits, whole."""
    budgets: dict[str, tuple[int, int]] = {}
    waiting = _different(old, new, "", but="groups")
    for name in dict.fromkeys([*old.groups, *new.groups]):
        before, after = old.groups.get(name), new.groups.get(name)
        if before is None or after is None:
            waiting.append(f"groups.{name}")
            continue
        if before.budget_bytes != after.budget_bytes:
            budgets[name] = before.budget_bytes, after.budget_bytes
        waiting += _different(before, after, f"groups.{name}.", but="budget_bytes")
    return Changes(budgets, waiting)


def _different(old: msgspec.Struct, new: msgspec.Struct, path: str, *, but: str) -> list[str]:
    return [
        f"{path}{info.encode_name}"
        for info in msgspec.structs.fields(old)
        if info.name != but and getattr(old, info.name) != getattr(new, info.name)
    ]


def with_budgets(config: NodeConfig, budgets: dict[str, tuple[int, int]]) -> NodeConfig:
    """The config that runs once these are changed."""

    def changed(name: str, group: GroupConfig) -> GroupConfig:
        return msgspec.structs.replace(group, budget_bytes=budgets[name][1]) if name in budgets else group

    return msgspec.structs.replace(config, groups={name: changed(name, group) for name, group in config.groups.items()})
