"""Moving frames between processes. The floor plan:

    base.py       the contract: what every transport promises, and the protocols that its users implement
    zeromq/       the real one, over libzmq; the only place that imports zmq
    memory/       the in-process twin, for tests and for programs that want a mesh inside one process
    owner.py      the loop and process that a transport belongs to
    quietlog.py   logging at a rate that the peers do not decide

The two transports share one contract suite, ``tests/transport/test_contract.py``. This file imports neither: who uses
the twin does not pay for libzmq.
"""
