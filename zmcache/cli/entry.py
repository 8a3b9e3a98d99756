"""The command group. The commands stand in the order in which a newcomer needs them."""

from __future__ import annotations

import click

from zmcache.cli.explaining import explain
from zmcache.cli.files import check, schema
from zmcache.cli.items import delete, get, invalidate, set_
from zmcache.cli.leaving import leave, rolling_restart
from zmcache.cli.nodes import nodes
from zmcache.cli.ringview import ring
from zmcache.cli.serve import serve
from zmcache.cli.stats import stats
from zmcache.cli.up import up


class _InOrder(click.Group):
    """Lists its commands as they were added, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="zmcache")
def main() -> None:
    """A distributed in-memory cache that fills itself."""


for _command in (
    up, serve, check, schema, get, set_, delete, invalidate, explain, nodes, stats, ring, leave, rolling_restart,
):  # fmt: skip
    main.add_command(_command)
