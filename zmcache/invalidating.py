"""What a node does when it hears that tags are invalidated, or that a group is cleared: from who did it, or from another node, later.

Both are a version, of a tag or of the whole group, and older ones change nothing: so it does not matter from whom this is heard, how often, and in
which order. All that the group holds with such a tag, and is no newer, is old from that moment on (`zmcache.core.tagging`): nothing is looked for. To
clear is to delete, in slices, what is no newer than the clear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from zmcache.core.tagging import Tagging
from zmcache.core.tags import WHOLE_GROUP
from zmcache.core.versions import Versions
from zmcache.errors import RequestError


class Told(Protocol):
    """What has to hear of it; a group."""

    def on_tag_old(self, tag: str) -> None:
        """All with this tag that was set before now is old."""

    def on_tags_old(self) -> None:
        """So is some that has any tag."""

    def clear(self, done: Callable[[], None], version: int) -> None:
        """Forget what is no newer than ``version``; then call ``done``."""


class Invalidating:
    """Of one group."""

    def __init__(self, group: Told, tagging: Tagging, versions: Versions) -> None:
        self._group = group
        self._tagging = tagging
        self._versions = versions
        self.generations = tagging.generations

    def moment(self) -> int:
        """A version newer than all that was written here until now."""
        return self._versions.next()

    def doubt(self) -> None:
        """Tags may have been invalidated that this node has not heard of: of what it holds now nothing with tags is given, until `trust`."""
        self._tagging.doubted = self.moment()

    def trust(self) -> None:
        """It has heard of all."""
        self._tagging.doubted = 0

    def watch(self, look_back: Callable[[], None]) -> None:
        """``look_back`` is called before anything with tags is given: it is for noticing that there is cause for doubt."""
        self._tagging.look_back = look_back

    def hear(
        self, tags: Sequence[str], versions: Sequence[int], floor: int = 0, done: Callable[[], None] | None = None
    ) -> bool:
        """These are invalidated at these versions, and all that has tags at ``floor``; whether any of it is news. ``done`` is called when a
        group that was among them is empty, or at once.

        Raises `RequestError` for a version that no clock can have given, and nothing is done.
        """
        if not all(map(self._versions.is_believable, (*versions, floor))):
            raise RequestError("tags are invalidated at a version far ahead of this node's clock")
        generations, group = self.generations, self._group
        before = generations.floor
        is_news, cleared = False, 0
        for tag, version in zip(tags, versions, strict=True):
            self._versions.seen(version)
            told_now = generations.raise_to(tag, version)
            is_news = is_news or told_now
            if tag == WHOLE_GROUP:
                # Who asks for it waits for its end, whether or not another has asked for the same.
                cleared = version if told_now or done is not None else cleared
            elif told_now:
                group.on_tag_old(tag)
        generations.raise_floor(floor)
        if generations.floor > before:
            group.on_tags_old()
            is_news = True
        if cleared:
            group.clear(done or _nothing, cleared)
        elif done is not None:
            done()
        return is_news


def _nothing() -> None:
    """Nobody waits for it."""
