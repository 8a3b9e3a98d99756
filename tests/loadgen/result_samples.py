"""Results for tests of what reads them: real ones, of short runs inside the test, and one in which everything happened."""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from zmcache_loadgen.load.opening import opened
from zmcache_loadgen.load.plan import Closed, Destination, Open, Plan
from zmcache_loadgen.load.run import measure
from zmcache_loadgen.workloads import Synthetic, Workload, Zipf

HOSTILE = "</svg><script>alert(1)</script> & \"quoted\" 'name'"


@cache
def _measured(target: str, rate: float | None, verify: bool) -> str:
    workload = Synthetic(keys=200, distribution=Zipf(0.99), writes=0.2)
    loop = Closed(callers=4) if rate is None else Open(rate=rate, arrivals="poisson")
    return json.dumps(run(workload, loop, target=target, requests=600, verify=verify))


def run(workload: Workload, loop: Closed | Open, *, target: str = "dict", **given: Any) -> dict[str, Any]:
    """The figures of a run in this process, as JSON has them."""
    plan = Plan(destination=Destination(target=target), workload=workload, loop=loop, **given)
    found: dict[str, Any] = json.loads(json.dumps(asyncio.run(measure(plan, opened, stop=asyncio.Event()))))
    return found


def measured(target: str = "dict", *, rate: float | None = None, verify: bool = False) -> dict[str, Any]:
    """What 600 requests to ``target`` were like: closed loop, or open at ``rate``. As it is read back from a file."""
    found: dict[str, Any] = json.loads(_measured(target, rate, verify))
    return found


def eventful() -> dict[str, Any]:
    """An open loop on nodes with hostile names in which all went wrong that can be told of."""
    result = measured(rate=2000.0, verify=True)
    result |= {
        "partial": f"interrupted {HOSTILE}",
        "valid": False,
        "bottlenecks": [f"the loop was late {HOSTILE}"],
        "seconds": 12.0,
        "skipped": 17,
        "series": [_second(number) for number in range(12)],
        "events": [
            {"at_s": 6.3, "what": "pause node-3", "ok": False, "detail": HOSTILE},
            {"at_s": 3.0, "what": f"kill {HOSTILE}", "ok": True, "detail": "was ended by SIGKILL"},
            {"at_s": 6.1, "what": "start node-2", "ok": True, "detail": "serves"},
        ],
        "nodes": {
            "node-1": {"requests": 900, "loads": 40, "state": "stayed"},
            HOSTILE: {"requests": 300, "loads": 30, "state": "left"},
        },
        "expectations": [
            {"text": "p99<5ms", "value": 87.8, "holds": False, "why": ""},
            {"text": "loads<=3", "value": None, "holds": False, "why": f"not known {HOSTILE}"},
            {"text": "errors>=0", "value": 9, "holds": True, "why": ""},
        ],
    }
    result["errors"] = {"total": 9, "by_class": {"TimeoutError": {"count": 9, "first": HOSTILE * 3}}}
    result["verify"] |= {"stale": 2, "first": [f"stale: {HOSTILE}"]}
    result["loads"] |= {"loaded": 70, "loaded_exact": False}
    return result


def _second(number: int) -> dict[str, Any]:
    """Nothing was answered in the fifth: a gap in every line."""
    stalled = number == 5
    return {
        "second": number,
        "requests": 0 if stalled else 2000 + 7 * number,
        "reads": 0 if stalled else 1600,
        "hits": 0 if stalled else 900 + 40 * number,
        "errors": 9 if number == 4 else 0,
        "skipped": 17 if stalled else 0,
        "loads": 0 if stalled else 100,
        "absent": 0,
        "p50_us": None if stalled else 800.0 + number,
        "p99_us": None if stalled else 4000.0 * (number + 1),
        "max_us": None if stalled else 9000.0 * (number + 1),
    }


def kept(folder: Path, name: str, *runs: dict[str, Any]) -> Path:
    """A file as the generator keeps it: of one run, or of several."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(runs[0] if len(runs) == 1 else {"schema": 2, "runs": runs}, indent=2))
    return path


def slower(result: dict[str, Any], factor: float) -> dict[str, Any]:
    """The same run with every latency multiplied, and the rate divided."""
    changed = deepcopy(result)
    for latency in changed["latency_us"].values():
        for measure_of, value in latency.items():
            if measure_of != "count" and value is not None:
                latency[measure_of] = value * factor
    changed["requests_per_s"] /= factor
    return changed
