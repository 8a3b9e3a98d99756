"""The wire of the twin: which listener has which name, and what is wrong with it.

It moves no frame itself. It tells the asking ends when something changed: ``lose`` the link, ``attempt_soon`` a new one,
``pump_soon`` what piled up.
"""

from __future__ import annotations

from itertools import count
from typing import Generic, Protocol, TypeVar

from zmcache.errors import ConfigError


class AskingEnd(Protocol):
    """What the network asks of a connection."""

    endpoint: str

    def attempt_soon(self) -> None:
        """Connect in the next pass of the loop, unless connected."""

    def lose(self) -> None:
        """The link, if there is one, is gone."""

    def pump_soon(self) -> None:
        """Move what is on the way in the next pass of the loop."""


class Named(Protocol):
    """What the network knows of a listener."""

    endpoint: str


ListenerT = TypeVar("ListenerT", bound=Named)


class Registry(Generic[ListenerT]):
    """Names, ends and levers; see `MemoryNetwork`, which fixes the type of its listeners."""

    def __init__(self) -> None:
        self._listeners: dict[str, ListenerT] = {}
        self._asking: list[AskingEnd] = []
        self._cut: set[str] = set()
        self._paused: set[str] = set()
        self._numbers = count(1)

    def cut(self, endpoint: str) -> None:
        """As if the process had died: links break, frames on the way are lost, attempts fail. Until `heal`."""
        self._cut.add(endpoint)
        self._lose(endpoint)

    def heal(self, endpoint: str) -> None:
        """Undo `cut`: links are made again."""
        self._cut.discard(endpoint)
        self._attempt(endpoint)

    def pause(self, endpoint: str) -> None:
        """As if the process hung: links stand, frames pile up within the bounds, nothing is delivered. Until `resume`."""
        self._paused.add(endpoint)

    def resume(self, endpoint: str) -> None:
        """Undo `pause`: what piled up is delivered, and `on_writable` called where a frame was refused."""
        self._paused.discard(endpoint)
        for end in self._to(endpoint):
            end.pump_soon()

    def is_paused(self, endpoint: str) -> bool:
        """Whether ``endpoint`` is paused."""
        return endpoint in self._paused

    def reachable(self, endpoint: str) -> ListenerT | None:
        """The listener of that name, unless it is cut off."""
        return None if endpoint in self._cut else self._listeners.get(endpoint)

    def next_number(self) -> int:
        """For names that nobody chose."""
        return next(self._numbers)

    def add_listener(self, listener: ListenerT) -> None:
        """Raises `ConfigError` when the name is taken."""
        if listener.endpoint in self._listeners:
            raise ConfigError(f"cannot listen on {listener.endpoint}: Address already in use")
        self._listeners[listener.endpoint] = listener
        self._attempt(listener.endpoint)

    def remove_listener(self, listener: ListenerT) -> None:
        """It was closed: its links break."""
        del self._listeners[listener.endpoint]
        self._lose(listener.endpoint)

    def add_asking(self, end: AskingEnd) -> None:
        """It hears of what happens to its endpoint from now on."""
        self._asking.append(end)

    def remove_asking(self, end: AskingEnd) -> None:
        """It was closed."""
        self._asking.remove(end)

    def _to(self, endpoint: str) -> list[AskingEnd]:
        return [end for end in self._asking if end.endpoint == endpoint]

    def _lose(self, endpoint: str) -> None:
        for end in self._to(endpoint):
            end.lose()

    def _attempt(self, endpoint: str) -> None:
        for end in self._to(endpoint):
            end.attempt_soon()
