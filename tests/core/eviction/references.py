"""The algorithms of the papers, slow and obvious, for items of one size: what the product's policies have to do, access by access.

`access` returns whether the key was there, and what was evicted. Nothing is shared with the product but W-TinyLFU's sketch, which is
an estimate and has tests of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple, Protocol

from zmcache.core.eviction.sketch import Sketch


class Seen(NamedTuple):
    hit: bool
    evicted: list[int]


HIT = Seen(True, [])


class Reference(Protocol):
    def access(self, key: int) -> Seen: ...


class Lru:
    def __init__(self, items: int) -> None:
        self.items = items
        self.order: OrderedDict[int, None] = OrderedDict()

    def access(self, key: int) -> Seen:
        if key in self.order:
            self.order.move_to_end(key)
            return HIT
        evicted = [self.order.popitem(last=False)[0]] if len(self.order) == self.items else []
        self.order[key] = None
        return Seen(False, evicted)


class Lfu:
    """LFU with dynamic ageing, uses counted up to 255. Of equal rank, the one used longest ago goes."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.uses: dict[int, int] = {}
        self.rank: dict[int, tuple[int, int]] = {}  # with the time of the last use
        self.age = self.now = 0

    def access(self, key: int) -> Seen:
        self.now += 1
        hit, evicted = key in self.uses, []
        if not hit and len(self.uses) == self.items:
            victim = min(self.rank, key=self.rank.__getitem__)
            self.age = self.rank.pop(victim)[0]
            del self.uses[victim]
            evicted = [victim]
        self.uses[key] = min(self.uses.get(key, 0) + 1, 255)
        self.rank[key] = self.age + self.uses[key], self.now
        return Seen(hit, evicted)


class Arc:
    """Figure 4 of the paper."""

    def __init__(self, items: int) -> None:
        self.c = items
        self.t1, self.t2, self.b1, self.b2 = (OrderedDict[int, None]() for _ in range(4))  # oldest first
        self.p = 0.0

    def replace(self, key: int) -> list[int]:
        if len(self.t1) + len(self.t2) < self.c:
            return []  # only while it fills
        if (self.t1 and (len(self.t1) > self.p or (key in self.b2 and len(self.t1) == self.p))) or not self.t2:
            victim, _ = self.t1.popitem(last=False)
            self.b1[victim] = None
        else:
            victim, _ = self.t2.popitem(last=False)
            self.b2[victim] = None
        return [victim]

    def access(self, key: int) -> Seen:
        t1, t2, b1, b2, c = self.t1, self.t2, self.b1, self.b2, self.c
        if key in t1 or key in t2:
            t1.pop(key, None)
            t2.pop(key, None)
            t2[key] = None
            return HIT
        if key in b1:
            self.p = min(c, self.p + max(len(b2) / len(b1), 1))
            evicted = self.replace(key)
            del b1[key]
            t2[key] = None
        elif key in b2:
            self.p = max(0.0, self.p - max(len(b1) / len(b2), 1))
            evicted = self.replace(key)
            del b2[key]
            t2[key] = None
        else:
            evicted = self.new(key)
        return Seen(False, evicted)

    def new(self, key: int) -> list[int]:
        t1, t2, b1, b2, c = self.t1, self.t2, self.b1, self.b2, self.c
        evicted: list[int] = []
        if len(t1) + len(b1) == c:
            if len(t1) < c:
                b1.popitem(last=False)
                evicted = self.replace(key)
            else:
                evicted = [t1.popitem(last=False)[0]]
        elif len(t1) + len(t2) + len(b1) + len(b2) >= c:
            if len(t1) + len(t2) + len(b1) + len(b2) == 2 * c:
                b2.popitem(last=False)
            evicted = self.replace(key)
        t1[key] = None
        return evicted


