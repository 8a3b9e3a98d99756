"""One endpoint of etcd, and the few blocking calls that membership needs of it.

Every call has a deadline: a stopped etcd accepts connections and never answers, and only a deadline tells it from a
quiet one. Every failure, whatever grpc makes of it, comes out as `EtcdError` with one line of text; `LeaseNotFound` is
the one that is told apart, because it has a cure. Nothing here knows what the keys mean.

Of etcd3's client the channel and the stubs are used and its `Watcher` is not: that one has no end (its thread survives
the client and spins while the endpoint refuses connections). Rotating among endpoints is the worker's affair.
"""

from __future__ import annotations

import importlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

_CHANNEL_OPTIONS = [
    # A channel of its own per connection: grpc shares sockets, and their growing pauses, between equal channels.
    ("grpc.use_local_subchannel_pool", 1),
    # A proxy that the host has set for the web is not the way to the etcd next door.
    ("grpc.enable_http_proxy", 0),
    # Some large value written under the prefix by mistake must not blind us to the members (grpc's default: 4 MiB).
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
]


class EtcdError(Exception):
    """A call to etcd failed; the text says how, in one line."""


class LeaseNotFound(EtcdError):
    """The lease that was named has expired or was revoked."""


class Entry(NamedTuple):
    """One key's value as etcd has it. ``mod_revision`` is of its last change, ``lease`` 0 if it has none."""

    value: bytes
    mod_revision: int
    lease: int


class Listing(NamedTuple):
    """All keys under a prefix as of ``revision``."""

    revision: int
    entries: dict[bytes, Entry]


class Change(NamedTuple):
    """One event of a watch. ``entry`` is None when the key was deleted."""

    key: bytes
    entry: Entry | None
    mod_revision: int


class WatchBatch(NamedTuple):
    """What one response of a watch brought."""

    watch_id: int
    changes: tuple[Change, ...]


class WatchEnded(NamedTuple):
    """A watch is over: cancelled, compacted, cut off or failed."""

    watch_id: int
    cause: str


class Connection:
    """A connection to one endpoint. Calls from one thread at a time; `close` from any thread ends a call under way."""

    def __init__(self, etcd3: Any, endpoint: str, timeout_s: float) -> None:
        host, _, port = endpoint.rpartition(":")
        self._rpc = etcd3.etcdrpc
        self._timeout_s = timeout_s
        self._errors: tuple[type[BaseException], ...] = (importlib.import_module("grpc").RpcError, ValueError)
        self._client = etcd3.client(host=host, port=port, timeout=timeout_s, grpc_options=_CHANNEL_OPTIONS)

    def close(self) -> None:
        """End whatever is under way. Idempotent."""
        self._client.close()

    def list_prefix(self, prefix: bytes) -> Listing:
        """Every key under ``prefix``, linearizably."""
        request = self._rpc.RangeRequest(key=prefix, range_end=end_of_prefix(prefix))
        with self._translated():
            response = self._client.kvstub.Range(request, self._timeout_s)
        return Listing(response.header.revision, {kv.key: _entry(kv) for kv in response.kvs})

    def put_if(self, key: bytes, value: bytes, lease: int, mod_revision: int) -> Entry | None:
        """Put if the key was last changed at ``mod_revision`` (0: does not exist).

        None: it was put. Otherwise what is there instead; `Entry` of zeros if it has gone. Raises `LeaseNotFound`.
        """
        rpc = self._rpc
        request = rpc.TxnRequest(
            compare=[rpc.Compare(key=key, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=mod_revision)],
            success=[rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value, lease=lease))],
            failure=[rpc.RequestOp(request_range=rpc.RangeRequest(key=key))],
        )
        with self._translated():
            response = self._client.kvstub.Txn(request, self._timeout_s)
        if response.succeeded:
            return None
        found = response.responses[0].response_range.kvs
        return _entry(found[0]) if found else Entry(b"", 0, 0)

    def grant(self, ttl_s: int) -> tuple[int, float]:
        """A new lease: its id and the seconds it was granted for, which may be more than was asked."""
        with self._translated():
            response = self._client.leasestub.LeaseGrant(self._rpc.LeaseGrantRequest(TTL=ttl_s), self._timeout_s)
        return response.ID, float(response.TTL)

    def keep_alive(self, lease: int) -> bool:
        """Renew a lease. False: it no longer exists."""
        requests = iter([self._rpc.LeaseKeepAliveRequest(ID=lease)])
        with self._translated():
            call = self._client.leasestub.LeaseKeepAlive(requests, self._timeout_s)
            response = next(call, None)
            call.cancel()
        if response is None:
            raise EtcdError("the keep-alive stream ended without an answer")
        return bool(response.TTL > 0)

    def time_to_live(self, lease: int) -> int:
        """Whole seconds that a lease has left; -1 if it does not exist."""
        with self._translated():
            response = self._client.leasestub.LeaseTimeToLive(
                self._rpc.LeaseTimeToLiveRequest(ID=lease), self._timeout_s
            )
        return int(response.TTL)

    def revoke(self, lease: int) -> None:
        """End a lease and delete the keys under it. Raises `LeaseNotFound`."""
        with self._translated():
            self._client.leasestub.LeaseRevoke(self._rpc.LeaseRevokeRequest(ID=lease), self._timeout_s)

    def watch(self, prefix: bytes, revision: int, put: Callable[[WatchBatch | WatchEnded], None]) -> Watch:
        """Hand every change from ``revision`` on to ``put``, on a thread of the watch's own."""
        request = self._rpc.WatchRequest(
            create_request=self._rpc.WatchCreateRequest(
                key=prefix, range_end=end_of_prefix(prefix), start_revision=revision
            )
        )
        with self._translated():
            return Watch(self._rpc.WatchStub(self._client.channel).Watch, request, put, self._errors)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._errors as exc:
            text = describe(exc)
            raise (LeaseNotFound(text) if "requested lease not found" in text else EtcdError(text)) from exc


