"""The bounded queue for slow peers, alone."""

from __future__ import annotations

from zmcache.transport.zeromq.outbox import FRAME_OVERHEAD_BYTES, SHARE_OF_ALL, Outbox


def test_frames_of_a_peer_leave_in_order_and_stop_at_the_first_refusal() -> None:
    outbox, sent = Outbox(10_000), []
    for number in range(5):
        outbox.push(b"a", b"%d" % number)
    outbox.push(b"b", b"x")

    def take(peer: bytes, frame: bytes) -> bool:
        sent.append((peer, frame))
        return frame != b"2"

    assert outbox.flush(take) == 3
    assert sent == [(b"a", b"0"), (b"a", b"1"), (b"a", b"2"), (b"b", b"x")]
    assert b"a" in outbox
    assert b"b" not in outbox
    assert outbox.queued_bytes == 3 * (1 + FRAME_OVERHEAD_BYTES)
    assert outbox.flush(lambda peer, frame: True) == 3
    assert not outbox
    assert outbox.queued_bytes == 0


def test_a_peer_cannot_hold_more_than_its_limit_even_in_empty_frames() -> None:
    outbox = Outbox(10 * FRAME_OVERHEAD_BYTES)
    assert sum(outbox.push(b"a", b"") for _ in range(100)) == 10
    assert outbox.push(b"b", b"")


def test_many_slow_peers_are_bounded_together() -> None:
    outbox = Outbox(1000)
    frame = bytes(1000 - FRAME_OVERHEAD_BYTES)
    assert sum(outbox.push(b"%d" % number, frame) for number in range(1000)) == SHARE_OF_ALL
    assert outbox.clear() == SHARE_OF_ALL
    assert outbox.push(b"another", frame)


def test_peers_take_turns_where_not_all_are_asked() -> None:
    outbox, asked = Outbox(1000), []
    for peer in (b"a", b"b", b"c"):
        outbox.push(peer, b"x")

    def refuse(peer: bytes, frame: bytes) -> bool:
        asked.append(peer)
        return False

    for _ in range(3):
        outbox.flush(refuse, most_peers=2)
    assert asked == [b"a", b"b", b"c", b"a", b"b", b"c"]
