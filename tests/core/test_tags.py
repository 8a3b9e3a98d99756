"""Tags and their generations: what is old, how two tables become equal, and what is no tag."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmcache.core.marks import Marked, marked, read_mark
from zmcache.core.tags import TAG_BYTES, TAGS_A_KEY, WHOLE_GROUP, Generations, check_joined, check_tags, joined_tags
from zmcache.errors import InvalidTag

rows = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", "e", WHOLE_GROUP]), st.integers(1, 20)), max_size=30)


def of(*rows: tuple[str, int], most: int = 100) -> Generations:
    table = Generations(most)
    for tag, version in rows:
        table.raise_to(tag, version)
    return table


def test_what_holds_since_before_one_of_its_tags_was_invalidated_is_old() -> None:
    table = of(("user:42", 10))
    assert table.newest("user:42") == 10
    assert table.newest("user:7\nuser:42") == 10
    assert table.newest("user:7") == 0


def test_an_older_invalidation_that_comes_later_changes_nothing() -> None:
    table = of(("a", 10))
    assert not table.raise_to("a", 9)
    assert not table.raise_to("a", 10)
    assert table.raise_to("a", 11)
    assert table.newest("a") == 11


def test_a_cleared_group_makes_everything_with_tags_old() -> None:
    table = of((WHOLE_GROUP, 10), ("a", 3))
    assert table.newest("a") == table.newest("never heard of") == 10


def test_what_there_is_no_room_for_makes_more_old_and_never_less() -> None:
    table = of(*((f"tag-{n}", n) for n in range(1, 21)), most=10)
    assert len(table) == 10
    assert table.floor == 10
    assert table.newest("tag-3") == table.newest("never heard of") == 10
    assert table.newest("tag-15") == 15


def test_a_clear_is_remembered_however_many_tags_come_after_it() -> None:
    table = of((WHOLE_GROUP, 1), *((f"tag-{n}", n) for n in range(2, 30)), most=5)
    assert table.of(WHOLE_GROUP) == 1
    assert len(table) == 5


@given(rows, rows)
def test_two_tables_that_told_each_other_what_differs_are_equal_and_know_the_newest_of_both(
    left: list[tuple[str, int]], right: list[tuple[str, int]]
) -> None:
    one, other = of(*left, most=4), of(*right, most=4)
    for _ in range(10):
        for hears, tells in ((one, other), (other, one)):
            hears.raise_floor(tells.floor)
            for tag, version in tells.differing(hears.digests(), 100):
                hears.raise_to(tag, version)
    assert one.digest() == other.digest()
    assert one.digests() == other.digests()
    for tag, version in left + right:
        if tag != WHOLE_GROUP:
            assert one.newest(tag) == other.newest(tag) >= version


@given(rows, st.randoms(use_true_random=False))
def test_the_order_in_which_a_table_hears_of_tags_does_not_matter(told: list[tuple[str, int]], random: Any) -> None:
    shuffled = list(told)
    random.shuffle(shuffled)
    assert of(*told).digests() == of(*shuffled).digests()


def test_many_rows_that_differ_are_told_bucket_by_bucket() -> None:
    full, empty = of(*((f"tag-{n}", n) for n in range(1, 2001)), most=5000), Generations()
    turns = 0
    while part := full.differing(empty.digests(), 300):
        assert len(part) <= 300
        for tag, version in part:
            empty.raise_to(tag, version)
        turns += 1
    assert empty.digest() == full.digest()
    assert turns < 20


def test_ten_thousand_tags_on_one_key_are_refused_in_one_clear_line() -> None:
    with pytest.raises(InvalidTag, match=f"^10000 tags on one key, limit {TAGS_A_KEY}$"):
        check_tags(f"tag-{n}" for n in range(10_000))
    with pytest.raises(InvalidTag, match="10000 tags on one key"):
        check_joined("\n".join(["a"] * 10_000))


def test_a_tag_given_twice_counts_once() -> None:
    assert joined_tags(["a", "b", "a"]) == "a\nb"
    assert joined_tags([]) == joined_tags(()) == ""


@pytest.mark.parametrize(
    "tags",
    ["user:42", 5, None, [5], [b"a"], [""], ["a\nb"], ["\x00"], ["\x7f"], ["\ud800"], ["é" * 126], [["a"]]],
    ids=repr,
)
def test_what_is_no_list_of_tags_is_refused(tags: Any) -> None:
    with pytest.raises(InvalidTag):
        check_tags(tags)


def test_a_tag_may_have_as_many_bytes_as_are_allowed_and_a_key_as_many_tags() -> None:
    tags = [f"{n:02}" + "é" * ((TAG_BYTES - 2) // 2) for n in range(TAGS_A_KEY)]
    assert check_tags(tags) == tuple(tags)
    mark = Marked(b"value", 5.0, 6.0, 0.5, joined_tags(tags), 2**64 - 1)
    held = marked(mark)
    assert isinstance(held, str)
    assert read_mark(held) == mark


def test_a_value_without_tags_is_held_as_its_bytes_alone() -> None:
    assert marked(Marked(b"value")) == b"value"


def test_a_tag_that_is_invalidated_again_and_again_is_kept_once() -> None:
    table = Generations()
    for version in range(1, 20_000):
        table.raise_to("a", version * 2)
        table.raise_to(f"late-{version % 3}", version * 2 - 1)
    assert len(table) == 4
    assert len(table._late) < 1100
    table.raise_floor(10**6)
    assert len(table) == 0
    assert table.digests() == Generations().digests()
