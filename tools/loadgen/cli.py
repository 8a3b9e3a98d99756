"""The command ``zmcache-loadgen``. What each exit code means stands in `execution`."""

from __future__ import annotations

import click

from .bench.command import bench
from .commands.experiment import experiment
from .commands.replay import replay
from .commands.run import run
from .commands.simulate import simulate
from .reporting.compare_command import compare
from .reporting.report_command import report


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zmcache")
def main() -> None:
    """Drive load at a cache, and say what it was like."""


for command in (run, replay, simulate, compare, report, experiment, bench):
    main.add_command(command)
