from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zmcache.core.fairqueue import FairQueue


def filled(**lines: int) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue()
    for source, count in lines.items():
        for n in range(count):
            queue.add(f"{source}{n}", source)
    return queue


def test_each_source_is_served_in_turn_and_first_in_first_out() -> None:
    queue = filled(a=4, b=1, c=2)
    assert [queue.take()[0] for _ in range(7)] == ["a0", "b0", "c0", "a1", "c1", "a2", "a3"]
    assert len(queue) == 0


def test_one_source_alone_is_a_queue() -> None:
    queue = filled(a=3)
    assert [queue.take() for _ in range(3)] == [("a0", "a"), ("a1", "a"), ("a2", "a")]


def test_who_has_asked_for_little_waits_for_little() -> None:
    queue = filled(noisy=1000, polite=1)
    assert queue.ahead_of("polite") == 2
    assert queue.ahead_of("another") == 0
    assert queue.ahead_of("noisy") == 1001


def test_the_newest_of_the_longest_line_makes_room_for_a_shorter_one_and_not_the_other_way_round() -> None:
    queue = filled(noisy=3, polite=1)
    assert queue.to_go_for("polite") == queue.to_go_for("another") == "noisy2"
    assert queue.to_go_for("noisy") is None
    queue.remove("noisy2")
    assert queue.to_go_for("polite") is None
    assert queue.to_go_for("another") == "noisy1"
    assert filled().to_go_for("another") is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "take", "remove"])), max_size=60))
def test_nothing_is_lost_or_served_twice_and_no_source_waits_for_more_than_a_round(ops: list[tuple[str, str]]) -> None:
    queue: FairQueue[int] = FairQueue()
    held: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    waited = dict.fromkeys("abc", 0)
    for n, (source, op) in enumerate(ops):
        if op == "add":
            least = queue.ahead_of(source)
            assert least >= len(held[source])
            queue.add(n, source)
            held[source].append(n)
        elif op == "take" and len(queue):
            item, of = queue.take()
            assert held[str(of)].pop(0) == item
            for other, items in held.items():
                waited[other] = waited[other] + 1 if items and other != of else 0
            assert max(waited.values()) <= 2
        elif op == "remove" and held[source]:
            assert queue.remove(held[source].pop()) == source
            waited[source] = waited[source] if held[source] else 0
        assert len(queue) == sum(map(len, held.values()))
        assert set(queue) == {item for items in held.values() for item in items}
        assert all(item in queue for items in held.values() for item in items)
