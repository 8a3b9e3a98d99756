"""What a node's hot copies are told: the same as a client's near copies, by the same sessions (`zmcache.peers.following`).

A get of a popular key, which the group will keep a copy of, asks the owner to tell (`KEEPS`), where the session with the owner is good or begins.
If it is good when the answer comes, nothing was lost meanwhile, and the answer is the owner's own, the copy is as good as the session. Of any other
copy nobody tells, and it is only short-lived.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from zmcache.core.relying import Teller
from zmcache.core.wire import FROM_LOADER, FROM_OWNER, NOT_OWNER, OLD_FLAG, Answer, News
from zmcache.peers.batch import Batch
from zmcache.peers.channel import Channel
from zmcache.peers.following import Session, Sessions
from zmcache.peers.mesh import Mesh

# "No such key", and a None, may come from who merely holds nothing else.
_TOLD_OF: Final = frozenset({FROM_OWNER, FROM_LOADER})


class HotCopies(Protocol):
    """What hears of it; a group."""

    def copies_are_old(self, keys: list[str]) -> None:
        """There are other values now, or none, and what is being asked for may be of before."""

    def copies_are_lost(self, teller: Teller) -> None:
        """Something may not have been told by this one."""

    def all_copies_are_old(self, teller: Teller) -> None:
        """The group was emptied there."""

    def copies_are_good(self) -> None:
        """Some of the tellers have been heard of."""


class _Hearing:
    """For one group. A `Listener`."""

    def __init__(self, copies: HotCopies) -> None:
        self._copies = copies

    def on_news(self, session: Session, news: News) -> None:
        """See `Listener`."""
        self._copies.copies_are_old(
            [key for key, flags in zip(news.keys, news.value_flags, strict=True) if flags & OLD_FLAG]
        )

    def on_old(self, session: Session) -> None:
        """See `Listener`."""
        self._copies.all_copies_are_old(session)

    def on_lost(self, session: Session) -> None:
        """See `Listener`."""
        self._copies.copies_are_lost(session)

    def on_heard(self, session: Session) -> None:
        """See `Listener`."""
        self._copies.copies_are_good()


class Promised(NamedTuple):
    """That an owner tells of a key, from before it was read there."""

    session: Session
    life: int

    def teller(self, mesh: Mesh, batch: Batch, key: str, answer: Answer, status: int) -> Teller | None:
        """Who tells of what was answered; None: nobody."""
        session = self.session
        holds = (
            session.life == self.life
            and session.is_good
            and status in _TOLD_OF
            and not answer.flags & NOT_OWNER
            and batch.channel is session.channel is mesh.owner_channel(key)
        )
        return session if holds else None


class Hearings:
    """Those of one node."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock``: by which the copies end."""
        self._sessions = Sessions(clock)
        self._hearings: dict[str, _Hearing] = {}

    def add(self, group: str, copies: HotCopies) -> None:
        """That group hears from now on."""
        self._hearings[group] = hearing = _Hearing(copies)
        self._sessions.add(group, hearing)

    def promised(self, group: str, owner: Channel) -> Promised | None:
        """What is asked of ``owner`` now is to be kept. None: it would not be told of."""
        hearing = self._hearings.get(group)
        if hearing is None:
            return None
        session = self._sessions.of(owner)
        if not session.is_good and not session.begins:
            return None
        session.relied_on_by(hearing)
        return Promised(session, session.life)

    def close(self) -> None:
        """Hear no more."""
        self._sessions.close()
