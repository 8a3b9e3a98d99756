"""What a verified run finds in a cache that lies, and that it finds nothing in one that does not."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
from zmcache_loadgen.errors import LoadgenError
from zmcache_loadgen.targets.plain import DictTarget
from zmcache_loadgen.values import HEADER_BYTES
from zmcache_loadgen.verify import Verifier, loader_named


class Lost(Exception):
    """The outcome of a write is not known."""


def write(verifier: Verifier, key: str, size: int = 100) -> bytes:
    """An acknowledged write, and what it wrote."""
    with verifier.writing(key, size) as value:
        return value


def lose(verifier: Verifier, key: str) -> bytes:
    """A write that failed, and may have been done."""
    with contextlib.suppress(Lost), verifier.writing(key, 100) as value:
        raise Lost
    return value


def read(verifier: Verifier, key: str, value: bytes | None) -> None:
    verifier.check(key, value, verifier.begin_read(key))


def counts(verifier: Verifier) -> dict[str, object]:
    """Those that are not zero."""
    return {name: count for name, count in verifier.found().items() if count and name != "first"}


@pytest.fixture
def verifier() -> Verifier:
    return Verifier()


def test_what_was_written_last_is_fine(verifier: Verifier) -> None:
    write(verifier, "k")
    read(verifier, "k", write(verifier, "k"))
    assert counts(verifier) == {"checked": 1}


def test_a_small_value_grows_to_hold_its_header(verifier: Verifier) -> None:
    value = write(verifier, "k", size=1)
    assert len(value) == HEADER_BYTES
    read(verifier, "k", value)
    assert counts(verifier) == {"checked": 1}


def test_a_key_that_is_absent_is_no_finding(verifier: Verifier) -> None:
    write(verifier, "k")
    read(verifier, "k", None)
    assert counts(verifier) == {}


def test_another_keys_value_is_wrong(verifier: Verifier) -> None:
    read(verifier, "k", write(verifier, "l"))
    assert counts(verifier) == {"checked": 1, "wrong": 1}
    assert verifier.first == ["wrong: 'k': the value of another key, version 1 of worker 0"]


def test_a_damaged_value_is_torn(verifier: Verifier) -> None:
    value = write(verifier, "k")
    read(verifier, "k", value[:-1] + bytes([value[-1] ^ 255]))
    read(verifier, "k", value[:-1])
    assert counts(verifier) == {"checked": 2, "torn": 2}


def test_a_value_that_was_overwritten_before_the_read_began_is_stale(verifier: Verifier) -> None:
    old = write(verifier, "k")
    write(verifier, "k")
    read(verifier, "k", old)
    assert counts(verifier) == {"checked": 1, "stale": 1}
    assert verifier.first == ["stale: 'k': version 1, though 2 or later had replaced it before the read began"]


def test_a_value_that_was_deleted_before_the_read_began_is_stale(verifier: Verifier) -> None:
    old = write(verifier, "k")
    with verifier.deleting("k"):
        pass
    read(verifier, "k", old)
    assert counts(verifier) == {"checked": 1, "stale": 1}
    read(verifier, "k", write(verifier, "k"))
    assert counts(verifier) == {"checked": 2, "stale": 1}


def test_a_read_that_overlaps_a_write_may_see_either(verifier: Verifier) -> None:
    old = write(verifier, "k")
    began_before = verifier.begin_read("k")
    with verifier.writing("k", 100) as new:
        began_during = verifier.begin_read("k")
        verifier.check("k", new, began_during)
    for began in (began_before, began_during):
        verifier.check("k", old, began)
        verifier.check("k", new, began)
    assert counts(verifier) == {"checked": 5}
    read(verifier, "k", old)
    assert counts(verifier) == {"checked": 6, "stale": 1}


def test_of_writes_that_overlap_either_may_have_come_last(verifier: Verifier) -> None:
    before = write(verifier, "k")
    with verifier.writing("k", 100) as first, verifier.writing("k", 100) as second:
        pass
    read(verifier, "k", first)
    read(verifier, "k", second)
    assert counts(verifier) == {"checked": 2}
    read(verifier, "k", before)
    assert counts(verifier) == {"checked": 3, "stale": 1}


def test_a_write_that_failed_may_be_seen_at_any_later_time(verifier: Verifier) -> None:
    old = write(verifier, "k")
    lost = lose(verifier, "k")
    read(verifier, "k", old)
    write(verifier, "k")
    read(verifier, "k", lost)
    assert counts(verifier) == {"checked": 2}
    read(verifier, "k", old)
    assert counts(verifier) == {"checked": 3, "stale": 1}


def test_a_delete_that_failed_leaves_the_value_where_it_was(verifier: Verifier) -> None:
    value = write(verifier, "k")
    with pytest.raises(Lost), verifier.deleting("k"):
        raise Lost
    read(verifier, "k", value)
    assert counts(verifier) == {"checked": 1}


def test_a_version_that_was_never_written_is_wrong() -> None:
    ahead, behind = Verifier(), Verifier()
    behind._maker.writer = ahead._maker.writer
    write(ahead, "k")
    read(behind, "k", write(ahead, "k"))
    assert counts(behind) == {"checked": 1, "wrong": 1}


def test_of_another_workers_values_only_key_and_wholeness_are_judged() -> None:
    mine, other = Verifier(0), Verifier(1)
    theirs = write(other, "k")
    for _ in range(5):
        write(mine, "k")
    read(mine, "k", theirs)
    assert counts(mine) == {"checked": 1}
    read(mine, "l", theirs)
    read(mine, "k", theirs[:-1])
    assert counts(mine) == {"checked": 3, "wrong": 1, "torn": 1}
    assert "of worker 1" in mine.first[0]


def test_what_nobody_of_us_wrote_is_counted_as_unverified(verifier: Verifier) -> None:
    read(verifier, "k", b"from the loader")
    read(verifier, "k", b"")
    assert counts(verifier) == {"unverified": 2}


def test_where_nothing_loads_it_is_wrong() -> None:
    verifier = Verifier(only_ours=True)
    read(verifier, "k", b"from nowhere")
    assert counts(verifier) == {"checked": 1, "wrong": 1}
    assert verifier.first == ["wrong: 'k': 12 bytes (b'from nowhere'), which no run has written"]


def test_a_loaded_value_is_held_against_the_backend() -> None:
    verifier = Verifier(expected={"k": b"right"}.get)
    read(verifier, "k", b"right")
    assert counts(verifier) == {"checked": 1}
    read(verifier, "k", b"wrong")
    read(verifier, "unknown", b"right")
    assert counts(verifier) == {"checked": 3, "wrong": 2}
    assert verifier.first[0] == "wrong: 'k': 5 bytes (b'wrong'), where the backend has 5 bytes (b'right')"
    assert verifier.first[1].endswith("where the backend knows no such key")
    read(verifier, "k", write(verifier, "k"))
    assert counts(verifier) == {"checked": 4, "wrong": 2}


def test_only_the_first_findings_are_told_but_all_are_counted(verifier: Verifier) -> None:
    other = write(verifier, "other")
    for number in range(1000):
        read(verifier, f"k{number}", other)
    assert counts(verifier) == {"checked": 1000, "wrong": 1000}
    assert [text.split(":")[1] for text in verifier.first] == [f" 'k{number}'" for number in range(5)]


def test_beyond_its_limit_of_keys_it_forgets_and_accuses_nobody_falsely() -> None:
    verifier = Verifier(max_keys=64)
    old = {f"k{number}": write(verifier, f"k{number}") for number in range(1000)}
    new = {key: write(verifier, key) for key in old}
    for key, value in new.items():
        read(verifier, key, value)
    assert counts(verifier) == {"checked": 1000}
    for key, value in old.items():
        read(verifier, key, value)
    assert 0 < verifier.stale <= 64


def test_beyond_its_limit_of_failed_writes_it_accuses_nobody_falsely() -> None:
    verifier = Verifier(max_failed=2)
    lost = [lose(verifier, "k") for _ in range(5)]
    later = write(verifier, "k")
    newest = write(verifier, "k")
    for value in (*lost, newest):
        read(verifier, "k", value)
    assert verifier.stale == 0
    read(verifier, "k", later)
    assert verifier.stale == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_cache_that_keeps_its_word_is_accused_of_nothing(seed: int) -> None:
    """Many callers, few keys, writes that land at any moment of their call, that fail before or after they land, and values that vanish."""
    chance, verifier, target = random.Random(seed), Verifier(only_ours=True), DictTarget()

    async def pause() -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)

    async def late(key: str, value: bytes) -> None:
        for _ in range(chance.randrange(20)):
            await asyncio.sleep(0)
        await target.write(key, value, 0.0)

    async def store(key: str, behind: set[asyncio.Task[None]]) -> None:
        with verifier.writing(key, chance.randrange(200)) as value:
            await pause()
            if chance.random() < 0.1:
                behind.add(asyncio.create_task(late(key, value)))
                raise Lost
            await target.write(key, value, 0.0)
            await pause()

    async def caller() -> None:
        behind: set[asyncio.Task[None]] = set()
        for _ in range(300):
            key, dice = f"k{chance.randrange(5)}", chance.random()
            if dice < 0.4:
                with contextlib.suppress(Lost):
                    await store(key, behind)
            elif dice < 0.5:
                with verifier.deleting(key):
                    await pause()
                    await target.delete(key)
            else:
                began = verifier.begin_read(key)
                await pause()
                _, value = await target.read(key)
                await pause()
                verifier.check(key, value, began)
        await asyncio.gather(*behind)

    async def main() -> None:
        await asyncio.gather(*(caller() for _ in range(8)))

    asyncio.run(main())
    assert verifier.first == []
    assert verifier.checked > 500


def test_the_function_that_knows_the_backend_is_named_by_its_import_path() -> None:
    expected = loader_named("zmcache.examples:value_of")
    assert expected is not None
    assert (expected("k") or b"").startswith(b"value of k ")
    assert loader_named(None) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "zmcache.examples",
        ":value_of",
        "no.such.module:f",
        "zmcache.examples:nothing",
        "zmcache.examples:VALUE_BYTES",
        "zmcache.examples:echo",
    ],
)
def test_a_function_that_cannot_be_had_is_one_line(text: str) -> None:
    with pytest.raises(LoadgenError, match=r"^verify-loader") as raised:
        loader_named(text)
    assert "\n" not in str(raised.value)
