"""The tags of a decorated function's call, made from its arguments by the same templates as its key (`zmcache.core.keys`)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from zmcache.core.keys import Keys
from zmcache.core.tags import TAG_BYTES, check_tags, joined_tags
from zmcache.errors import InvalidKey, InvalidTag

TagsOf: TypeAlias = Iterable[str] | Callable[..., Iterable[str]]
"""Templates such as ``"user:{user_id}"``, or a function of the call's arguments that gives tags."""


class CallTags:
    """Makes the tags of one function's calls. About 1 us for each template."""

    def __init__(self, function: Callable[..., Any], tags: TagsOf) -> None:
        """Raises `ConfigError` for what is no template of the function's parameters, and `InvalidTag` for too many."""
        self._of = tags if callable(tags) else None
        self._templates: list[Keys] = []
        if not callable(tags):
            every = list(inspect.signature(function).parameters)  # a tag may leave out any of them
            self._templates = [
                Keys(function, template, every, limit=TAG_BYTES, what="tag") for template in check_tags(tags)
            ]

    def __bool__(self) -> bool:
        return self._of is not None or bool(self._templates)

    def tags_for(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """As one text. Raises `InvalidTag` for arguments that no tag can be made of."""
        if self._of is not None:
            return joined_tags(self._of(*args, **kwargs))
        try:
            return joined_tags([template.key_for(args, kwargs) for template in self._templates])
        except InvalidKey as error:
            raise InvalidTag(str(error)) from error
