"""The load generator: it asks a cache for keys the way many programs would, and says what that was like.

The floor plan, from the bottom; imports go down only, and nothing here but `simulation` reaches past the public names of `zmcache`:

    errors.py        what can go wrong in the generator itself
    requests.py      the shape of a request
    values.py        values that tell key and version, and whether they are whole
    workloads/       which requests, in which order: drawn, YCSB's, recorded
    arrivals.py      when each is due, in an open loop
    targets/         what is asked: zmcache, redis, memcached, a dict, nothing
    verify.py        whether a read may be what it was
    load/            one run: closed or open loop, warm-up, one process or several, what was seen
    metrics.py       a result's figures by name
    expect.py        thresholds over them
    files.py         a file that is whole or as it was
    machine.py       what figures were measured on
    process.py       one process of one's own, from start to end
    own_etcd.py      an etcd of one's own
    cluster.py       a cluster file's nodes, each of which can be stopped, killed, paused
    script.py        timed events beside the load
    simulation.py    the product's store and ring without sockets
    live.py          the screen while a run goes on
    table.py         the table when it is over
    reporting/       pages, comparisons and other readers of results
    beside.py        a cluster and its script beside a run
    execution.py     a plan carried out: screen, table, file, exit code
    options.py       what people write on the command line, as numbers
    commands/        run, replay, experiment
    experiments/     what the cache is worth: measured, kept and drawn
    bench/           the measured table of the README
    demo.py          the demonstration
    cli.py           all commands

A program drives load by itself with `Plan`, `measure` and `print_table`.
"""
