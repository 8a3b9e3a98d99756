"""A drawn workload keeps its shares, gives the same again for the same seed, and its workers share it without overlap."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import islice
from typing import Any

import pytest
from zmcache_loadgen.requests import DELETE, MODIFY, READ, READ_MANY, WRITE, Request
from zmcache_loadgen.workloads import (
    Distribution,
    Expiry,
    HotSet,
    Latest,
    Sequential,
    Synthetic,
    Uniform,
    UniformSize,
    Zipf,
    parse_sizes,
)

MIXED: dict[str, Any] = {
    "keys": 1000, "sizes": UniformSize(1, 50), "expiry": Expiry(10, 60), "writes": 0.2, "deletes": 0.1, "modifies": 0.1,
}  # fmt: skip
DISTRIBUTIONS: list[Distribution] = [Uniform(), Zipf(0.99), Latest(0.99), HotSet(shift_every=100), Sequential()]


def asked(workload: Synthetic, count: int) -> list[Request]:
    return list(islice(workload.requests(), count))


def ops_of(workload: Synthetic, count: int = 20_000) -> Counter[int]:
    return Counter(request[0] for request in asked(workload, count))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("batch", [1, 5])
def test_the_same_seed_asks_the_same_again_also_after_the_way_to_another_process(
    distribution: Distribution, batch: int
) -> None:
    workload = Synthetic(distribution=distribution, batch=batch, seed=7, **MIXED)
    first = asked(workload, 2000)
    assert first == asked(workload, 2000)
    assert first == asked(pickle.loads(pickle.dumps(workload)), 2000)
    assert list(workload.load_requests()) == list(workload.load_requests())


def test_another_seed_asks_for_something_else() -> None:
    ones, others = (asked(Synthetic(seed=seed, **MIXED), 2000) for seed in (7, 8))
    for column in (0, 1, 3, 4):  # operations, keys, sizes and lives
        assert [request[column] for request in ones] != [request[column] for request in others]


def test_more_writes_leave_the_keys_as_they_were() -> None:
    never, some, always = (
        [request[2] for request in asked(Synthetic(keys=1000, writes=writes, sizes=UniformSize(1, 50)), 1000)]
        for writes in (0.0, 0.05, 1.0)
    )
    assert never == some == always


@pytest.mark.parametrize("batch", [1, 10])
def test_the_shares_of_what_is_asked_are_kept(batch: int) -> None:
    shares = {WRITE: 0.2, DELETE: 0.1, MODIFY: 0.05, READ if batch == 1 else READ_MANY: 0.65}
    observed = ops_of(Synthetic(keys=1000, writes=0.2, deletes=0.1, modifies=0.05, batch=batch))
    assert {op: observed[op] / 20_000 for op in observed} == pytest.approx(shares, abs=0.01)


@pytest.mark.parametrize(("share", "op"), [("writes", WRITE), ("deletes", DELETE), ("modifies", MODIFY)])
def test_a_share_of_one_leaves_nothing_else(share: str, op: int) -> None:
    given: dict[str, Any] = {share: 1.0}
    assert set(ops_of(Synthetic(keys=10, **given))) == {op}


def test_sizes_and_lives_stand_only_where_something_is_stored() -> None:
    for op, _, _, size, life, due in asked(Synthetic(**MIXED), 5000):
        stores = op in (WRITE, MODIFY)
        assert (1 <= size <= 50) if stores else size == 0
        assert (10 <= life <= 60) if stores else life == 0.0
        assert due == 0.0


def test_lives_fill_their_range_evenly() -> None:
    lives = [life for _, _, _, _, life, _ in asked(Synthetic(keys=10, writes=1.0, expiry=Expiry(10, 60)), 20_000)]
    assert min(lives) < 10.1
    assert max(lives) > 59.9
    assert sum(lives) / len(lives) == pytest.approx(35, rel=0.02)


def test_without_an_expiry_what_is_written_lives_as_the_group_says() -> None:
    workload = Synthetic(keys=300, writes=0.5)
    assert {request[4] for request in [*asked(workload, 500), *workload.load_requests()]} == {0.0}


def test_values_have_the_sizes_of_their_distribution() -> None:
    sizes = Counter(
        request[3] for request in asked(Synthetic(writes=1.0, sizes=parse_sizes("64:90%,4096:10%")), 20_000)
    )
    assert set(sizes) == {64, 4096}
    assert sizes[4096] / 20_000 == pytest.approx(0.1, abs=0.01)


def test_the_key_is_the_prefix_and_the_number() -> None:
    assert all(key == f"user:{token}" for _, token, key, *_ in asked(Synthetic(keys=50, prefix="user:"), 500))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_batch_has_as_many_keys_as_asked_for_and_none_twice(distribution: Distribution) -> None:
    for op, tokens, keys, *_ in asked(Synthetic(keys=40, distribution=distribution, batch=7, writes=0.2), 1000):
        if op == WRITE:
            assert keys == str(tokens)
            continue
        assert isinstance(tokens, list)
        assert len(set(tokens)) == len(tokens) == 7
        assert keys == [str(token) for token in tokens]


@pytest.mark.parametrize("distribution", [Zipf(20.0), HotSet(hot_keys=0.1, hot_share=1.0), Sequential()])
def test_a_batch_of_all_keys_ends_also_where_some_are_never_drawn(distribution: Distribution) -> None:
    for _, tokens, *_ in asked(Synthetic(keys=30, distribution=distribution, batch=30).for_worker(1, 2), 20):
        assert isinstance(tokens, list)
        assert sorted(tokens) == list(range(30))


@pytest.mark.parametrize("batch", [1, 5])
def test_inserts_write_new_keys_and_reads_ask_for_the_newest_most(batch: int) -> None:
    workload = Synthetic(keys=100, distribution=Latest(0.99), inserts=0.2, batch=batch)
    newest, ages = 99, Counter[int]()
    for op, tokens, keys, size, *_ in asked(workload, 5000):
        if op == WRITE:
            assert (tokens, keys, size) == (newest + 1, str(newest + 1), 128)
            newest += 1
        else:
            assert op == (READ if batch == 1 else READ_MANY)
            ages.update(newest - int(token) for token in (tokens if isinstance(tokens, list) else [tokens]))
    assert newest == pytest.approx(99 + 1000, rel=0.1)
    assert min(ages) == 0  # nothing is asked for before it was inserted
    assert ages.most_common(1)[0][0] == 0


def test_the_load_phase_writes_every_key_once() -> None:
    workload = Synthetic(keys=1000, sizes=UniformSize(1, 9), expiry=Expiry(5, 6), prefix="k")
    loaded = list(workload.load_requests())
    assert [(op, token, key) for op, token, key, *_ in loaded] == [(WRITE, n, f"k{n}") for n in range(1000)]
    assert {request[3] for request in loaded} == set(range(1, 10))
    assert all(5 <= request[4] <= 6 for request in loaded)


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_workers_share_the_load_phase_without_overlap(workers: int) -> None:
    parts = [list(Synthetic(keys=1000).for_worker(index, workers).load_requests()) for index in range(workers)]
    keys = [request[1] for part in parts for request in part]
    assert sorted(keys) == list(range(1000))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_workers_ask_for_different_things_and_each_the_same_again() -> None:
    workload = Synthetic(distribution=Zipf(0.99), **MIXED)
    streams = [asked(workload.for_worker(index, 3), 1000) for index in range(3)]
    assert streams == [asked(workload.for_worker(index, 3), 1000) for index in range(3)]
    assert len({str(stream) for stream in streams}) == 3
    assert asked(workload.for_worker(0, 1), 1000) == asked(workload, 1000)


def test_keys_inserted_by_one_worker_are_never_inserted_by_another() -> None:
    workload = Synthetic(keys=100, distribution=Latest(0.99), inserts=0.5)
    inserted = [
        [request[1] for request in asked(workload.for_worker(index, 3), 1000) if request[0] == WRITE]
        for index in range(3)
    ]
    keys = [key for part in inserted for key in part]
    assert len(set(map(str, keys))) == len(keys)
    assert all(isinstance(key, int) and key >= 100 for key in keys)


def test_a_worker_asks_for_no_key_that_another_inserts() -> None:
    part = Synthetic(keys=100, distribution=Latest(0.99), inserts=0.2).for_worker(1, 3)
    own = set(range(100))
    for op, token, *_ in asked(part, 3000):
        assert isinstance(token, int)
        if op == WRITE:
            own.add(token)
        assert token in own
    assert len(own) > 500


def test_a_large_batch_is_made_as_it_is_asked_for_and_not_hundreds_ahead() -> None:
    drawn: list[int] = []

    class Counted(Uniform):
        __slots__ = ()

        def drawer(self, keys: int, random: Any, part: Any) -> Any:
            draw = super().drawer(keys, random, part)

            def counting(count: int, first: int) -> list[int]:
                drawn.append(count)
                return draw(count, first)

            return counting

    next(Synthetic(keys=100_000, distribution=Counted(), batch=1000).requests())
    assert sum(drawn) < 3000


def test_the_description_says_what_is_asked_and_is_plain_data() -> None:
    workload = Synthetic(distribution=Zipf(0.8), sizes=parse_sizes("64-128"), writes=0.1, batch=3, seed=4)
    assert dict(workload.description) == {
        "kind": "zipf", "exponent": 0.8, "keys": 100_000, "writes": 0.1, "batch": 3, "value_bytes": "64-128", "expiry": None,
        "prefix": "",
    }  # fmt: skip
    assert (workload.seed, workload.total, workload.timed) == (4, None, False)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"keys": 0}, "keys: at least 1"),
        ({"writes": 1.5}, "shares from 0 to 1"),
        ({"deletes": -0.1}, "shares from 0 to 1"),
        ({"writes": float("nan")}, "shares from 0 to 1"),
        ({"writes": 0.6, "deletes": 0.6}, "together at most 1"),
        ({"batch": 0}, "batch: at least 1 key"),
        ({"batch": 11, "keys": 10}, "at most as many as there are"),
        ({"inserts": 0.1}, "only with the distribution latest"),
    ],
)
def test_parameters_outside_their_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Synthetic(**wrong)


@pytest.mark.parametrize(("index", "count"), [(-1, 2), (2, 2), (0, 0)])
def test_a_worker_that_is_not_there_is_refused(index: int, count: int) -> None:
    with pytest.raises(ValueError, match="worker: from 0"):
        Synthetic().for_worker(index, count)
