"""What one loop over a watch is given of what was heard: the latest of each key, and which of it was found after a loss."""

from __future__ import annotations

import asyncio

from zmcache.cache.watching import Feed, Told


def told(version: int, skipped: int = 0) -> Told:
    return Told("k", b"%d" % version, exists=True, version=version, skipped=skipped)


def test_what_had_come_before_a_loss_does_not_pass_for_what_is_found_after_it() -> None:
    async def main() -> None:
        feed = Feed(["k"])
        feed.hear(told(1))
        feed.lose("k")
        assert await feed.next() == (told(1), False)
        feed.hear(told(4))
        assert await feed.next() == (told(4), True)
        feed.hear(told(5))
        assert await feed.next() == (told(5), False)

    asyncio.run(main())


def test_a_program_that_was_slower_than_the_loss_is_told_of_it_with_the_newest() -> None:
    async def main() -> None:
        feed = Feed(["k"])
        feed.hear(told(1))
        feed.lose("k")
        feed.hear(told(4))
        feed.hear(told(5))
        assert await feed.next() == (told(5, skipped=2), True)

    asyncio.run(main())


def test_a_new_owner_may_know_less_and_is_believed_once() -> None:
    async def main() -> None:
        feed = Feed(["k"])
        feed.hear(told(9))
        await feed.next()
        feed.lose("k")
        feed.hear(told(5))
        assert await feed.next() == (told(5), True)
        feed.hear(told(5))
        feed.hear(told(6))
        assert await feed.next() == (told(6), False)

    asyncio.run(main())
