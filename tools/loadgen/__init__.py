"""The load generator: it asks a cache for keys the way many programs would, and says what that was like.

The floor plan, from the bottom; imports go down only, and nothing here reaches past the public names of `zmcache`:

    errors.py          what can go wrong in the generator itself
    target.py          what a thing under load has to offer: read, write, counters
    memory.py          a target inside this process, for tests and for trying things out
    zmcache_target.py  the target that is meant: a cluster, through the client library
    workload.py        which key next: uniform or Zipf, seeded
    traces.py          which key next: from a recorded file, streamed
    recorder.py        latencies, cheap to take, into histograms
    tally.py           what the nodes counted while the run lasted, and which keys were asked for
    result.py          what a run amounts to, as frozen data
    runner.py          the closed loop: so many callers, each asking again when it was answered
    report.py          the result as one set of figures: a table for people, JSON for programs
    progress.py        the bar while it runs
    options.py         what people write on the command line, as numbers
    cli.py             the commands, signals and exit codes

A program drives load by itself with three of these names::

    target = ZmcacheTarget(client, "items")
    result = await run(target, Synthetic(keys=20_000, distribution="zipf"), callers=32, duration_s=10)
    print_table(figures(result))
"""

from .errors import LoadgenError, TargetRefused, TargetUnavailable, TraceError
from .report import figures, print_table
from .result import Result
from .runner import run
from .target import NodeCounters, Target
from .traces import TraceWorkload
from .workload import Synthetic
from .zmcache_target import ZmcacheTarget, open_zmcache

__all__ = [
    "LoadgenError",
    "NodeCounters",
    "Result",
    "Synthetic",
    "Target",
    "TargetRefused",
    "TargetUnavailable",
    "TraceError",
    "TraceWorkload",
    "ZmcacheTarget",
    "figures",
    "open_zmcache",
    "print_table",
    "run",
]
