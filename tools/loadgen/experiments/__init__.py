"""What the cache is worth, as experiments that anybody can repeat: `zmcache-loadgen experiment NAME`.

base              what an experiment is
records           performing one, keeping its record, the page of all records
database          what stands behind the cache: postgres, or sqlite; it counts its queries itself
shop              what is in it, and the query that an application would ask
sample_app        a handler of that application, with and without the cache
database_page     words that the pages of several experiments share
NAME              each experiment, with NAME_section for its page and other modules of its own beside it
"""

from typing import Final

from .base import Experiment
from .database_load import EXPERIMENT as DATABASE_LOAD
from .elasticity import EXPERIMENT as ELASTICITY
from .hit_rate import EXPERIMENT as HIT_RATE
from .latency import EXPERIMENT as LATENCY
from .memory import EXPERIMENT as MEMORY
from .scaling import EXPERIMENT as SCALING
from .throughput import EXPERIMENT as THROUGHPUT

EXPERIMENTS: Final[tuple[Experiment, ...]] = (HIT_RATE, LATENCY, DATABASE_LOAD, THROUGHPUT, SCALING, ELASTICITY, MEMORY)
"""In the order of the page."""
