"""Every error that zmcache raises, in one tree, each named for the side that has to act.

    ZmcacheError
    |- ConfigError                 ours, before anything runs: file, path in the file, what was expected
    |- RequestError                the caller's: the call can never succeed as it is
    |  |- InvalidKey
    |  |- InvalidValue
    |  |  `- ValueTooLarge         (size, limit)
    |  |- InvalidTtl
    |  |- InvalidTag
    |  |- RecursiveFill            a function that makes a value asks for that value
    |  `- UnknownGroup             (group)
    |- BackendError                the backend's: the loader was asked and did not do its part
    |  |- LoaderFailed
    |  `- LoadTimeout
    |- MeshError                   the cluster's: asking again later may help
    |  |- PeerUnavailable          (peer): nobody answers at that address
    |  |- Busy                     shed on purpose, before any work was done
    |  |- DeadlineExceeded         the call's own time is up
    |  |- OutcomeUnknown           it may or may not have been done
    |  |  |- TooFewCopies          (held, wanted): it was done, and fewer nodes hold it than were to
    |  |  `- NotAllTold            (nodes): it was done, but for what these hold, who could not be told yet
    |  `- ProtocolError            theirs: bytes that no correct peer of this version sends
    |- DiscoveryError              etcd cannot be reached, or refuses
    |- PartialResult               some keys of a get_many failed: (values, errors)
    `- LifecycleError              ours: closed, wrong event loop, used after a fork

Errors that travel carry a ``code``, which is what stands in a frame; `from_code` turns it back. A code, once given, is
never used for anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ZmcacheError(Exception):
    """The root. Everything zmcache raises on purpose is one of these."""

    code: ClassVar[int] = 255


class ConfigError(ZmcacheError):
    """A setting is wrong. Its text is one line: ``file: path: what was expected``."""

    def __init__(self, expected: str, *, file: str = "", path: str = "") -> None:
        super().__init__(": ".join(part for part in (file, path, expected) if part))
        self.expected, self.file, self.path = expected, file, path


class RequestError(ZmcacheError):
    """The caller asked for something that can never succeed."""

    code = 32


class InvalidKey(RequestError):
    """A key is not text, is empty, or is longer than the limit in UTF-8 bytes."""

    code = 33


class InvalidValue(RequestError):
    """A value is not bytes."""

    code = 34


class ValueTooLarge(InvalidValue):
    """A value is larger than the message limit or than its group's whole budget."""

    code = 35

    def __init__(self, message: str = "value too large", *, size: int = 0, limit: int = 0) -> None:
        super().__init__(f"{message} ({size} bytes, limit {limit})" if limit else message)
        self.size, self.limit = size, limit


class InvalidTtl(RequestError):
    """An expiry is zero, negative, or not a finite number of seconds."""

    code = 36


class UnknownGroup(RequestError):
    """The node has no group of that name."""

    code = 37


class RecursiveFill(RequestError):
    """A function that makes a value asks for that value, and would wait for itself."""

    code = 38


class InvalidTag(RequestError):
    """A tag is not text, is empty, has control characters, or is longer than 250 bytes in UTF-8; or a key is to have more than 32 of them."""

    code = 39


class BackendError(ZmcacheError):
    """The loader was asked and did not do its part. This is an answer, not a reason to ask another node."""

    code = 64


class LoaderFailed(BackendError):
    """The loader raised, or returned something that cannot be stored; the text names it.

    ``__cause__`` is what it raised, in the process in which it ran: only the text travels.
    """

    code = 65


class LoadTimeout(BackendError):
    """The loader did not finish within the group's load timeout."""

    code = 66


class MeshError(ZmcacheError):
    """The cluster could not do it now."""

    code = 96


class PeerUnavailable(MeshError):
    """No node answers at that address."""

    code = 97

    def __init__(self, message: str, *, peer: str = "") -> None:
        super().__init__(message)
        self.peer = peer


class Busy(MeshError):
    """Refused before any work was done because a bound was reached. Back off, then ask again."""

    code = 98


class DeadlineExceeded(MeshError):
    """The call's own deadline passed."""

    code = 99


class OutcomeUnknown(MeshError):
    """The request may have been carried out; asking again might do it twice."""

    code = 100


class TooFewCopies(OutcomeUnknown):
    """Fewer nodes hold a write than its group wants before it is acknowledged: it stands until something newer does, or they are lost."""

    code = 101

    def __init__(self, message: str = "", *, held: int = 0, wanted: int = 0) -> None:
        super().__init__(message or f"{held} of {wanted} copies hold it")
        self.held, self.wanted = held, wanted


class NotAllTold(OutcomeUnknown):
    """Tags were invalidated, or a group was cleared, but ``nodes`` could not be told. They hear of it from the others when they can be reached, and
    until then they may give what is old.
    """

    def __init__(self, message: str = "", *, nodes: tuple[str, ...] = ()) -> None:
        super().__init__(message or f"{len(nodes)} nodes could not be told: {', '.join(nodes)[:200]}")
        self.nodes = nodes


class ProtocolError(MeshError):
    """Bytes that no correct peer of this version sends. For who asked, a node that cannot be used now, like one that does not answer."""

    code = 128


class DiscoveryError(ZmcacheError):
    """The membership service cannot be reached or refuses."""


class LifecycleError(ZmcacheError):
    """Used after it was closed, from another event loop, or after a fork."""


class PartialResult(ZmcacheError):
    """Some keys of a batch failed. ``values`` has what was found, ``errors`` the failure of each other key."""

    def __init__(self, values: Mapping[str, Any], errors: Mapping[str, ZmcacheError]) -> None:
        first = next(iter(errors.values()))
        super().__init__(f"{len(errors)} of the keys failed, the first with: {first}")
        self.values, self.errors = dict(values), dict(errors)


_BY_CODE: dict[int, type[ZmcacheError]] = {
    cls.code: cls
    for cls in (
        ZmcacheError, RequestError, InvalidKey, InvalidValue, ValueTooLarge, InvalidTtl, UnknownGroup, RecursiveFill, InvalidTag, BackendError,
        LoaderFailed, LoadTimeout, MeshError, Busy, DeadlineExceeded, OutcomeUnknown,
        TooFewCopies, ProtocolError,
    )
}  # fmt: skip


def from_code(code: int, message: str) -> ZmcacheError:
    """The error that a code in an answer stands for; a code from a newer node becomes its nearest known parent."""
    if code == PeerUnavailable.code:
        return PeerUnavailable(message)
    cls = _BY_CODE.get(code) or _BY_CODE.get(code & ~31) or ZmcacheError
    return cls(message)
