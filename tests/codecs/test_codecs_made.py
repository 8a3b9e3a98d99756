"""Codecs by name: what goes together, pickles and their signatures, compression and its marks, and a program's own codec."""

from __future__ import annotations

import pickle
import random
import threading
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from zmcache.codecs import Codec, Undecodable, make_codec, pickle_codec, reader_of, tagged
from zmcache.errors import ConfigError, InvalidValue, ValueTooLarge, ZmcacheError

KEY = b"sixteen bytes !!"


def made(*args: Any, **kwargs: Any) -> Codec[Any]:
    codec = make_codec(*args, **kwargs)
    assert codec is not None
    return codec


class Backwards:
    name = "backwards"

    def encode(self, value: str) -> bytes:
        return value[::-1].encode()

    def decode(self, data: bytes) -> str:
        return data.decode()[::-1]


# -- by name -----------------------------------------------------------------------------------------------------------


def test_bytes_as_they_are_need_no_codec() -> None:
    assert make_codec() is None
    assert make_codec("raw") is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"codec": "yaml"}, r"a codec \(raw, msgpack, json, pickle\), found 'yaml'"),
        ({"codec": ""}, "a codec"),
        ({"codec": "json", "type": int}, "found both"),
        ({"codec": "raw", "type": int}, "found both"),
        ({"codec": "pickle"}, "at least 16 .* found none"),
        ({"codec": "pickle", "key": b"short"}, "found 5 bytes"),
        ({"codec": "pickle", "key": "x" * 32}, "found str"),
        ({"codec": "json", "key": KEY}, "pickle alone"),
        ({"key": KEY}, "pickle alone"),
        ({"codec": "json", "compress_above": "1K"}, "compress_above: expected a size"),
        ({"compress_above": -1}, "compress_above"),
        ({"compress_above": True}, "compress_above"),
        ({"codec": 5}, "found int"),
        ({"codec": Backwards}, "the class Backwards itself"),
        ({"codec": object()}, "found object"),
        ({"codec": pickle}, "found module"),
    ],
)  # fmt: skip
def test_what_describes_no_codec_is_refused(arguments: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_codec(**arguments)


def test_undecodable_is_not_among_the_errors_that_callers_see() -> None:
    assert not issubclass(Undecodable, ZmcacheError)


# -- pickle ------------------------------------------------------------------------------------------------------------


class Trap:
    sprung = False

    def __reduce__(self) -> Any:
        return spring, ()


def spring() -> None:
    Trap.sprung = True


def test_a_signed_pickle_comes_back() -> None:
    value = {"a": {1, 2}, "b": (3, 4j)}
    assert made("pickle", key=KEY).decode(made("pickle", key=KEY).encode(value)) == value
    assert pickle_codec(KEY).decode(pickle_codec(KEY).encode(value)) == value
    assert made(pickle_codec(KEY)).decode(made("pickle", key=KEY).encode(value)) == value


@pytest.mark.parametrize("prefix", [b"", b"\0" * 32, b"x" * 32])
def test_nothing_is_unpickled_without_a_right_signature(prefix: bytes) -> None:
    with pytest.raises(Undecodable, match="not signed"):
        made("pickle", key=KEY).decode(b"\0=" + prefix + pickle.dumps(Trap()))
    assert not Trap.sprung


def test_another_key_and_every_changed_byte_are_noticed() -> None:
    codec = pickle_codec(KEY)
    data = codec.encode([1, 2])
    with pytest.raises(Undecodable):
        pickle_codec(KEY + b"x").decode(data)
    for at in range(len(data)):
        with pytest.raises(Undecodable):
            codec.decode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(Undecodable):
            codec.decode(data[:at])


def test_what_pickle_cannot_carry_is_refused_and_named() -> None:
    with pytest.raises(InvalidValue, match="pickle cannot carry function"):
        made("pickle", key=KEY).encode(lambda: None)


def test_a_class_that_is_gone_makes_a_miss() -> None:
    global Gone
    Gone = type("Gone", (), {"__module__": __name__})
    data = pickle_codec(KEY).encode(Gone())
    del Gone
    with pytest.raises(Undecodable, match="Gone"):
        pickle_codec(KEY).decode(data)


def test_the_key_is_shown_nowhere() -> None:
    assert "sixteen" not in repr(pickle_codec(KEY)) + repr(made("pickle", key=KEY))


# -- compression -------------------------------------------------------------------------------------------------------

ALL = {
    "raw": lambda **more: made("raw", **{"compress_above": 10**9} | more),
    "json": lambda **more: made("json", **more),
    "msgpack": lambda **more: made("msgpack", **more),
    "pickle": lambda **more: made("pickle", key=KEY, **more),
    "type": lambda **more: made(type=str, **more),
    "own": lambda **more: made(Backwards(), **more),
}


@pytest.mark.parametrize("name", ALL)
def test_compressed_entries_are_smaller_and_every_codec_reads_them(name: str) -> None:
    value: Any = b"abc" * 1000 if name == "raw" else "abc" * 1000
    writer, reader = ALL[name](compress_above="1KiB"), ALL[name]()
    data = writer.encode(value)
    assert data.startswith(b"\0z")
    assert len(data) < 200
    assert reader.decode(data) == writer.decode(data) == value
    assert writer.decode(reader.encode(value)) == value


@given(st.binary(max_size=100), st.integers(0, 100))
def test_any_bytes_come_back_whatever_they_begin_with(data: bytes, above: int) -> None:
    codec = made(compress_above=above)
    for value in (data, b"\0" + data, b"\0z" + data, b"\0=" + data, data * 20):
        assert codec.decode(codec.encode(value)) == value


def test_what_is_short_or_does_not_shrink_is_left_as_it_is() -> None:
    codec = made(compress_above=100)
    assert codec.encode(b"a" * 100) == b"a" * 100
    assert codec.encode(b"a" * 101).startswith(b"\0z")
    noise = bytes((at * at * 7919 >> 3) & 0xFF | 1 for at in range(101)) + zstandard.compress(b"x")
    assert codec.encode(noise) == noise
    assert codec.encode(b"\0abc") == b"\0=\0abc"


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"\0x",
        b"\0z",
        b"\0zgarbage",
        b"\0z" + zstandard.compress(b"a" * 99)[:-1],
        b"\0z" + zstandard.compress(b"a") + b"more",
    ],
)
def test_an_unknown_mark_and_a_broken_frame_are_undecodable(data: bytes) -> None:
    for name in ALL:
        with pytest.raises(Undecodable):
            ALL[name]().decode(data)


