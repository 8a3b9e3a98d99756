"""Stamped values tell by themselves whose they are and whether they are whole; the others are cheap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmcache_loadgen.values import HEADER_BYTES, Pool, Torn, ValueMaker, hash_key, read_stamp, worker_of

KEY = hash_key("k")
OTHER = hash_key("other")


@given(st.integers(0, 5000), st.integers(0, 2**64 - 1), st.integers(0, 65535), st.text())
def test_what_was_stamped_is_read_back(size: int, version: int, worker: int, key: str) -> None:
    maker = ValueMaker(worker)
    value = maker.make(hash_key(key), version, size)
    assert len(value) == max(size, HEADER_BYTES)
    assert read_stamp(value, hash_key(key)) == (hash_key(key), maker.writer, version)
    assert worker_of(maker.writer) == worker


@pytest.mark.parametrize("size", [0, HEADER_BYTES, HEADER_BYTES + 1, 300])
def test_a_single_byte_that_changed_is_always_found(size: int) -> None:
    value = ValueMaker(1).make(KEY, 7, size)
    for at in range(len(value)):
        damaged = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        with pytest.raises(Torn):
            read_stamp(damaged, KEY)


@given(st.integers(4, 299))
def test_a_value_that_was_cut_off_is_torn(length: int) -> None:
    with pytest.raises(Torn):
        read_stamp(ValueMaker(1).make(KEY, 7, 300)[:length], KEY)


def test_a_value_with_something_behind_it_is_torn() -> None:
    with pytest.raises(Torn, match="written with 100 bytes, and has 101"):
        read_stamp(ValueMaker(1).make(KEY, 7, 100) + b"x", KEY)


@given(st.integers(HEADER_BYTES, 199))
def test_two_versions_in_one_value_are_torn(at: int) -> None:
    maker = ValueMaker(1)
    with pytest.raises(Torn):
        read_stamp(maker.make(KEY, 7, 200)[:at] + maker.make(KEY, 8, 200)[at:], KEY)


@given(st.binary(max_size=200).filter(lambda value: not value.startswith(b"zmLG")))
def test_bytes_of_somebody_else_are_none_of_ours(value: bytes) -> None:
    assert read_stamp(value, KEY) is None


def test_another_keys_value_says_so_itself() -> None:
    stamp = read_stamp(ValueMaker(1).make(OTHER, 7, 100), KEY)
    assert stamp is not None
    assert stamp[0] == OTHER


def test_versions_of_one_key_differ_nearly_everywhere() -> None:
    maker = ValueMaker(1)
    first, second = maker.make(KEY, 7, 2000), maker.make(KEY, 8, 2000)
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 100


def test_two_runs_are_told_apart_and_one_run_named_twice_is_the_same() -> None:
    assert ValueMaker(1).writer != ValueMaker(1).writer
    assert ValueMaker(1, run=5).make(KEY, 7, 100) == ValueMaker(1, run=5).make(KEY, 7, 100)
    assert ValueMaker(1, run=5).writer != ValueMaker(2, run=5).writer


def test_a_pool_gives_the_size_that_was_asked_for_and_the_same_bytes_for_the_same_seed() -> None:
    sizes = [0, 1, 128, 70_000, 128, 3_000_000, 64]
    values = [Pool(1).value(size) for size in sizes]
    one = Pool(1)
    assert [len(value) for value in values] == sizes
    assert [one.value(size)[:64] for size in sizes] == [value[:64] for value in values]
    assert Pool(2).value(128) != Pool(1).value(128)


def test_a_size_that_comes_often_costs_no_copy() -> None:
    pool = Pool(1)
    assert pool.value(128) is pool.value(128)


def test_many_different_sizes_do_not_fill_the_memory() -> None:
    pool = Pool(1)
    values = [pool.value(1_000_000 + number) for number in range(20)]
    assert sum(pool.value(len(value)) is value for value in values) <= 8
