"""When the requests of an open loop are due: ascending seconds since the start, without end.

Constant: request k is due at k / rate, divided anew for each, so that nothing adds up over a long run. Poisson: the gaps are
exponential with the mean 1 / rate, as those of many people who know nothing of each other; the seed decides them.

Several workers split one rate. Under constant arrivals they take turns, so that together they are the even row of one worker
and not a volley; under Poisson each draws a stream of its own, and the sum of such streams is Poisson again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate, count, repeat
from random import Random
from typing import Literal


def arrivals(
    rate: float, kind: Literal["constant", "poisson"], seed: int | str | None, *, worker: int = 0, workers: int = 1
) -> Iterator[float]:
    """The intended seconds of one worker. 0.1 us each when constant, 0.4 us under Poisson.

    ``rate``: requests a second of all ``workers`` together. ``seed``: of the whole run; each worker draws something else from it.
    Raises ValueError for a rate that is not above 0, or another kind.
    """
    if not 0 < rate < math.inf:
        raise ValueError("rate: a finite number above 0")
    if kind == "constant":
        return map(float(rate).__rtruediv__, count(worker, workers))
    if kind == "poisson":
        gap = Random(f"{seed}/arrivals/{worker} of {workers}").expovariate
        return accumulate(map(gap, repeat(rate / workers)))
    raise ValueError(f"arrivals: constant or poisson, not {kind!r}")
