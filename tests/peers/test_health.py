"""A peer that hangs, comes back, comes and goes: when it is used, by beats that the test makes."""

from __future__ import annotations

import asyncio

from channel_bench import Bench, bench_test
from eventually import eventually

from zmcache.core import wire
from zmcache.errors import PeerUnavailable
from zmcache.peers.backoff import FORGIVEN_S, Backoff
from zmcache.peers.channel import State
from zmcache.peers.health import FIRST_S, LONGEST_S
from zmcache.peers.pulse import BEAT_S, MISSED_BEATS

FAKE = "mem://fake"


async def up(bench: Bench) -> None:
    bench.node()
    bench.ask("first")
    await bench.value("first")
    await bench.beats(2)
    assert bench.channel.state is State.UP


async def hang(bench: Bench) -> None:
    """Until it is suspected."""
    bench.network.pause(FAKE)
    await bench.beats(MISSED_BEATS + 1)
    assert bench.channel.state is State.SUSPECT


async def beats_until_up(bench: Bench) -> int:
    """It speaks again: how many beats it takes until it is used."""
    bench.network.resume(FAKE)
    await eventually(lambda: bench.channel.state is State.TRIAL)
    beats = 0
    while bench.channel.state is State.TRIAL:
        await bench.beats(1)
        beats += 1
        assert beats < 1000
    assert bench.channel.state is State.UP
    return beats


def test_a_peer_that_hangs_is_suspected_within_two_seconds_and_used_again_once_it_has_answered_probes() -> None:
    async def test(bench: Bench) -> None:
        await up(bench)
        bench.network.pause(FAKE)
        bench.ask("lost", timeout_s=60)
        beats = 0
        while bench.channel.state is not State.SUSPECT:
            await bench.beats(1)
            beats += 1
        assert beats * BEAT_S <= 2.0
        assert isinstance(await bench.failure("lost"), PeerUnavailable)
        bench.ask("refused")
        assert isinstance(await bench.failure("refused"), PeerUnavailable)
        assert bench.back == []
        # The beat in which the old ping is answered, and the probes.
        assert await beats_until_up(bench) == 1 + FIRST_S / BEAT_S
        assert bench.back == [bench.channel]
        assert bench.channel.usable
        assert bench.channel.health.suspicions == 1
        bench.ask("again")
        assert await bench.value("again") == b"again"

    bench_test(test)


def test_on_trial_a_peer_is_not_routed_to_and_answers_who_has_nobody_else() -> None:
    async def test(bench: Bench) -> None:
        await up(bench)
        await hang(bench)
        bench.network.resume(FAKE)
        await eventually(lambda: bench.channel.state is State.TRIAL)
        assert not bench.channel.usable
        bench.ask("nobody else")
        assert await bench.value("nobody else") == b"nobody else"
        reply = await bench.channel.query(wire.TOPOLOGY, asyncio.get_running_loop().time() + 1)
        assert isinstance(reply, wire.Members)

    bench_test(test)


def test_a_peer_that_is_suspected_again_and_again_waits_longer_each_time_and_never_longer_than_the_bound() -> None:
    async def test(bench: Bench) -> None:
        await up(bench)
        waits = []
        for _ in range(8):
            await hang(bench)
            waits.append((await beats_until_up(bench) - 1) * BEAT_S)
        assert [round(wait / FIRST_S) for wait in waits] == [1, 2, 4, 8, 16, 32, 32, 32]
        assert max(waits) <= LONGEST_S + 1e-6
        # It behaves for a while, and all is forgiven.
        bench.skip(6 * FORGIVEN_S)
        await bench.beats(1)
        await hang(bench)
        assert round((await beats_until_up(bench) - 1) * BEAT_S / FIRST_S) == 1

    bench_test(test)


def test_silence_on_trial_begins_the_trial_anew() -> None:
    async def test(bench: Bench) -> None:
        await up(bench)
        await hang(bench)
        bench.network.resume(FAKE)
        await bench.beats(2)
        assert bench.channel.state is State.TRIAL
        await hang(bench)
        assert await beats_until_up(bench) == 1 + FIRST_S / BEAT_S
        assert bench.channel.health.suspicions == 1

    bench_test(test)


