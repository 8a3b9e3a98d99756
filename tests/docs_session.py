"""A page of docs, its examples run in order in one session, as they can be typed: each gives what the comment behind it says.

``# -> value``: the repr of what the call gives; ``# raises Name``: the error. A failure's traceback points to the line in the page.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
_SAYS = re.compile(r".*  # (->|raises) (.*)")
_AT_THE_PROMPT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class Page:
    """One of docs/. ``replacing``: what of its text has to be something else where it is run, such as an address."""

    def __init__(self, name: str, replacing: Mapping[str, str] = MappingProxyType({})) -> None:
        self.path = DOCS / name
        self.text = self.path.read_text()
        for said, meant in replacing.items():
            assert said in self.text
            self.text = self.text.replace(said, meant)
        self.lines = self.text.splitlines()
        self.said = sum(_SAYS.fullmatch(line) is not None for line in self.lines)
        """How many results are said."""

    def statements(self) -> list[ast.stmt]:
        """Of all blocks of Python, each numbered by its line in the page."""
        found: list[ast.stmt] = []
        for block in re.finditer(r"```python\n(.*?)```", self.text, re.DOTALL):
            above = self.text[: block.start(1)].count("\n")
            found += [ast.increment_lineno(statement, above) for statement in ast.parse(block[1]).body]
        return found

    async def session(self, monkeypatch: pytest.MonkeyPatch, **names: object) -> int:
        """How many results were held against what the page says. ``names``: what is there from the start."""
        prompt = ModuleType("zmcache_docs_prompt")  # a module that is there, for the classes that the page makes
        monkeypatch.setitem(sys.modules, prompt.__name__, prompt)
        vars(prompt).update(names)
        held = 0
        for statement in self.statements():
            assert statement.end_lineno is not None
            says = _SAYS.fullmatch(self.lines[statement.end_lineno - 1])
            where = f"{self.path.name}:{statement.lineno}"
            if says is None:
                await self._run(statement, vars(prompt))
            elif says[1] == "raises":
                with pytest.raises(Exception) as raised:
                    await self._run(statement, vars(prompt))
                assert raised.type.__name__ == says[2], where
                held += 1
            else:
                assert repr(await self._run(statement, vars(prompt))) == says[2], where
                held += 1
        return held

    async def _run(self, statement: ast.stmt, names: dict[str, object]) -> object:
        """What it gives, where it is an expression."""
        code: Any
        if isinstance(statement, ast.Expr):
            code = compile(ast.Expression(statement.value), str(self.path), "eval", _AT_THE_PROMPT, dont_inherit=True)
        else:
            code = compile(ast.Module([statement], []), str(self.path), "exec", _AT_THE_PROMPT, dont_inherit=True)
        given = eval(code, names)
        return await given if inspect.iscoroutine(given) else given

    def broken_links(self) -> list[str]:
        """Those that lead nowhere."""
        headings = {
            "#" + re.sub(r"[^a-z -]", "", line[3:].lower()).replace(" ", "-")
            for line in self.lines
            if line[:3] == "## "
        }
        links = re.findall(r"\]\(([^)]+)\)", self.text)
        return [link for link in links if link not in headings and not (DOCS / link.partition("#")[0]).is_file()]
