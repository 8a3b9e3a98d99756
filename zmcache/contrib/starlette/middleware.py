"""Responses from the cache, and into it.

The way of a request:

1. What is not for a shared cache (`Rules.may_answer`) goes to the application untouched.
2. The page is looked up by its key. Where it is missing the application renders it, once in the whole cluster; others wait for that.
3. A response that is not to be kept goes to the visitor whose request led to it. Others who waited for it each ask the application.
4. The page is answered: whole, without its body for a HEAD, or with 304 to who has it already.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import timedelta

from starlette.types import ASGIApp, Receive, Scope, Send

from zmcache.contrib.starlette.kept import Kept, value_of
from zmcache.contrib.starlette.opening import cache_of
from zmcache.contrib.starlette.rendering import NotKept, Rendering
from zmcache.contrib.starlette.rules import Rules


class CacheResponses:
    """ASGI middleware: GET and HEAD are answered from the cache that `zmcache.contrib.starlette.lifespan` has opened.

    ttl             how long a page is kept: seconds, a timedelta or text like "5m"; None: for ever.
    group           the group of the cluster's config that keeps them.
    paths           only these, as routes are written: ``["/items/{item}", "/"]``; None: all.
    vary            request headers that pages depend on: each value has a page of its own, and responses say so (``Vary``).
    ignore          request headers that pages do not depend on; they are taken off before the application sees them. Requests with ``Authorization``
                    or ``Cookie`` go past the cache, unless these stand here or in ``vary``.
    statuses        what is kept; others go to the visitor alone.
    stale_ttl       how long beyond its life a page is still given, while it is rendered anew in the background.
    lease           how long rendering may take before another process renders the page, too.
    max_body        bytes; a longer response is passed through. The cluster's limit for a value has to leave room for the headers.
    compress_above  compress longer pages in the cache: "1KiB"; None: none.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        ttl: float | str | timedelta | None,
        group: str = "pages",
        paths: Iterable[str] | None = None,
        vary: Iterable[str] = (),
        ignore: Iterable[str] = (),
        statuses: Collection[int] = (200,),
        stale_ttl: float | str | timedelta | None = None,
        lease: float | str | timedelta = 10.0,
        max_body: int = 1_000_000,
        compress_above: int | str | None = None,
    ) -> None:
        self.app = app
        self._group, self._compress_above = group, compress_above
        self._rules = Rules(paths, vary, ignore, statuses, max_body)
        self._ttl, self._stale_ttl, self._lease = ttl, stale_ttl, lease

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises what the application raises, and `MeshError` unless the connection is one with ``on_error="miss"``."""
        if not self._rules.may_answer(scope):
            await self.app(scope, receive, send)
            return
        pages = cache_of(scope).group(self._group, type=Kept, compress_above=self._compress_above)
        rendering = Rendering(self.app, self._rules, scope, receive, send)
        try:
            item = await pages.fetch_or_set(
                self._rules.key(scope), rendering.page, ttl=self._ttl, stale_ttl=self._stale_ttl, lease=self._lease
            )
        except NotKept as told:
            if told.rendering is rendering:
                await rendering.passed()
            else:
                await self.app(scope, receive, send)
            return
        finally:
            rendering.has_visitor = False
        for message in item.value.answer(
            head=scope["method"] == "HEAD",
            if_none_match=value_of(scope["headers"], b"if-none-match"),
            now_s=None if item.source == "fill" else time.time(),
        ):
            await send(message)
