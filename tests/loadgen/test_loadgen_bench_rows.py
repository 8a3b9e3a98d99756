"""The benchmark's rows, run with the least effort: those that need nothing but zmcache itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import uvloop
from zmcache_loadgen.bench import django_backend, threads
from zmcache_loadgen.bench.drive import Effort
from zmcache_loadgen.bench.goals import NotMeasurable, Row
from zmcache_loadgen.bench.sections import measure

TINY = Effort(
    runs=1, keys=200, requests=500, slow_requests=200, lone_requests=20, batches=5, entries=2_000, million_runs=1
)


def only(*names: str) -> list[Row]:
    """The rows of these names, measured with the least effort."""
    return uvloop.run(measure(names, TINY))


def test_the_embedded_rows_are_measured_in_this_process() -> None:
    rows = only("embedded-get", "embedded-get-nowait")
    assert all(row.measured is not None and 0 < row.measured < 1e6 for row in rows)
    assert all(row.holds is not None for row in rows)


def test_the_ring_row_asks_only_for_keys_of_the_node_that_exists() -> None:
    (row,) = only("nodes-100")
    assert row.note == ""
    assert row.ratio is not None


def test_the_pause_rows_are_told_by_the_node_itself() -> None:
    rows = {row.goal.name: row for row in only("million-pause", "expiry-pause")}
    assert set(rows) == {"million-pause", "expiry-pause"}
    for row in rows.values():
        assert row.measured is not None
        assert row.measured > 0
        assert "idle" in row.note


def test_what_the_store_does_at_one_go_is_told_beside_a_dict() -> None:
    rows = {row.goal.name: row for row in only("longest-set", "longest-turn")}
    assert set(rows) == {"longest-set", "longest-turn"}
    assert all(row.measured is not None and 0 < row.measured < 1_000 for row in rows.values())
    assert all(row.yardstick is not None and row.yardstick > 0 for row in rows.values())


def test_the_cached_rows_ask_for_what_the_function_itself_has_stored() -> None:
    rows = only("cached-hit", "cached-hit-64")
    assert [(row.goal.name, row.note) for row in rows] == [("cached-hit", ""), ("cached-hit-64", "")]
    assert all(row.ratio is not None and row.ratio > 0 for row in rows)


@pytest.mark.slow
def test_the_thousand_nodes_are_ten_that_exist_and_a_list() -> None:
    rows = {row.goal.name: row for row in only("nodes-1000", "nodes-1000-memory", "new-ring")}
    assert set(rows) == {"nodes-1000", "nodes-1000-memory", "new-ring"}
    assert all(row.holds is not None for row in rows.values()), [row.note for row in rows.values()]
    assert "processor time" in rows["nodes-1000"].note
    assert "idle" in rows["new-ring"].note
    memory = rows["nodes-1000-memory"]
    assert memory.measured is not None
    assert 5 < memory.measured < 500  # the ring alone has twelve million bytes


def test_threads_that_find_nothing_are_not_counted_as_fast() -> None:
    keys = [f"k{number}" for number in range(32)]
    there = dict.fromkeys(keys, b"value")
    with ThreadPoolExecutor(16) as pool:
        assert threads.rate(pool, there.get, keys, 320) > 0
        with pytest.raises(NotMeasurable, match="not there"):
            threads.rate(pool, {}.get, keys, 320)
    assert threads.p50_us(there.get, keys, 20) > 0
    with pytest.raises(NotMeasurable, match="not there"):
        threads.p50_us({}.get, keys, 20)


def test_without_the_library_for_threads_its_rows_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(threads, "import_module", missing)
    rows = only("sync-one", "sync-threads")
    assert [row.holds for row in rows] == [None, None]
    assert {row.note for row in rows} == {"there is no zmcache.sync in this zmcache"}


def test_both_backends_for_django_are_asked() -> None:
    get, put = only("django-get", "django-set")
    for row in (get, put):
        assert row.ratio is not None, row.note
        assert row.measured is not None
        assert row.measured > 0


def test_without_django_its_rows_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(django_backend, "import_module", missing)
    rows = only("django-get", "django-set")
    assert [row.holds for row in rows] == [None, None]
    assert "pip install 'zmcache[bench,django]'" in rows[0].note


@pytest.mark.slow
def test_a_killed_node_of_three_that_hold_all_twice_costs_the_backend_next_to_nothing() -> None:
    hits, queries = only("kill-hits", "kill-queries")
    assert hits.note == queries.note == ""
    assert hits.yardstick == pytest.approx(100.0, abs=1.0)
    assert hits.holds
    assert queries.holds