class Sieve:
    """Algorithm 1 of the paper: a list, newest first, and a hand that moves from the tail to the head."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.queue: list[int] = []
        self.visited: dict[int, bool] = {}
        self.hand: int | None = None  # a key

    def access(self, key: int) -> Seen:
        if key in self.visited:
            self.visited[key] = True
            return HIT
        evicted = []
        if len(self.queue) == self.items:
            at = len(self.queue) - 1 if self.hand is None else self.queue.index(self.hand)
            while self.visited[self.queue[at]]:
                self.visited[self.queue[at]] = False
                at = at - 1 if at else len(self.queue) - 1
            evicted = [self.queue[at]]
            self.hand = self.queue[at - 1] if at else None
            del self.visited[self.queue.pop(at)]
        self.queue.insert(0, key)
        self.visited[key] = False
        return Seen(False, evicted)


class S3Fifo:
    """Algorithm 1 of the paper, with a ghost queue of nine tenths of the items."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.small: OrderedDict[int, int] = OrderedDict()  # with the uses, oldest first
        self.main: OrderedDict[int, int] = OrderedDict()
        self.ghost: OrderedDict[int, None] = OrderedDict()

    def access(self, key: int) -> Seen:
        for queue in (self.small, self.main):
            if key in queue:
                queue[key] = min(queue[key] + 1, 3)
                return HIT
        # Before there is room: what has to go may push the oldest ghost out, and this is one no longer.
        queue = self.main if key in self.ghost else self.small
        self.ghost.pop(key, None)
        evicted = [self.evict()] if len(self.small) + len(self.main) == self.items else []
        queue[key] = 0
        return Seen(False, evicted)

    def evict(self) -> int:
        while True:
            if self.small and (len(self.small) >= 0.1 * self.items or not self.main):
                key, uses = self.small.popitem(last=False)
                if uses > 1:
                    self.main[key] = 0
                    continue
                self.ghost[key] = None
                if len(self.ghost) > int(0.9 * self.items):
                    self.ghost.popitem(last=False)
                return key
            key, uses = self.main.popitem(last=False)
            if not uses:
                return key
            self.main[key] = uses - 1


class WTinyLfu:
    """Window, probation and protected as three ordered dictionaries."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.window: OrderedDict[int, None] = OrderedDict()
        self.probation: OrderedDict[int, None] = OrderedDict()
        self.protected: OrderedDict[int, None] = OrderedDict()
        self.window_ghosts: OrderedDict[int, None] = OrderedDict()
        self.main_ghosts: OrderedDict[int, None] = OrderedDict()
        self.window_room = items * 0.01
        self.sketch = Sketch()
        self.decisions = 0

    def __len__(self) -> int:
        return len(self.window) + len(self.probation) + len(self.protected)

    def access(self, key: int) -> Seen:
        self.sketch.add([key])
        if key in self.window:
            self.window.move_to_end(key)
        elif key in self.protected:
            self.protected.move_to_end(key)
        elif key in self.probation:
            del self.probation[key]
            self.protected[key] = None
            while len(self.protected) > max((self.items - self.window_room) * 0.8, 1):
                self.probation[self.protected.popitem(last=False)[0]] = None
        else:
            return self.missed(key)
        return HIT

    def missed(self, key: int) -> Seen:
        if key in self.window_ghosts:
            del self.window_ghosts[key]
            self.window_room = min(self.window_room + 1, self.items * 0.99)
        elif key in self.main_ghosts:
            del self.main_ghosts[key]
            self.window_room = max(self.window_room - 1, self.items * 0.01)
        evicted = [self.evict()] if len(self) == self.items else []
        self.window[key] = None
        self.sketch.cover(len(self))
        for _ in range(4):
            if len(self.window) > self.window_room:
                self.probation[self.window.popitem(last=False)[0]] = None
        return Seen(False, evicted)

    def evict(self) -> int:
        old = self.probation or self.protected
        candidate = next(iter(self.window), None)
        leaves = candidate is not None and len(self.window) + 1 > self.window_room
        if not old or (leaves and not self.wins(candidate, next(iter(old)))):
            return self.gone(self.window, self.window_ghosts)
        if leaves:
            del self.window[candidate]
            self.probation[candidate] = None
        return self.gone(old, self.main_ghosts)

    def gone(self, queue: OrderedDict[int, None], ghosts: OrderedDict[int, None]) -> int:
        key, _ = queue.popitem(last=False)
        ghosts[key] = None
        if len(ghosts) > int(0.25 * self.items):
            ghosts.popitem(last=False)
        return key

    def wins(self, candidate: int, victim: int) -> bool:
        asked = self.sketch.estimate(candidate)
        if asked > self.sketch.estimate(victim):
            return True
        self.decisions += 1
        return asked >= 6 and self.decisions % 128 == 0


REFERENCES: dict[str, type[Reference]] = {
    "lru": Lru,
    "lfu": Lfu,
    "arc": Arc,
    "sieve": Sieve,
    "s3-fifo": S3Fifo,
    "w-tinylfu": WTinyLfu,
}
