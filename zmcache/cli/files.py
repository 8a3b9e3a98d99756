"""``zmcache check`` and ``zmcache schema``: what needs a config and no cluster. Also how a whole cluster file is read."""

from __future__ import annotations

import os
from pathlib import Path

import click

from zmcache.cli.ending import one_line
from zmcache.cli.options import FILE
from zmcache.config import ClusterConfig, load_cluster
from zmcache.config import check as summary_of
from zmcache.config.schema import schema_text


@click.command()
@click.argument("file", type=FILE)
def check(file: Path) -> None:
    """Say whether a node or cluster FILE is valid, ZMCACHE_* variables included.

    Exit code 0 and a summary, or 2 and one line that names the file, the place in it and what was expected there.
    Starts nothing, imports no loader.
    """
    with one_line():
        click.echo(summary_of(file))


@click.command()
def schema() -> None:
    """Print the JSON schema of config files, for editors."""
    click.echo(schema_text(), nl=False)


def read_cluster(file: Path) -> ClusterConfig:
    """A cluster file, with the environment over it. Raises `ConfigError`."""
    # In front of a cluster file this variable chooses a node and sets nothing.
    return load_cluster(file, env={name: value for name, value in os.environ.items() if name != "ZMCACHE_NODE_ID"})
