"""``zmcache get``, ``set`` and ``delete``: one key from a shell; ``invalidate``: all keys that have a tag. Values are bytes, as they are, without a
newline of ours.
"""

from __future__ import annotations

import math
import sys

import click

import zmcache
from zmcache.cli.asking import Where, ask, asks, choose_group, in_group
from zmcache.cli.ending import Ended
from zmcache.cli.options import life


@click.command()
@click.argument("key")
@asks
@in_group
def get(key: str, where: Where, group: str | None) -> None:
    """Write the value of KEY to the standard output, loaded if need be. Exit code 1 when there is no such key."""

    async def question(client: zmcache.Cache) -> bytes | None:
        return await (await choose_group(client, group)).get(key)

    value = ask(where, question)
    if value is None:
        raise Ended(f"no such key: {key!r}")
    sys.stdout.buffer.write(value)


@click.command("set")
@click.argument("key")
@click.argument("value")
@click.option(
    "--ttl",
    "ttl_s",
    metavar="DURATION|never",
    callback=life,
    help="How long it lives, such as 1h30m. Left out: the group's own.",
)
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="A name to invalidate it by; as many as are wanted.")
@asks
@in_group
def set_(key: str, value: str, ttl_s: float | None, tags: tuple[str, ...], where: Where, group: str | None) -> None:
    """Store VALUE under KEY, at the key's owner. A VALUE of - is read from the standard input."""
    data = sys.stdin.buffer.read() if value == "-" else value.encode("utf-8", "surrogateescape")

    async def question(client: zmcache.Cache) -> None:
        chosen = await choose_group(client, group)
        if ttl_s is None:
            await chosen.set(key, data, tags=tags)
        else:
            await chosen.set(key, data, ttl=None if math.isinf(ttl_s) else ttl_s, tags=tags)

    ask(where, question)


@click.command()
@click.argument("key")
@asks
@in_group
def delete(key: str, where: Where, group: str | None) -> None:
    """Delete KEY at its owner. Exit code 1 when it was not there."""

    async def question(client: zmcache.Cache) -> bool:
        return await (await choose_group(client, group)).delete(key)

    if not ask(where, question):
        raise Ended(f"no such key: {key!r}")


@click.command()
@click.option("--tag", "tags", metavar="TAG", multiple=True, required=True, help="Which; as many as are wanted.")
@asks
@in_group
def invalidate(tags: tuple[str, ...], where: Where, group: str | None) -> None:
    """Forget all that has one of these tags, on every node. Exit code 1 when some node could not be told."""

    async def question(client: zmcache.Cache) -> None:
        await (await choose_group(client, group)).invalidate_tags(*tags)

    ask(where, question)
