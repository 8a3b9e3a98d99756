"""``zmcache-loadgen run``: drawn requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from ..options import Duration, Exponent
from ..workloads import HotSet, Latest, Sequential, Synthetic, Uniform, Zipf, parse_expiry, parse_sizes, ycsb
from ..workloads.distributions import Distribution
from .common import common_options, start

_KINDS = ("uniform", "zipf", "latest", "hotset", "sequential")
_PRESETS = tuple(f"ycsb-{letter}" for letter in "abcdf")
_SHARE = click.FloatRange(0, 1)


@click.command()
@common_options
@click.option(
    "--workload",
    "--distribution",
    "kind",
    default="uniform",
    show_default=True,
    type=click.Choice([*_KINDS, *_PRESETS]),
    help="How keys are drawn, or one of YCSB's mixes.",
)
@click.option(
    "--keys",
    default=100_000,
    show_default=True,
    type=click.IntRange(1, 2**32),
    help="How many keys there are: 0 to N-1.",
)
@click.option(
    "--exponent", default="0.99", show_default=True, type=Exponent(), help="Of zipf and latest: any number above 0."
)
@click.option(
    "--hot-keys",
    default=0.1,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Hotset: share of the keys.",
)
@click.option(
    "--hot-share", default=0.9, show_default=True, type=_SHARE, help="Hotset: share of the requests they get."
)
@click.option(
    "--hot-shift",
    "shifts_s",
    multiple=True,
    type=Duration(),
    help="Hotset: at this second others become hot (open loop).",
)
@click.option(
    "--hot-shift-every", "shift_every", type=click.IntRange(1), help="Hotset: after so many requests others become hot."
)
@click.option(
    "--value-size", help="Bytes written: 128, 64-4096, lognormal:median=M,sigma=S or 64:90%,4096:10% (128; YCSB: 1000)."
)
@click.option("--expiry", help="Lives of what is written: 30s or 10s-60s (the group's own).")
@click.option("--writes", default=0.0, show_default=True, type=_SHARE, help="Share of requests that write.")
@click.option("--deletes", default=0.0, show_default=True, type=_SHARE, help="Share of requests that delete.")
@click.option("--batch", default=1, show_default=True, type=click.IntRange(1, 1000), help="Keys of each read.")
@click.option("--seed", default=1, show_default=True, type=int, help="The same seed asks for the same.")
@click.pass_context
def run(ctx: click.Context, /, *, kind: str, **given: Any) -> None:
    """Ask for drawn keys.

    Closed loop with --callers, open loop with --rate.
    """  # fmt: skip
    try:
        workload = _workload(kind, given)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    start(ctx, workload, given, default_s=10.0)


def _workload(kind: str, given: dict[str, Any]) -> Synthetic:
    expiry = parse_expiry(given["expiry"]) if given["expiry"] else None
    prefix = {} if given["prefix"] is None else {"prefix": given["prefix"]}
    if kind in _PRESETS:
        if given["writes"] or given["deletes"] or given["batch"] != 1:
            raise ValueError("a YCSB workload says itself what is written: no --writes, --deletes or --batch")
        mix = ycsb(kind[-1], keys=given["keys"], seed=given["seed"], expiry=expiry, **prefix)
        return replace(mix, sizes=parse_sizes(given["value_size"])) if given["value_size"] else mix
    return Synthetic(
        keys=given["keys"],
        distribution=_distribution(kind, given),
        sizes=parse_sizes(given["value_size"] or "128"),
        expiry=expiry,
        writes=given["writes"],
        deletes=given["deletes"],
        batch=given["batch"],
        seed=given["seed"],
        **prefix,
    )


def _distribution(kind: str, given: dict[str, Any]) -> Distribution:
    if kind == "zipf":
        return Zipf(given["exponent"])
    if kind == "latest":
        return Latest(given["exponent"])
    if kind == "hotset":
        return HotSet(
            given["hot_keys"], given["hot_share"], tuple(given["shifts_s"]), given["rate"], given["shift_every"]
        )
    return Sequential() if kind == "sequential" else Uniform()