class Watch:
    """One watch stream and the thread that reads it. The last thing it puts is always a `WatchEnded`."""

    _ids = itertools.count(1)

    def __init__(
        self,
        open_stream: Callable[[Iterator[Any]], Any],
        request: Any,
        put: Callable[[WatchBatch | WatchEnded], None],
        errors: tuple[type[BaseException], ...],
    ) -> None:
        self.watch_id = next(self._ids)
        self._put, self._errors = put, errors
        # etcd ends the watch when the stream of requests ends, so that one is left open until `cancel`.
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._requests.put(request)
        self._call = open_stream(iter(self._requests.get, None))
        self._thread = threading.Thread(target=self._read, name="zmcache-etcd-watch", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End the stream and its thread. Idempotent."""
        self._requests.put(None)
        self._call.cancel()
        self._thread.join(timeout=1.0)

    def _read(self) -> None:
        cause = "the stream ended"
        try:
            for response in self._call:
                if response.compact_revision:
                    cause = f"compacted at revision {response.compact_revision}"
                    break
                if response.canceled:
                    cause = f"cancelled by etcd: {response.cancel_reason}"
                    break
                if response.events:
                    self._put(WatchBatch(self.watch_id, tuple(_change(event) for event in response.events)))
        except self._errors as exc:
            cause = describe(exc)
        self._put(WatchEnded(self.watch_id, cause))


def end_of_prefix(prefix: bytes) -> bytes:
    """The first key after all those that begin with ``prefix``, whose last byte must be below 0xff."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def describe(exc: BaseException) -> str:
    """One line about a failed call."""
    code = getattr(exc, "code", lambda: None)()
    name = getattr(code, "name", "")
    if name == "DEADLINE_EXCEEDED":
        return "no answer in time"
    details = str(getattr(exc, "details", lambda: None)() or exc)
    # grpc wraps the cause in several layers of its own words; what a person can act on stands last.
    text = details.strip().splitlines()[0].rpartition("Failed to connect to remote host: ")[2] if details else ""
    return text or name or type(exc).__name__


def _entry(kv: Any) -> Entry:
    return Entry(kv.value, kv.mod_revision, kv.lease)


def _change(event: Any) -> Change:
    deleted = event.type == event.EventType.Value("DELETE")
    return Change(event.kv.key, None if deleted else _entry(event.kv), event.kv.mod_revision)
