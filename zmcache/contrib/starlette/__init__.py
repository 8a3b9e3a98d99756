"""Cached responses for Starlette and FastAPI: ``app.add_middleware(CacheResponses, ttl="1m")``, and a lifespan that opens the connection.

    middleware.py   the way of a request
    rules.py        which requests and which responses, and what a page is known by
    rendering.py    one run of the application, recorded, or passed through where it is not to be kept
    kept.py         a response as it is kept, and the answers that it gives: 200, 304, HEAD
    opening.py      the connection, for the life of the application

How it is used stands in docs/starlette.md.
"""

from __future__ import annotations

from zmcache.contrib.starlette.middleware import CacheResponses
from zmcache.contrib.starlette.opening import lifespan

__all__ = ["CacheResponses", "lifespan"]
