"""The commands of ``zmcache``. All thinking is below; here are options, signals, processes, and words for people.

    entry.py      the command group: what there is
    ending.py     how a command ends: one line on the standard error, and the exit code
    options.py    what people write on the command line, as numbers
    asking.py     a client for one command, and what is common to those that ask
    items.py      get, set, delete
    stats.py      stats
    tables.py     tables on the standard output
    ringview.py   ring: who owns what, and what would move
    files.py      check, schema
    serve.py      serve: one node, from start to exit
    stopping.py   being asked to stop, once kindly and once more in earnest
    logs.py       where log records go, one line each
    descriptors.py  as many file descriptors as there may be, and a word where they are too few
    collector.py  the garbage collector of a process that is a node and nothing else
    up.py         up: the nodes of a cluster file, as processes
    children.py   one such process: started, listened to, ended

Exit codes: 0 it was done; 1 it could not be done (nobody answers, no such key, a node died); 2 it was asked wrongly
(the command line, a config).
"""

from zmcache.cli.entry import main

__all__ = ["main"]
