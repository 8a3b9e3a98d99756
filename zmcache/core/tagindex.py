"""Which of the keys that somebody wants to hear of have a tag: who keeps a copy is told when it is invalidated, and nothing is searched."""

from __future__ import annotations

from zmcache.core.tags import split_tags


class TagIndex:
    """Keys by tag, of some keys only: they are noted and dropped one by one."""

    __slots__ = ("_keys", "_tags")

    def __init__(self) -> None:
        self._keys: dict[str, set[str]] = {}
        self._tags: dict[str, str] = {}

    def note(self, key: str, tags: str) -> None:
        """These are the key's tags now, as one text."""
        if self._tags.get(key) != tags:
            self.drop(key)
            self._tags[key] = tags
            for tag in split_tags(tags):
                self._keys.setdefault(tag, set()).add(key)

    def drop(self, key: str) -> None:
        """Nobody wants to hear of it any more."""
        tags = self._tags.pop(key, None)
        if tags is not None:
            for tag in split_tags(tags):
                keys = self._keys[tag]
                keys.discard(key)
                if not keys:
                    del self._keys[tag]

    def of(self, tag: str) -> list[str]:
        """Those that have it."""
        return list(self._keys.get(tag, ()))

    def all(self) -> list[str]:
        """Those that have any."""
        return list(self._tags)
