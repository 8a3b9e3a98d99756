"""How threads whose calls have ended are let go: one after the other, each by the one before it.

An answer of many keys ends the calls of many threads at once. Let go all at once, they wake up only to stand in each other's way, since one
alone can run Python code: measured with sixteen threads, each of them went to sleep and woke three and a half times a call, and with this two
times. So the loop lets the first one go, and each, before it does anything else, the next.

For the same reason the loop steps aside once before it begins what has come since it let several go (`Line.step_aside`): they add what they ask
next, and fewer and larger messages travel.

Where threads compute, each change of thread takes as long as they are let to, and so neither pays: the loop sees that by how long it is kept when it
steps aside, and for a while does without both.

Nobody depends on another for longer than a moment: where nobody was let go for `OVERDUE_S`, since the next one in line gets no processor, or no turn
among threads that compute, or was interrupted in the very moment, the loop lets all of them go. Threads that may be at something else, or
that signals interrupt (the main one), do not stand here.
"""

from __future__ import annotations

import asyncio
import time
from _thread import LockType
from collections import deque
from typing import Final

# Among threads that wait for answers, to step aside takes some 50 us; among some that compute 5 ms, Python's switch interval, and more.
CROWDED_S: Final = 0.001
CROWDED_FOR_S: Final = 0.1
OVERDUE_S: Final = 0.002  # the resolution of uvloop's clock is 1 ms; a whole line of sixteen takes a fifth of that


class Line:
    """See the module's docstring. `let_go` is for the loop, `pass_on` for the threads."""

    def __init__(self) -> None:
        self._let_go = 0
        """How many since the loop stepped aside last."""
        self._crowded_until_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[LockType] = deque()
        self._moving = False
        self._moves = 0
        self._watched = False

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on there is a loop to watch the line; without one there is no line."""
        self._loop = loop

    def end(self) -> None:
        """There is none any more."""
        self._loop = None
        self._let_all_go()

    def let_go(self, lock: LockType) -> None:
        """Let the thread that waits for ``lock`` go, in its turn. It calls `pass_on` then."""
        self._let_go += 1
        if self._loop is None or self._crowded_until_s:
            lock.release()
            return
        # Into the line first, and `pass_on` looks once more after it has taken the mark away: one of the two sees the other.
        self._waiting.append(lock)
        if not self._moving:
            self._moving = True
            self.pass_on()
        elif not self._watched:
            self._watched = True
            self._loop.call_later(OVERDUE_S, self._look, self._moves)

    def step_aside(self) -> None:
        """Have those that were let go, where there are several, ask what they ask next; on the loop, before it looks at that."""
        several, self._let_go = self._let_go > 1, 0
        if not several:
            return
        began_s = time.monotonic()
        if began_s < self._crowded_until_s:
            return
        time.sleep(0)
        ended_s = time.monotonic()
        self._crowded_until_s = ended_s + CROWDED_FOR_S if ended_s - began_s > CROWDED_S else 0.0

    def pass_on(self) -> None:
        """Let the next one go."""
        if not self._next():
            self._moving = False
            if self._next():
                self._moving = True

    def _let_all_go(self) -> None:
        while self._next():
            pass

    def _next(self) -> bool:
        try:
            lock = self._waiting.popleft()
        except IndexError:
            return False
        self._moves += 1
        lock.release()
        return True

    def _look(self, moves: int) -> None:
        self._watched = False
        if self._moves == moves:
            self._moving = False
            self._let_all_go()
        elif self._waiting and self._loop is not None:
            self._watched = True
            self._loop.call_later(OVERDUE_S, self._look, self._moves)
