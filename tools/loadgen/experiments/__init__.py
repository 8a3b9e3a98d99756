"""What the cache is worth, as experiments that anybody can repeat: `zmcache-loadgen experiment NAME`.

base              what an experiment is
records           performing one, keeping its record, the page of all records
"""

from typing import Final

from .base import Experiment

EXPERIMENTS: Final[tuple[Experiment, ...]] = ()
"""In the order of the page."""
