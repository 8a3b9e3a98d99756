"""Who wants to hear of which keys of a group: of every new value (*watchers*), or once, when what it keeps a copy of is no longer true (*keepers*).

Pure: an audience knows neither connections nor values. Who hears decides what is told, and when. A change of a key that nobody wants to hear of
costs two look-ups, and nothing at all where nobody wants to hear of any key. Which tags a key has is noted when its value is read for somebody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from zmcache.core.tagindex import TagIndex


class Hearer(Protocol):
    """One who wants to hear. None of these may raise."""

    def on_value(self, group: str, key: str) -> None:
        """A key that it watches has another value, or is gone."""

    def on_old(self, group: str, key: str) -> None:
        """What it keeps of a key is no longer true. It is told once: it keeps the key no more."""

    def on_all_old(self, group: str) -> None:
        """The group was emptied."""


class Audience:
    """Those of one group."""

    __slots__ = ("_group", "_keepers", "_tags", "_watchers")

    def __init__(self, group: str) -> None:
        self._group = group
        # Of each key an ordered set: who came first is told first, in every run alike.
        self._keepers: dict[str, dict[Hearer, None]] = {}
        self._watchers: dict[str, dict[Hearer, None]] = {}
        self._tags = TagIndex()

    def __bool__(self) -> bool:
        """Whether there is anybody."""
        return bool(self._keepers or self._watchers)

    def keep(self, hearer: Hearer, key: str) -> None:
        """It keeps a copy of ``key`` from now on."""
        self._keepers.setdefault(key, {})[hearer] = None

    def watch(self, hearer: Hearer, key: str) -> None:
        """It watches ``key`` from now on."""
        self._watchers.setdefault(key, {})[hearer] = None

    def forget_kept(self, hearer: Hearer, keys: Iterable[str]) -> None:
        """It keeps them no more."""
        self._forget(self._keepers, hearer, keys)

    def forget_watched(self, hearer: Hearer, keys: Iterable[str]) -> None:
        """It watches them no more."""
        self._forget(self._watchers, hearer, keys)

    def changed(self, key: str) -> None:
        """Another value stands there from now on, or none."""
        keepers = self._keepers.pop(key, None)
        if keepers is not None:
            for hearer in keepers:
                hearer.on_old(self._group, key)
        watchers = self._watchers.get(key)
        if watchers is None:
            self._tags.drop(key)
        else:
            for hearer in watchers:
                hearer.on_value(self._group, key)

    def note_tags(self, key: str, tags: str) -> None:
        """The value of ``key`` has been read for somebody, and has these tags, as one text."""
        if key in self._keepers or key in self._watchers:
            self._tags.note(key, tags)

    def tag_old(self, tag: str | None) -> None:
        """What has this tag is no longer true (None: what has any may not be)."""
        for key in self._tags.all() if tag is None else self._tags.of(tag):
            self.changed(key)

    def cleared(self) -> None:
        """Nothing stands anywhere."""
        keepers = {hearer: None for hearers in self._keepers.values() for hearer in hearers}
        self._keepers.clear()
        for key in self._tags.all():
            self._tags.drop(key)
        for hearer in keepers:
            hearer.on_all_old(self._group)
        for key, hearers in list(self._watchers.items()):
            for hearer in list(hearers):
                hearer.on_value(self._group, key)

    def _forget(self, table: dict[str, dict[Hearer, None]], hearer: Hearer, keys: Iterable[str]) -> None:
        for key in keys:
            hearers = table.get(key)
            if hearers is not None:
                hearers.pop(hearer, None)
                if not hearers:
                    del table[key]
                    if key not in self._keepers and key not in self._watchers:
                        self._tags.drop(key)