def test_a_bomb_is_undecodable_whether_it_says_how_large_it_is_or_not() -> None:
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(b"\0" * 10_000)
    honest = zstandard.compress(b"\0" * 10_000)
    codec = made(compress_above=1, max_decompressed=9_999)
    for frame in (silent, honest):
        with pytest.raises(Undecodable, match="limit 9999"):
            codec.decode(b"\0z" + frame)
    # the header of a frame of 2**62 bytes, one byte long
    with pytest.raises(Undecodable):
        made("json").decode(b"\0z\x28\xb5\x2f\xfd\xe0" + (2**62).to_bytes(8, "little") + b"\x03\0\0a")
    with pytest.raises(Undecodable, match="limit"):
        made("json").decode(b"\0z" + zstandard.compress(b"\0" * (64 * 2**20 + 1)))


def test_many_small_entries_of_one_call_cannot_fill_the_memory_together() -> None:
    bomb = b"\0z" + zstandard.compress(b"\0" * 10_000)
    codec = made(compress_above=1, max_decompressed="10kB")
    assert len(codec.decode(bomb)) == 10_000
    decode = reader_of(codec)
    for _ in range(4):
        assert len(decode(bomb)) == 10_000
    with pytest.raises(ValueTooLarge, match="limit 40000"):
        decode(bomb)
    # What is not compressed is as long as it is, and another call has its own.
    assert decode(b"plain") == b"plain"
    assert decode(b"\0=\0") == b"\0"
    assert len(reader_of(codec)(bomb)) == 10_000
    with pytest.raises(Undecodable, match="limit 10000"):
        reader_of(codec)(b"\0z" + zstandard.compress(b"\0" * 10_001))


