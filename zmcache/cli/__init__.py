"""The commands of ``zmcache``. All thinking is below; here are options, signals, processes, and words for people.

    entry.py      the command group: what there is
    ending.py     how a command ends: one line on the standard error, and the exit code
    options.py    what people write on the command line, as numbers
    asking.py     a client for one command, and what is common to those that ask
    items.py      get, set, delete, invalidate
    explaining.py   explain: what is known of one key
    cluster.py    a cluster as those who run it see it: every node asked for itself
    nodes.py      nodes: who is there, and how each is
    stats.py      stats
    counters.py   the tables of stats, tier by tier
    leaving.py    leave, rolling-restart
    waiting.py    asking nodes to leave or to begin anew, and waiting for it
    progress.py   what a command says while it waits
    tables.py     tables on the standard output
    ringview.py   ring: who owns what, and what would move
    files.py      check, schema
    serve.py      serve: one node, from start to exit
    stopping.py   being asked to stop, once kindly and once more in earnest
    anew.py       the same process runs the same program once more
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
