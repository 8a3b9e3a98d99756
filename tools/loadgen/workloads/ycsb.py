"""The mixes of Cooper et al., "Benchmarking Cloud Serving Systems with YCSB" (SoCC 2010), and F of its core workloads.

    A  half reads, half updates              zipf     a session store
    B  95 % reads, 5 % updates               zipf     photo tagging
    C  reads                                 zipf     profiles, made elsewhere
    D  95 % reads, 5 % inserts               latest   status updates
    F  half reads, half read-modify-writes   zipf     a database of users

The exponent is 0.99 throughout, and a record has 1,000 bytes (ten fields of 100), read and written whole. E scans ranges of
keys, which a cache has not. Two things differ: YCSB scatters the popular records over the key space, here the ring's hash
does; and its Zipf is an approximation (Gray et al.), this one is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .distributions import Distribution
from .expiry import Expiry
from .sizes import ConstantSize, Sizes
from .synthetic import Synthetic
from .zipf import Latest, Zipf

RECORD: Final = ConstantSize(1000)
"""Ten fields of 100 bytes."""

_ZIPF: Final = Zipf(0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mix:
    distribution: Distribution = _ZIPF
    writes: float = 0.0
    modifies: float = 0.0
    inserts: float = 0.0


_MIXES: Final = {
    "A": _Mix(writes=0.5),
    "B": _Mix(writes=0.05),
    "C": _Mix(),
    "D": _Mix(distribution=Latest(0.99), inserts=0.05),
    "F": _Mix(modifies=0.5),
}


def ycsb(
    name: str,
    *,
    keys: int = 100_000,
    sizes: Sizes = RECORD,
    expiry: Expiry | None = None,
    seed: int = 1,
    prefix: str = "user",
) -> Synthetic:
    """Workload ``name``, in either case. Raises ValueError where there is none of that name, and as `Synthetic` does."""
    mix = _MIXES.get(name.strip().upper())
    if mix is None:
        raise ValueError(f"there is no YCSB workload {name!r} here: there are A, B, C, D and F")
    return Synthetic(
        keys=keys,
        distribution=mix.distribution,
        sizes=sizes,
        expiry=expiry,
        writes=mix.writes,
        modifies=mix.modifies,
        inserts=mix.inserts,
        seed=seed,
        prefix=prefix,
        preset=f"YCSB {name.strip().upper()}",
    )
