"""The benchmark: how fast and how small zmcache is, as multiples of what else there is on the same machine in the same run.

Absolute figures move from machine to machine and from minute to minute, so no row is judged by one: each is set against a yardstick
that ran next to it, in turns, and the median of the runs' ratios is held against a floor. The one exception is the longest
pause of a node's loop, where milliseconds are what counts; there an idle node next to it shows what the machine alone does.

    goals.py     the rows: what is measured, against what, and the floor; a row's verdict, and the exit code
    drive.py     asking: gets a second, median latency, sides in turns
    servers.py   the processes that are measured: nodes, redis-server, memcached, the echo
    echo.py      the plain limit: a blocking ZeroMQ ROUTER, and its blocking client
    probe.py     runs inside a node, as a loader: how long its loop ever stood still
    clients.py   the clients, as a good user opens them, with their keys in place
    newcomer.py  a client in a process of its own: its memory, and its loop over its first ring
    network.py, cached.py, threads.py, embedded.py, policies.py, million.py, scale.py, thousand.py, copies.py,
    loss.py, near.py, django_backend.py, generator.py
                 the rows' measuring, by what they share
    sections.py  runs those that are asked for, and turns a yardstick that is missing into a row that says so
    report.py    the table and the JSON file
    command.py   ``zmcache-loadgen bench``
"""
