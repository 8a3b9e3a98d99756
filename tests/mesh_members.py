"""Who is in a mesh of real processes, as each of its nodes sees it."""

from __future__ import annotations

from eventually import answered

import zmcache
from zmcache.core.ring import SERVING


async def rings_agree(endpoints: list[str]) -> None:
    """Return once every one of these nodes has as many in its ring that serve as there are endpoints."""

    async def sizes() -> list[int]:
        found = []
        for endpoint in endpoints:
            async with zmcache.connect(endpoint) as cache:
                found.append(sum(member.state == SERVING for member in cache.ring().members))
        return found

    everyone = [len(endpoints)] * len(endpoints)
    await answered(sizes, lambda found: found == everyone, what=f"each sees {len(endpoints)}", within_s=20)
