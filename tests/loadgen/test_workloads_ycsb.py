"""YCSB's mixes are those of the paper: shares, popularity and records."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from zmcache_loadgen.requests import MODIFY, READ, WRITE
from zmcache_loadgen.workloads import Expiry, Latest, Zipf, parse_sizes, ycsb


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("A", {READ: 0.5, WRITE: 0.5}),
        ("B", {READ: 0.95, WRITE: 0.05}),
        ("C", {READ: 1.0}),
        ("D", {READ: 0.95, WRITE: 0.05}),
        ("F", {READ: 0.5, MODIFY: 0.5}),
    ],
)
def test_each_mix_has_its_shares(name: str, shares: dict[int, float]) -> None:
    ops = Counter(request[0] for request in islice(ycsb(name, keys=1000).requests(), 20_000))
    assert {op: count / 20_000 for op, count in ops.items()} == pytest.approx(shares, abs=0.01)


@pytest.mark.parametrize("name", ["A", "B", "D", "F"])
def test_a_record_has_a_thousand_bytes_and_is_written_whole(name: str) -> None:
    requests = islice(ycsb(name, keys=1000).requests(), 2000)
    assert {size for op, _, _, size, _, _ in requests if op != READ} == {1000}


@pytest.mark.parametrize("name", ["A", "B", "C", "F"])
def test_popularity_is_zipf_with_099(name: str) -> None:
    workload = ycsb(name, keys=1000)
    assert workload.distribution == Zipf(0.99)
    seen = Counter(request[1] for request in islice(workload.requests(), 20_000))
    assert seen[0] / 20_000 == pytest.approx(1 / sum(rank**-0.99 for rank in range(1, 1001)), abs=0.01)


def test_d_inserts_records_and_reads_the_newest_most() -> None:
    workload = ycsb("d", keys=1000)
    assert workload.distribution == Latest(0.99)
    requests = list(islice(workload.requests(), 10_000))
    inserted = [token for op, token, *_ in requests if op == WRITE]
    assert inserted == list(range(1000, 1000 + len(inserted)))
    read = [token for op, token, *_ in requests[-2000:] if op == READ]
    assert sum(isinstance(token, int) and token >= 1000 for token in read) > len(read) / 2


def test_a_mix_takes_seed_prefix_sizes_and_expiry() -> None:
    workload = ycsb("a", keys=50, sizes=parse_sizes("10"), expiry=Expiry(5, 5), seed=3, prefix="u:")
    assert {(request[3], request[4]) for request in islice(workload.requests(), 500)} == {(0, 0.0), (10, 5.0)}
    assert all(str(request[2]).startswith("u:") for request in workload.load_requests())
    assert workload.seed == 3
    assert workload.description["preset"] == "YCSB A"


@pytest.mark.parametrize("name", ["E", "", "AB", "ycsb"])
def test_a_mix_that_is_not_there_is_named_with_those_that_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"no YCSB workload .* there are A, B, C, D and F"):
        ycsb(name)
