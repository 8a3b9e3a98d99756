"""Search for histories that break a promise, ``simulate.py --histories 1000 --first 0``, or replay one, ``simulate.py --seed 17 [--log] [--shrink]``.

Runs itself anew with PYTHONHASHSEED=0, so that a seed means the same everywhere. Exits with 1 when something was found.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shrinking import shrunk
from simulation import Outcome, run_plan, run_seed

_AT_ONCE = 50
_SHOWN = 5


class Found(NamedTuple):
    """What some histories came to."""

    histories: int
    disturbances: int
    calm: int
    """How many of the histories were calm at some time."""
    outcomes: Counter[str]
    reports: list[str]


def search(first: int, histories: int) -> Found:
    """The histories of these seeds, one after the other."""
    outcomes: Counter[str] = Counter()
    reports: list[str] = []
    disturbances = calm = 0
    for seed in range(first, first + histories):
        outcome = run_seed(seed)
        disturbances += len(outcome.history.disturbances)
        calm += bool(outcome.history.calm)
        outcomes.update(operation.outcome for operation in outcome.history.operations)
        if outcome.violations:
            reports.append(report(outcome))
        if seed % 20 == 0:
            gc.collect()
    return Found(histories, disturbances, calm, outcomes, reports)


def report(outcome: Outcome) -> str:
    """What was broken, and how to see it again."""
    lines = [f"seed {outcome.plan.seed} ({outcome.plan.setup.kind}): {len(outcome.violations)} violations"]
    lines += [f"  {violation.rule}: {violation.text}" for violation in outcome.violations[:_SHOWN]]
    lines.append(f"replay with: make simulate SEED={outcome.plan.seed}")
    return "\n".join(lines)


def _search(first: int, histories: int, jobs: int) -> int:
    began_s = time.monotonic()
    parts = [(at, min(_AT_ONCE, first + histories - at)) for at in range(first, first + histories, _AT_ONCE)]
    done = bad = disturbances = calm = 0
    outcomes: Counter[str] = Counter()
    for found in _each(parts, jobs):
        done += found.histories
        disturbances += found.disturbances
        calm += found.calm
        outcomes += found.outcomes
        bad += len(found.reports)
        for text in found.reports:
            print(text, flush=True)
    took_s = time.monotonic() - began_s
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(
        f"{done} histories, {outcomes.total()} calls ({told}), {disturbances} disturbances, {calm} calm at times, in {took_s:.1f} s"
    )
    print(f"{bad} of them break a promise")
    return int(bad > 0)


def _each(parts: list[tuple[int, int]], jobs: int) -> Iterable[Found]:
    if jobs == 1:
        for part in parts:
            yield search(*part)
    else:
        with ProcessPoolExecutor(jobs) as pool:
            yield from pool.map(search, *zip(*parts, strict=True))


def _replay(seed: int, *, log: bool, shrink: bool) -> int:
    outcome = run_seed(seed)
    if shrink and outcome.violations:
        outcome = run_plan(shrunk(outcome.plan))
        print(*outcome.plan.events, sep="\n")
    if log:
        print(outcome.log)
    print(outcome.plan.setup)
    print(report(outcome), f"(digest {outcome.digest})")
    return int(bool(outcome.violations))


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--log", action="store_true", help="with --seed: print all that happened")
    parser.add_argument("--shrink", action="store_true", help="with --seed: leave out what does not matter")
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})
    os.nice(10)  # nothing here depends on how long it takes: who has to be in time goes first
    gc.disable()
    gc.freeze()  # what was imported stays
    if options.seed is not None:
        return _replay(options.seed, log=options.log, shrink=options.shrink)
    return _search(options.first, options.histories, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