def test_who_was_suspected_and_then_lost_is_on_trial_when_it_connects_again() -> None:
    async def test(bench: Bench) -> None:
        await up(bench)
        await hang(bench)
        bench.network.cut(FAKE)
        await eventually(lambda: bench.channel.state is State.DOWN)
        bench.network.resume(FAKE)
        bench.network.heal(FAKE)
        await eventually(lambda: bench.channel.state is State.TRIAL)
        assert bench.back == []
        await bench.beats(3)
        assert bench.channel.state is State.UP
        assert bench.back == [bench.channel]

    bench_test(test)


def test_a_connection_that_breaks_once_costs_no_trial_and_one_that_breaks_again_and_again_does() -> None:
    async def test(bench: Bench) -> None:
        await up(bench)
        bench.network.cut(FAKE)
        await eventually(lambda: bench.channel.state is State.DOWN)
        bench.network.heal(FAKE)
        await eventually(lambda: bench.channel.state is State.UP)
        bench.network.cut(FAKE)
        await eventually(lambda: bench.channel.state is State.DOWN)
        bench.network.heal(FAKE)
        await eventually(lambda: bench.channel.state is State.TRIAL)
        await bench.beats(6)
        assert bench.channel.state is State.UP
        bench.skip(3 * FORGIVEN_S)
        bench.network.cut(FAKE)
        await eventually(lambda: bench.channel.state is State.DOWN)
        bench.network.heal(FAKE)
        await eventually(lambda: bench.channel.state is State.UP)

    bench_test(test)


def test_a_pong_that_nobody_waits_for_measures_nothing() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        bench.ask("k")
        await bench.value("k")
        bench.network.pause(FAKE)
        await bench.beats(1)  # a ping is out
        bench.channel.on_frame(wire.encode(wire.Query(*wire.header(wire.PONG, 10**6, fake.header))))
        assert bench.channel.health.pulse.waits
        assert bench.channel.strays == 1
        bench.network.resume(FAKE)
        await eventually(lambda: not bench.channel.health.pulse.waits)

    bench_test(test)


def test_a_ping_that_is_out_is_as_slow_as_it_is_old() -> None:
    async def test(bench: Bench) -> None:
        await up(bench)
        bench.network.pause(FAKE)
        before_s = bench.channel.health.latency.rtt_s
        await bench.beats(3)
        after_s = bench.channel.health.latency.rtt_s
        assert before_s is not None
        assert after_s is not None
        assert before_s < 0.05
        assert after_s > 0.2

    bench_test(test)


def test_the_wait_is_the_first_again_once_every_fall_is_forgiven() -> None:
    backoff = Backoff(1.0, 10.0)
    assert [backoff.fell(0.0) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    backoff.back(100.0)
    assert backoff.falls(100.0) == 4
    assert backoff.falls(100.0 + FORGIVEN_S) == 3
    assert backoff.fell(100.0 + 2 * FORGIVEN_S) == 4.0
    backoff.back(200.0)
    assert backoff.fell(200.0 + 9 * FORGIVEN_S) == 1.0


def test_a_peer_that_answers_others_and_lets_a_ping_wait_is_suspected_and_not_tried_before_that_is_answered() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        bench.ask("first")
        await bench.value("first")
        await bench.beats(2)
        held: list[tuple[bytes, int]] = []
        fake.pong = lambda peer, request_id: held.append((peer, request_id))
        beats = 0
        while bench.channel.state is State.UP:
            bench.ask(f"k{beats}")
            await bench.value(f"k{beats}")
            await bench.beats(1)
            beats += 1
        assert bench.channel.state is State.SUSPECT
        assert 1.2 < beats * BEAT_S <= 2.0
        fake.pong = fake.send_pong
        for ping in held:
            fake.pong(*ping)
        await eventually(lambda: bench.channel.state is State.TRIAL)

    bench_test(test)
