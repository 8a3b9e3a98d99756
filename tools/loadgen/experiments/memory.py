"""``memory``: whether a node keeps to its budget, however the sizes of values differ.

1. A process with a node in it, and a group of a given budget. Its resident memory after one entry is the empty node's.
2. Set after set of new keys, with sizes drawn log-uniformly from 10 B to 1 MiB: each evicts what it takes the place of, and leaves holes.
3. Resident memory over the number of sets, beside what the group charges for its entries.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from ..bench.goals import NotMeasurable
from .base import Experiment, Record, Setting
from .memory_fill import GROUP, Fill, arguments
from .memory_section import section

_POLICIES: Final = ("lru", "s3-fifo")
_CONFIG: Final = """
node: {{id: filled, listen: "tcp://127.0.0.1:0", drain_timeout: 0s}}
groups:
  {group}: {{budget: {budget}, hot_share: 0, policy: {policy}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is set, with how large a budget, and with which policies, one after the other."""

    sets: int = 10_000_000
    budget_bytes: int = 1 << 30
    policies: tuple[str, ...] = _POLICIES


QUICK: Final = Effort(sets=300_000, budget_bytes=256 << 20)


async def run(setting: Setting) -> Record:
    """Measure. Raises `NotMeasurable` where the process breaks, or the system does not tell how much memory it has."""
    return await measured(setting, QUICK if setting.quick else Effort())


async def measured(setting: Setting, effort: Effort) -> Record:
    """The same, with so much effort."""
    if sys.platform != "linux":
        raise NotMeasurable("a process's resident memory is read from /proc, which is Linux's")
    fills = []
    for policy in effort.policies:
        setting.say(f"{policy}: {effort.sets:,} sets into {effort.budget_bytes / 2**20:,.0f} MiB")
        fill = Fill(policy=policy, budget_bytes=effort.budget_bytes, sets=effort.sets, seed=setting.seed)
        fills.append({"policy": policy, "samples": await _samples(setting, fill)})
    return {"budget_bytes": effort.budget_bytes, "sets": effort.sets, "fills": fills}


async def _samples(setting: Setting, fill: Fill) -> list[dict[str, Any]]:
    config = setting.folder / f"{fill.policy}.yaml"
    config.write_text(_CONFIG.format(group=GROUP, budget=fill.budget_bytes, policy=fill.policy), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *arguments(fill, config), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.ensure_future(process.stderr.read())
    samples: list[dict[str, Any]] = []
    try:
        async for line in process.stdout:
            samples.append(json.loads(line))
            if samples[-1]["sets"] * 10 % fill.sets == 0 and len(samples) > 1:
                setting.say(f"  {samples[-1]['sets']:,} sets")
        if await process.wait():
            words = (await errors).decode(errors="replace").strip().splitlines() or ["no word of why"]
            raise NotMeasurable(f"the process that is filled ended with {process.returncode}: {words[-1]}")
    finally:
        errors.cancel()
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return samples


EXPERIMENT: Final = Experiment(
    "memory",
    "Whether a node keeps to its budget: resident memory over ten million sets of sizes from 10 B to 1 MiB.",
    run,
    section,
)
