"""The fault suite: real processes, a real etcd, real sockets; one fault at a time, and what was promised held against the record of every call.

    python -m faults --list            (with tests/ on the path, as `make faults` has it)

It stands with the tests and not in the load generator, since it reaches for what that must not: etcd's own interface (to revoke a lease, to forget
its history), and helpers that other tests use. It ends only what it started, and what it starts ends with it.

    record.py       what happened, as plain data
    checking/       the record against the promises: pure, with tests of its own
    marks.py        values that tell by themselves whose they are, and whether they are whole
    backend.py      the loader inside the nodes; writes down each load
    driver.py       calls that write themselves down; worker.py: a process that makes them without end
    children.py     processes of our own; cluster.py: etcd and nodes, and what can be done to them
    network.py      between the nodes: loopback; proxy.py: a relay that can be told to do wrong; namespaces.py: a network of its own for each node
    stage.py        what a fault has at hand; acts/: the faults; catalogue.py: all of them, each with what it promises
    run.py          one run from nothing to its findings; report.py: the table; __main__.py: the command
"""
