"""What one request is: the shape that workloads make and the load's loops take apart.

A bare tuple of six, since one is made per request. It names a size and never a value: what is stored under a key is the
affair of the one who writes it, who may want to check it later.
"""

from __future__ import annotations

Token = int | str | list[int] | list[str]
"""What tells a key from others, in the form that is cheap to keep; for `READ_MANY` a list, one of each key."""

Keys = str | list[str]
"""The key, as the cache gets it; for `READ_MANY` a list."""

Request = tuple[int, Token, Keys, int, float, float]
"""(op, token, key, size of the value in bytes, life in seconds, intended second).

``size`` counts where something is written, and is 0 elsewhere. ``life``: 0.0 means the group's own. ``intended second``: since
the start of the run; 0.0 throughout a workload that is not timed.
"""

READ, WRITE, DELETE, MODIFY, READ_MANY = range(5)
"""What is asked. `MODIFY` reads a key and then writes the same one (YCSB's workload F)."""