@pytest.mark.parametrize("data", [b"\0", b"\0x", b"\0z", b"\0zgarbage", b"\0z" + zstandard.compress(b"a" * 99)[:-1]])
def test_who_reads_many_finds_the_same_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        reader_of(made("json"))(data)


def test_what_would_not_be_decompressed_is_not_written() -> None:
    codec = made(compress_above=100, max_decompressed=10_000)
    assert codec.decode(codec.encode(b"a" * 10_000)) == b"a" * 10_000
    with pytest.raises(ValueTooLarge) as raised:
        codec.encode(b"a" * 10_001)
    assert (raised.value.size, raised.value.limit) == (10_001, 10_000)
    # What does not shrink is not compressed, and so can be read.
    noise = random.Random(7).randbytes(10_001)
    assert codec.decode(codec.encode(noise)) == noise
    with pytest.raises(ConfigError, match="max_decompressed"):
        made("json", max_decompressed="much")


def test_a_frame_that_lies_about_its_size_is_undecodable() -> None:
    frame = bytearray(zstandard.compress(b"ab" * 2000))
    size = frame.index((4000 - 256).to_bytes(2, "little"))
    frame[size : size + 2] = (100).to_bytes(2, "little")
    with pytest.raises(Undecodable):
        made("json").decode(b"\0z" + frame)


def test_without_zstandard_a_compressed_entry_is_a_miss_and_compressing_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = made("json", compress_above=1).encode("a" * 100)
    monkeypatch.setattr(tagged, "zstandard", None)
    with pytest.raises(ConfigError, match=r"pip install zmcache\[zstd\]"):
        make_codec("json", compress_above=1)
    with pytest.raises(Undecodable, match=r"pip install zmcache\[zstd\]"):
        made("json").decode(data)
    assert made("json").decode(b"42") == 42


def test_several_threads_may_use_one_codec() -> None:
    codec, wrong = made(compress_above=10), []

    def work(letter: bytes) -> None:
        value = letter * 50_000
        wrong.extend([letter] if any(codec.decode(codec.encode(value)) != value for _ in range(50)) else [])

    threads = [threading.Thread(target=work, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_codec_that_was_made_can_be_given_again() -> None:
    codec = made("json")
    assert make_codec(codec) is codec
    assert made(codec, compress_above=1).encode("a" * 100).startswith(b"\0z")
    assert made(made(codec, compress_above=1)).decode(codec.encode([1])) == [1]


# -- a program's own ---------------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_programs_own_codec_is_used(value: str) -> None:
    codec = made(Backwards())
    assert codec.name == "backwards"
    assert codec.decode(codec.encode(value)) == value


def test_whatever_it_raises_is_told_as_the_codecs_errors_and_chained() -> None:
    codec = made(Backwards())
    with pytest.raises(InvalidValue, match="backwards cannot carry int: ") as refused:
        codec.encode(5)
    assert isinstance(refused.value.__cause__, TypeError)
    with pytest.raises(Undecodable, match="backwards") as unread:
        codec.decode(b"\xff")
    assert isinstance(unread.value.__cause__, UnicodeDecodeError)


def test_it_may_raise_those_errors_itself() -> None:
    class Own(Backwards):
        def encode(self, value: str) -> bytes:
            raise InvalidValue("mine")

        def decode(self, data: bytes) -> str:
            raise Undecodable("mine")

    with pytest.raises(InvalidValue, match=r"^mine$"):
        made(Own()).encode("x")
    with pytest.raises(Undecodable, match=r"^mine$"):
        made(Own()).decode(b"x")


@pytest.mark.parametrize("encoded", ["text", bytearray(b"x"), None])
def test_a_codec_that_encodes_to_anything_but_bytes_is_refused(encoded: Any) -> None:
    class Own(Backwards):
        def encode(self, value: str) -> Any:
            return encoded

    with pytest.raises(InvalidValue, match="and not to bytes"):
        made(Own()).encode("x")
