"""What is asked, in which order: streams of requests, each from one process and without a clock.

    base            the contract: Workload, and what part of it one of several workers has
    synthetic       an endless stream of drawn requests; made of the next three
    distributions     which key: the contract; uniform, hot set, sequential
    zipf              which key: by popularity, by age (latest)
    sizes             how large a value: constant, uniform, lognormal, a mix
    expiry            how long a value lives
    ycsb            the standard mixes A, B, C, D and F, as synthetic workloads
    traces          a recorded file as a workload: its pace, its part for a worker
    trace_files       from a file, plain or packed, to blocks and lines
    trace_forms       from these to accesses: integers, keys, ARC ranges
    trace_csv         and rows with named columns

Requests are made a block at a time and joined at C speed, so that the next one is there for well under a microsecond: whatever
the generator spends on itself is missing from what it can ask.
"""

from .base import Workload
from .distributions import Distribution, HotSet, Sequential, Uniform
from .expiry import Expiry, parse_expiry
from .sizes import ConstantSize, LognormalSize, MixedSize, Sizes, UniformSize, parse_sizes
from .synthetic import Synthetic
from .trace_csv import CsvColumns, parse_csv_columns
from .traces import TraceWorkload
from .ycsb import ycsb
from .zipf import Latest, Zipf

__all__ = [
    "ConstantSize",
    "CsvColumns",
    "Distribution",
    "Expiry",
    "HotSet",
    "Latest",
    "LognormalSize",
    "MixedSize",
    "Sequential",
    "Sizes",
    "Synthetic",
    "TraceWorkload",
    "Uniform",
    "UniformSize",
    "Workload",
    "Zipf",
    "parse_csv_columns",
    "parse_expiry",
    "parse_sizes",
    "ycsb",
]
