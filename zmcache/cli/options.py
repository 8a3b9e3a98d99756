"""What people write on the command line, as values: durations, sizes, and nodes that might join. Each is a click callback, so
the message is ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import click

from zmcache.config import parse_duration, parse_size

FILE: Final = click.Path(path_type=Path)
"""A config file. That it exists is left to the config's reader: one kind of message for all that is wrong with a file."""

_WEIGHTS: Final = (0.01, 100.0)  # as in a config


def duration(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    """``1.5s``, ``1h30m`` or a number of seconds, above 0, as seconds."""
    try:
        seconds = parse_duration(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc
    if seconds <= 0:
        raise click.BadParameter(f"expected more than 0 seconds, found {text!r}")
    return seconds


def duration_or_none(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """The same; None where nothing was given."""
    return None if text is None else duration(ctx, param, text)


def life(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """A duration in seconds; infinity for ``never``; None where nothing was given."""
    if text is None:
        return None
    return float("inf") if text == "never" else duration(ctx, param, text)


def size(_ctx: click.Context, _param: click.Parameter, text: str) -> int:
    """``5MiB`` or a number of bytes, above 0, as bytes."""
    try:
        found = parse_size(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc
    if found <= 0:
        raise click.BadParameter(f"expected more than 0 bytes, found {text!r}")
    return found


class Newcomer(NamedTuple):
    """A node that might join."""

    node_id: str
    weight: float


def newcomers(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[Newcomer, ...]:
    """Each ``ID`` or ``ID=WEIGHT`` (weight 1 where none is given). Not a colon: an id may hold one, as the one made
    from an address does.
    """
    return tuple(_newcomer(text) for text in texts)


def _newcomer(text: str) -> Newcomer:
    node_id, equals, number = text.partition("=")
    try:
        weight = float(number) if equals else 1.0
    except ValueError:
        weight = float("nan")
    if not node_id or not _WEIGHTS[0] <= weight <= _WEIGHTS[1]:
        raise click.BadParameter(f"expected ID or ID=WEIGHT with a weight from 0.01 to 100, found {text!r}")
    return Newcomer(node_id, weight)
