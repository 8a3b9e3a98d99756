"""Applications of Starlette and of FastAPI as people run them: uvicorn with several workers, each a process, on a cluster of three nodes."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from eventually import eventually_blocking

COMMON = """
import asyncio, os
from zmcache.contrib.starlette import CacheResponses, lifespan

async def render(item):
    with open(os.environ["RENDERED"], "a") as file:
        print(item, os.getpid(), file=file)
    await asyncio.sleep(0.3)
    return {"item": item, "by": os.getpid()}

opened = lifespan(os.environ["NODES"], timeout=10)
caching = {"paths": ["/items/{item}"], "ttl": "1m", "vary": ["accept-language"], "ignore": ["cookie"]}
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

async def item(request):
    return JSONResponse(await render(request.path_params["item"]))

async def process(request):
    await request.state.zmcache.group("other").set("asked", b"1")
    return JSONResponse(os.getpid())

app = Starlette(
    routes=[Route("/items/{item:int}", item), Route("/process", process)],
    middleware=[Middleware(CacheResponses, **caching)],
    lifespan=opened,
)
"""

FASTAPI = """
from fastapi import FastAPI, Request
from pydantic import BaseModel

class Item(BaseModel):
    item: int
    by: int

app = FastAPI(lifespan=opened)
app.add_middleware(CacheResponses, **caching)

@app.get("/items/{item}")
async def item(item: int) -> Item:
    return await render(item)

@app.get("/process")
async def process(request: Request) -> int:
    await request.state.zmcache.group("other").set("asked", b"1")
    return os.getpid()
"""


class Site:
    """It answers at a port of this machine, from two processes."""

    def __init__(self, port: int, folder: Path) -> None:
        self._port, self._rendered = port, folder / "rendered"

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Over a connection of its own, so that either process may answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def rendered(self) -> list[str]:
        return self._rendered.read_text().splitlines() if self._rendered.exists() else []

    def processes(self) -> set[bytes]:
        """Of those that answer forty requests."""
        with ThreadPoolExecutor(8) as pool:
            return {body for _, _, body in pool.map(lambda _: self.ask("/process"), range(40))}


@contextlib.contextmanager
def site(program: str, nodes: str, folder: Path) -> Iterator[Site]:
    (folder / "site_of_a_test.py").write_text(COMMON + program)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        command = [sys.executable, "-m", "uvicorn", "site_of_a_test:app", "--workers", "2", "--log-level", "warning"]
        environment = {**os.environ, "NODES": nodes, "RENDERED": str(folder / "rendered")}
        said = folder / "said"
        with said.open("wb") as out:
            server = subprocess.Popen(
                [*command, "--fd", str(listening.fileno())],
                cwd=folder, env=environment, pass_fds=(listening.fileno(),), stdout=out, stderr=out,
            )  # fmt: skip
        try:
            made = Site(listening.getsockname()[1], folder)
            eventually_blocking(lambda: len(made.processes()) == 2, said.read_text, within_s=30)
            yield made
        finally:
            server.terminate()
            try:
                server.wait(15)
            finally:
                server.kill()
                server.wait()
        # Neither an error of the application's, nor what was left open.
        assert said.read_text() == ""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("program", [STARLETTE, FASTAPI], ids=["starlette", "fastapi"])
def test_a_page_is_rendered_once_for_all_processes(program: str, cluster: str, tmp_path: Path) -> None:
    with site(program, cluster, tmp_path) as shop, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: shop.ask("/items/7", cookie=f"visitor={number}"), range(40)))
        assert {(status, body) for status, _, body in answers} == {(200, answers[0][2])}
        (rendered,) = shop.rendered()
        assert answers[0][2] == b'{"item":7,"by":%s}' % rendered.split()[1].encode()

        etag = answers[0][1]["etag"]
        assert {headers["etag"] for _, headers, _ in answers} == {etag}
        assert shop.ask("/items/7", if_none_match=etag)[::2] == (304, b"")
        head = shop.ask("/items/7", "HEAD")
        assert (head[0], head[1]["content-length"], head[2]) == (200, str(len(answers[0][2])), b"")
        assert int(head[1]["age"]) < 60
        assert len(shop.rendered()) == 1

        assert shop.ask("/items/7", accept_language="de")[0] == 200
        assert shop.ask("/items/7", authorization="Basic eDp5")[0] == 200
        assert len(shop.rendered()) == 3
        assert shop.ask("/items/x")[0] in (404, 422)
        assert shop.ask("/nothing")[0] == 404
