"""`connect`: from an address to a connection, of whichever kind. The one place where clients, sockets and the store in this process meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zmcache.cache import Cache
from zmcache.client import Client, make_client
from zmcache.client.near import DEFAULT_NEAR_TTL_S, NearSettings
from zmcache.core.address import parse_address
from zmcache.core.calls import DEFAULT_TIMEOUT_S, Duration, check_timeout
from zmcache.core.hedging import DEFAULT_SHARE
from zmcache.core.units import parse_size
from zmcache.core.wire import Limits
from zmcache.errors import ConfigError
from zmcache.inprocess import InProcess
from zmcache.transport.zeromq import ZmqTransport


def connect(
    address: str,
    *,
    timeout: Duration | None = None,
    connect_timeout: Duration | None = None,
    on_error: str | None = None,
    route: str | None = None,
    busy_poll: float | None = None,
    near: int | str | None = None,
    near_ttl: Duration | None = None,
    hedge: bool | float | None = None,
    limits: Limits | None = None,
) -> Cache:
    """A cache at ``address``: in this process (``mem://``), or a cluster (``zmcache://host:port,host:port``, or ``ipc://path``), by any of its
    nodes. The calls are the same. No I/O happens before ``async with``; groups may be named, and functions decorated, before it.

    timeout          seconds (or text, "50ms") that a call may take in all, a load by the owner included; each call can say otherwise. Default: 3.
    connect_timeout  seconds to find the first node that answers. Default: 5.
    on_error         ``"raise"``: what the cluster cannot do raises a `MeshError`. ``"miss"``: it is a miss, and is counted and logged; then
                     entering works without a node as well. Default: raise.
    route            ``"owner"``: learn the ring, send each key straight to its owner. ``"any"``: send everything to the given nodes
                     and let them fetch from each other; for clients that can reach only those. Default: owner.
    busy_poll        seconds to poll the socket before sleeping while an answer is awaited. 0, the default: none. About 150e-6 takes a third off the
                     latency of a lone caller and costs that much processor time a call; leave it off where the loop has other work.
    near             keep copies of popular keys in this process: so many bytes (or text, "16MiB") for each group. Their owners tell when they
                     change. Default: none. Needs ``route="owner"``.
    near_ttl         seconds that a copy lives at the most. Default: 10.
    hedge            ask the next node that holds a copy as well for what has waited for longer than 19 of 20 gets of its owner do: True, or the
                     share of gets that may be (True: 0.05). What such a get brings may be a moment older than what was set. Default: False.
                     Needs ``route="owner"``, and is of use in groups whose ``copies`` are more than one.
    limits           the cluster's limits, where its config has others than the defaults.

    All but ``limits`` may stand in the address as well: ``zmcache://host:port/?timeout=50ms&on_error=miss``; an argument here wins. Raises
    `ConfigError` for a wrong argument; entering raises `PeerUnavailable` when no node answers.
    """
    endpoints, options = parse_address(address)
    given: dict[str, Any] = {
        "timeout": timeout, "connect_timeout": connect_timeout, "on_error": on_error, "route": route, "busy_poll": busy_poll,
        "near": near, "near_ttl": near_ttl, "hedge": hedge,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    settings = {"timeout": DEFAULT_TIMEOUT_S, "on_error": "raise", **options, **given}
    return _client(endpoints, settings, limits or Limits()) if endpoints else _in_process(settings, limits)


def _in_process(settings: Mapping[str, Any], limits: Limits | None) -> InProcess:
    timeout_s = check_timeout(settings["timeout"])
    unfit = settings.keys() & {"route", "busy_poll", "connect_timeout", "near", "near_ttl", "hedge"}
    if unfit:
        raise ConfigError(f"{min(unfit)} is for clusters: mem:// has no sockets")
    return InProcess(timeout=timeout_s, on_error=settings["on_error"], limits=limits)


def _client(endpoints: Sequence[str], settings: Mapping[str, Any], limits: Limits) -> Client:
    timeout_s, busy_poll_s = check_timeout(settings["timeout"]), _busy_poll_s(settings)
    return make_client(
        endpoints,
        lambda: ZmqTransport(busy_poll_s=busy_poll_s, max_message_bytes=limits.message_bytes),
        route=settings.get("route", "owner"),
        timeout=timeout_s,
        connect_timeout=check_timeout(settings.get("connect_timeout", 5.0)),
        limits=limits,
        on_error=settings["on_error"],
        near=_near(settings),
        hedge=_hedge(settings),
    )


def _busy_poll_s(settings: Mapping[str, Any]) -> float:
    busy_poll_s = settings.get("busy_poll", 0.0)
    if isinstance(busy_poll_s, bool) or not isinstance(busy_poll_s, (int, float)) or not 0 <= busy_poll_s <= 0.1:
        raise ConfigError(f"expected busy_poll of 0 to 0.1 seconds, found {busy_poll_s!r}")
    return busy_poll_s


def _hedge(settings: Mapping[str, Any]) -> float:
    share = settings.get("hedge", False)
    if isinstance(share, bool):
        share = DEFAULT_SHARE * share
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ConfigError(f"hedge: expected True, False or a share from 0 to 1, found {share!r}")
    if share and settings.get("route", "owner") != "owner":
        raise ConfigError('hedge needs route="owner": whoever goes through any node does not know who holds a copy')
    return float(share)


def _near(settings: Mapping[str, Any]) -> NearSettings | None:
    if "near" not in settings:
        if "near_ttl" in settings:
            raise ConfigError("near_ttl says how long copies live, and near, how much room they have, is not given")
        return None
    if settings.get("route", "owner") != "owner":
        raise ConfigError('near needs route="owner": only owners tell when a copy is old')
    try:
        budget_bytes = parse_size(settings["near"])
    except ValueError as error:
        raise ConfigError(f"near: {error}") from None
    if not budget_bytes:
        return None
    return NearSettings(budget_bytes, check_timeout(settings.get("near_ttl", DEFAULT_NEAR_TTL_S)))
