"""One request, whatever it is: asked, timed, judged and counted.

The usual case, one read that nobody verifies, is written out once more in the closed loop's callers, where every
microsecond is taken from the rate that is measured.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import Final, cast

from ..errors import TargetRefused
from ..requests import DELETE, MODIFY, READ, READ_MANY, Request
from ..targets.base import Target
from ..values import Pool
from ..verify import Verifier
from .measurement import Measurement
from .recorder import Outcome

Ended = tuple[Outcome, int]  # how, and when by `perf_counter_ns`


class Executor:
    """Carries requests out against one target. ``verifier`` None: values are slices of a pool, and nothing is checked.

    What is seen of a request goes to ``seen`` when it counts, and to ``unseen``, which nobody reads, when it does not: which
    of the two is known when it begins, and stays so.
    """

    def __init__(self, target: Target, seen: Measurement, seed: int | None, verifier: Verifier | None) -> None:
        self.seen = seen
        self.unseen = seen.another()
        self.target = target
        self.verifier = verifier
        self._pool: Final = Pool(seed or 0)

    async def run(self, request: Request, seen: Measurement) -> Ended:
        """Carry one out; its keys and its error are counted in ``seen``. It does not raise but for `TargetRefused` and cancellation."""
        try:
            outcome = await self._run(request, seen)
        except TargetRefused:
            raise
        except Exception as exc:  # whatever a target raises is one failed request, and the run goes on
            outcome = seen.count_error(exc)
        return outcome, perf_counter_ns()

    async def _run(self, request: Request, seen: Measurement) -> Outcome:
        op, token, key, size, ttl_s, _ = request
        if op == READ_MANY:
            seen.keys.add_all(cast("list[int | str]", token))
            return await self._read_many(cast("list[str]", key))
        key = cast("str", key)
        if op in (READ, MODIFY):
            seen.keys.add(cast("int | str", token))
            outcome = await self._read(key)
            if op == READ:
                return outcome
            await self._write(key, size, ttl_s)
            return "written"
        if op == DELETE:
            await self._delete(key)
            return "deleted"
        await self._write(key, size, ttl_s)
        return "written"

    async def _read(self, key: str) -> Outcome:
        if self.verifier is None:
            return (await self.target.read(key))[0]
        began = self.verifier.begin_read(key)
        source, value = await self.target.read(key)
        self.verifier.check(key, value, began)
        return source

    async def _read_many(self, keys: list[str]) -> Outcome:
        if self.verifier is None:
            values = await self.target.read_many(keys)
        else:
            begun = [self.verifier.begin_read(key) for key in keys]
            values = await self.target.read_many(keys)
            for key, value, began in zip(keys, values, begun, strict=True):
                self.verifier.check(key, value, began)
        return "absent" if None in values else "found"

    async def _write(self, key: str, size: int, ttl_s: float) -> None:
        if self.verifier is None:
            await self.target.write(key, self._pool.value(size), ttl_s)
            return
        with self.verifier.writing(key, size) as value:
            await self.target.write(key, value, ttl_s)

    async def _delete(self, key: str) -> None:
        if self.verifier is None:
            await self.target.delete(key)
            return
        with self.verifier.deleting(key):
            await self.target.delete(key)
