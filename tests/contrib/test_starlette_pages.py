"""Cached responses, in this process: what is kept, for whom, and what is answered."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgi_visitor import Answer, Visitor, visiting
from eventually import answered, eventually
from processes import free_port
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

import zmcache
import zmcache.testing
from zmcache.contrib.starlette import CacheResponses, lifespan


class Shop:
    """An application that counts what it renders. Its answer is what a test says."""

    def __init__(self, answer: Callable[[Request], Response | Awaitable[Response]] | None = None, **how: Any) -> None:
        self.rendered: list[str] = []
        self.answer = answer or (lambda request: PlainTextResponse(f"{request.url} {len(self.rendered)}"))
        self.cache = zmcache.testing.local()
        self.app = Starlette(
            routes=[Route("/{rest:path}", self.endpoint, methods=["GET", "POST"])],
            middleware=[Middleware(CacheResponses, **{"ttl": "1m", **how})],
            lifespan=lifespan(self.cache),
        )

    async def endpoint(self, request: Request) -> Response:
        self.rendered.append(f"{request.method} {request.url.path}")
        given = self.answer(request)
        return given if isinstance(given, Response) else await given


Test = Callable[[Shop, Visitor], Awaitable[None]]


def run(shop: Shop, test: Test) -> None:
    async def main() -> None:
        async with visiting(shop.app) as ask:
            await test(shop, ask)

    asyncio.run(main(), debug=True)


async def twice(ask: Visitor, *args: Any, **kwargs: Any) -> tuple[Answer, Answer]:
    return await ask(*args, **kwargs), await ask(*args, **kwargs)


def test_a_page_is_rendered_once_and_given_to_all_until_its_life_is_over() -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        first, again = await twice(ask, "/a?b=c")
        assert first.body == again.body == b"http://shop.example/a?b=c 1"
        assert first.headers["content-type"] == "text/plain; charset=utf-8"
        assert (first.headers["content-length"], "age" in first.headers) == (str(len(first.body)), False)
        assert again.headers == {**first.headers, "age": "0"}
        shop.cache.advance("1m")
        assert (await ask("/a?b=c")).body.endswith(b" 2")

    run(Shop(), test)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"path": "/a"}, {"path": "/b"}),
        ({"path": "/a?x=1"}, {"path": "/a?x=2"}),
        ({"path": "/a"}, {"path": "/a", "host": "another.example"}),
        ({"path": "/a", "accept_language": "de"}, {"path": "/a", "accept_language": "en"}),
        ({"path": "/a", "accept_language": "de"}, {"path": "/a"}),
    ],
    ids=str,
)
def test_what_a_page_is_known_by(one: dict[str, str], other: dict[str, str]) -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        first, second = [(await ask(**request)).body for request in (one, other)]
        assert first[-1:] + second[-1:] == b"12"
        assert [(await ask(**request)).body for request in (one, other)] == [first, second]

    run(Shop(vary=["Accept-Language"]), test)


def test_responses_say_what_they_vary_by() -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        for answer in await twice(ask, "/a", accept_language="de", x_other="1"):
            assert answer.headers["vary"] == "accept-language"
        assert (await ask("/a", accept_language="de", x_other="2")).body.endswith(b" 1")

    run(Shop(vary=["Accept-Language"]), test)


def test_what_a_visitor_has_already_is_not_sent_again() -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        first = await ask("/a", if_none_match='"something else"')
        etag = first.headers["etag"]
        assert first.status == 200
        assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
        for said in (etag, f"W/{etag}", f'"x", {etag}', f'W/"x",{etag}', "*"):
            for method in ("GET", "HEAD"):
                answer = await ask("/a", method, if_none_match=said)
                assert (answer.status, answer.body) == (304, b"")
                assert answer.headers == {"etag": etag, "cache-control": "max-age=5", "age": "0"}
        for said in ('"x"', etag.strip('"'), ""):
            assert (await ask("/a", if_none_match=said)).status == 200
        assert shop.rendered == ["GET /a"]
        assert (await ask("/b", if_none_match="*")).status == 304

    run(Shop(lambda _: PlainTextResponse("the same", headers={"cache-control": "max-age=5"})), test)


def test_the_tag_is_of_the_body_unless_the_application_has_one() -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        tags = [(await ask(path)).headers["etag"] for path in ("/a", "/a?again", "/b", "/own")]
        assert tags[0] == tags[1] != tags[2]
        assert tags[3] == 'W/"mine"'
        assert (await ask("/own", if_none_match='"mine"')).status == 304

    def answer(request: Request) -> Response:
        return PlainTextResponse(request.url.path, headers={"ETag": 'W/"mine"'} if request.url.path == "/own" else {})

    run(Shop(answer), test)


@pytest.mark.parametrize("first", ["HEAD", "GET"])
def test_a_head_is_a_get_without_its_body(first: str) -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        answers = {method: await ask("/a", method) for method in (first, "GET", "HEAD")}
        assert answers["HEAD"].body == b""
        assert answers["HEAD"].headers["content-length"] == str(len(answers["GET"].body))
        assert answers["HEAD"].headers["etag"] == answers["GET"].headers["etag"]
        assert shop.rendered == ["GET /a"]

    run(Shop(), test)


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "POST"},
        {"authorization": "Basic eDp5"},
        {"cookie": "session=1"},
        {"cache_control": "no-store"},
        {"cache_control": "max-age=0, No-Store"},
        {"range": "bytes=0-1"},
        {"body": b"{}", "content_length": "2"},
        {"path": "/elsewhere"},
        {"path": "/items/1/more"},
    ],
    ids=str,
)
def test_requests_that_are_not_for_a_shared_cache_go_past_it(request_: dict[str, Any]) -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        kept = await ask("/items/1")
        passed = await ask(**{"path": "/items/1", **request_})
        assert "etag" not in passed.headers
        assert len(shop.rendered) == 2
        assert (await ask("/items/1")).body == kept.body

    run(Shop(paths=["/items/{item:int}"]), test)


@pytest.mark.parametrize(
    "headers",
    [
        {"cache-control": "no-store"},
        {"cache-control": "private, max-age=60"},
        {"cache-control": "No-Cache"},
        {"cache-control": "max-age=0"},
        {"cache-control": "max-age=60, s-maxage=0"},
        {"set-cookie": "a=b"},
        {"vary": "Accept-Language, Origin"},
        {"vary": "*"},
        {"content-type": "text/event-stream"},
    ],
    ids=str,
)
def test_responses_that_are_not_for_others_are_passed_through(headers: dict[str, str]) -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        for number, answer in enumerate(await twice(ask, "/a"), 1):
            assert (answer.status, answer.body) == (200, b"page %d" % number)
            assert "etag" not in answer.headers
            assert answer.headers.items() >= headers.items()
        head = await ask("/a", "HEAD")
        assert (head.body, head.headers["content-length"]) == (b"", "6")

    shop = Shop(lambda _: PlainTextResponse(f"page {len(shop.rendered)}", headers=headers), vary=["accept-language"])
    run(shop, test)


@pytest.mark.parametrize(
    "headers", [{"cache-control": "public, max-age=0, s-maxage=9"}, {"vary": "accept-language"}, {"vary": "Cookie"}]
)
def test_these_are_kept(headers: dict[str, str]) -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        await twice(ask, "/a")
        assert len(shop.rendered) == 1

    run(Shop(lambda _: PlainTextResponse("page", headers=headers), vary=["accept-language"], ignore=["cookie"]), test)


def test_only_the_wanted_statuses_are_kept() -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        for status, renders in ((200, 1), (404, 1), (500, 2), (204, 2)):
            shop.rendered.clear()
            first, again = await twice(ask, f"/{status}")
            assert first.status == again.status == status
            assert len(shop.rendered) == renders
        assert (await ask("/404", if_none_match="*")).status == 404

    run(Shop(lambda request: Response(status_code=int(request.url.path[1:])), statuses=(200, 404)), test)


def test_ignored_headers_are_taken_off_and_their_visitors_share_pages() -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        first = await ask("/a", cookie="tracker=1")
        assert first.body == b"None"
        assert (await ask("/a", cookie="tracker=2")).headers["age"] == "0"
        assert (await ask("/a", cookie="tracker=2", authorization="Basic eDp5")).body == b"tracker=2"

    run(Shop(lambda request: PlainTextResponse(str(request.headers.get("cookie"))), ignore=["Cookie"]), test)


def test_visitors_may_have_pages_of_their_own() -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        for name in ("ada", "bob", "ada"):
            answer = await ask("/a", authorization=name)
            assert answer.body == name.encode()
            assert answer.headers["vary"] == "authorization"
        assert len(shop.rendered) == 2

    run(Shop(lambda request: PlainTextResponse(request.headers["authorization"]), vary=["Authorization"]), test)


def test_the_application_does_not_see_what_the_visitor_has_already() -> None:
    def answer(request: Request) -> Response:
        return Response(status_code=304) if "if-none-match" in request.headers else PlainTextResponse("whole")

    async def test(shop: Shop, ask: Visitor) -> None:
        assert (await ask("/a", if_none_match='"x"')).body == b"whole"

    run(Shop(answer), test)


def test_many_who_ask_at_once_wait_for_one_rendering() -> None:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(0.01)
        return PlainTextResponse("page")

    async def test(shop: Shop, ask: Visitor) -> None:
        answers = await asyncio.gather(*[ask("/a", method) for method in ("GET", "HEAD") * 10])
        assert {answer.status for answer in answers} == {200}
        assert len(shop.rendered) == 1

    run(Shop(answer), test)


def test_who_waited_for_what_is_not_kept_asks_the_application() -> None:
    async def answer(request: Request) -> Response:
        number = len(shop.rendered)
        await asyncio.sleep(0.01)
        return PlainTextResponse(f"for {number}", headers={"cache-control": "private"})

    async def test(shop: Shop, ask: Visitor) -> None:
        answers = await asyncio.gather(*[ask("/a") for _ in range(5)])
        assert sorted(answer.body for answer in answers) == [b"for %d" % number for number in range(1, 6)]

    shop = Shop(answer)
    run(shop, test)


def test_one_visitors_leaving_ends_nobody_elses_page() -> None:
    gate = asyncio.Event()

    async def answer(request: Request) -> Response:
        await gate.wait()
        return PlainTextResponse("page")

    async def test(shop: Shop, ask: Visitor) -> None:
        first, second = [asyncio.create_task(ask("/a")) for _ in range(2)]
        await eventually(lambda: bool(shop.rendered))
        first.cancel()
        await asyncio.sleep(0.01)
        gate.set()
        assert (await second).body == b"page"
        assert len(shop.rendered) == 1

    run(Shop(answer), test)


def test_what_the_application_raises_reaches_all_who_wait() -> None:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(0.01)
        raise KeyError("no such item")

    async def test(shop: Shop, ask: Visitor) -> None:
        told = await asyncio.gather(*[ask("/a") for _ in range(3)], return_exceptions=True)
        assert [type(one) for one in told] == [KeyError] * 3
        assert len(shop.rendered) == 1

    run(Shop(answer), test)


def test_long_and_endless_responses_are_passed_through_as_they_come() -> None:
    closed: list[str] = []

    async def parts(path: str) -> Any:
        try:
            yield b"a" * 600
            yield b"b" * 600
            while path == "/endless":
                yield b"c"
                await asyncio.sleep(0.001)
            yield b"z"
        finally:
            closed.append(path)

    async def test(shop: Shop, ask: Visitor) -> None:
        for number in (1, 2):
            answer = await ask("/long")
            assert answer.body == b"a" * 600 + b"b" * 600 + b"z"
            assert "etag" not in answer.headers
            assert len(shop.rendered) == number
        seen: list[bytes] = []
        gone = asyncio.Event()
        asking = asyncio.create_task(ask("/endless", on_part=seen.append, gone=gone))
        await eventually(lambda: len(seen) > 5)
        gone.set()
        await asyncio.wait((asking,), timeout=5)
        assert closed == ["/long", "/long", "/endless"]
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        short = await ask("/short")
        assert (short.body, "etag" in short.headers) == (b"short", True)

    def answer(request: Request) -> Response:
        return (
            PlainTextResponse("short") if request.url.path == "/short" else StreamingResponse(parts(request.url.path))
        )

    run(Shop(answer, max_body=1000), test)


def test_a_length_that_is_told_ahead_is_believed() -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        assert (await twice(ask, "/a"))[1].body == b"x" * 2000
        assert len(shop.rendered) == 2

    run(Shop(lambda _: PlainTextResponse("x" * 2000), max_body=1000), test)


def test_tasks_after_the_response_are_run() -> None:
    done = asyncio.Event()

    async def after() -> None:
        await asyncio.sleep(0.01)
        done.set()

    async def test(shop: Shop, ask: Visitor) -> None:
        assert (await ask("/a")).body == b"page"
        await asyncio.wait_for(done.wait(), 5)

    run(Shop(lambda _: PlainTextResponse("page", background=BackgroundTask(after))), test)


def test_an_old_page_is_given_while_it_is_rendered_anew_in_the_background() -> None:
    async def test(shop: Shop, ask: Visitor) -> None:
        await ask("/a")
        shop.cache.advance("90s")
        assert (await ask("/a")).body.endswith(b" 1")
        await answered(lambda: ask("/a"), lambda told: told.body.endswith(b" 2"), what="made anew", within_s=5)
        assert len(shop.rendered) == 2
        # What it has become is not for others: who is given the old one meanwhile must not be sent it behind that.
        shop.answer = lambda _: PlainTextResponse("x", headers={"cache-control": "private"})
        shop.cache.advance("90s")

        def is_rendered(told: Answer) -> bool:
            assert told.body.endswith(b" 2")
            return len(shop.rendered) == 3

        # Who asks in the turn in which the last one ends does not begin the next.
        await answered(lambda: ask("/a"), is_rendered, what="rendered anew", within_s=5)

    run(Shop(stale_ttl="1h"), test)


def test_it_stands_beside_others_and_in_a_part_of_an_application() -> None:
    rendered: list[str] = []

    async def endpoint(request: Request) -> Response:
        rendered.append(request.url.path)
        return PlainTextResponse("a" * 2000)

    app = Starlette(
        routes=[
            Mount("/shop", routes=[Route("/items/{item}", endpoint), Route("/basket", endpoint)],
                  middleware=[Middleware(CacheResponses, ttl=60, paths=["/items/{item}"], compress_above="1KiB")]),
            Route("/items/{item}", endpoint),
        ],
        middleware=[Middleware(GZipMiddleware)],
        lifespan=lifespan("mem://", timeout=1),
    )  # fmt: skip

    async def main() -> None:
        for _ in range(2):  # at each start anew
            rendered.clear()
            async with visiting(app) as ask:
                for path in ("/shop/items/1", "/shop/basket", "/items/1"):
                    for answer in await twice(ask, path, accept_encoding="gzip"):
                        assert gzip.decompress(answer.body) == b"a" * 2000
            assert rendered == ["/shop/items/1", *["/shop/basket"] * 2, *["/items/1"] * 2]

    asyncio.run(main(), debug=True)


def test_without_an_open_cache_it_is_said_what_is_missing() -> None:
    async def main() -> None:
        with pytest.raises(zmcache.LifecycleError, match="lifespan="):
            await Visitor(Shop().app, {})("/a")

    asyncio.run(main())


def test_a_cache_that_is_away_is_an_empty_one() -> None:
    rendered: list[str] = []

    async def endpoint(request: Request) -> Response:
        rendered.append(request.url.path)
        return PlainTextResponse("page")

    app = Starlette(
        routes=[Route("/", endpoint)],
        middleware=[Middleware(CacheResponses, ttl=60)],
        lifespan=lifespan(f"127.0.0.1:{free_port()}", on_error="miss", connect_timeout=0.05),
    )

    async def main() -> None:
        async with visiting(app) as ask:
            assert [answer.body for answer in await twice(ask, "/")] == [b"page"] * 2
        assert len(rendered) == 2

    asyncio.run(main())
