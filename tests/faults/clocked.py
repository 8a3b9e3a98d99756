"""zmcache with a wall clock of its own: ``python -m faults.clocked FILE serve ...``. FILE holds by how many seconds it is fast, and is looked at
again and again; only this process notices. gRPC has the true time even so: it adds to it in Python what it compares in C, where no clock was set.
"""

from __future__ import annotations

import contextlib
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Final

_LOOK_S: Final = 0.05


def step_by(control: Path) -> None:
    """Replace the wall clock before anybody has taken hold of it."""
    offset_s = 0.0
    true_time = time.time

    def look() -> None:
        nonlocal offset_s
        with contextlib.suppress(OSError, ValueError):
            offset_s = float(control.read_text())

    def keep_looking() -> None:
        while True:
            look()
            time.sleep(_LOOK_S)

    look()
    threading.Thread(target=keep_looking, daemon=True).start()

    def stepped() -> float:
        asker = sys._getframe(1).f_globals.get("__name__", "")
        return true_time() + (0.0 if asker.partition(".")[0] == "grpc" else offset_s)

    time.time = stepped
    time.time_ns = lambda: int(stepped() * 1e9)


if __name__ == "__main__":
    step_by(Path(sys.argv[1]))
    sys.argv[1:2] = []
    runpy.run_module("zmcache", run_name="__main__", alter_sys=True)
