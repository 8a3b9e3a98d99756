"""The examples of docs/client.md, run in order in one session, as they can be typed: each gives what the comment behind it says.

``# -> value``: the repr of what the call gives; ``# raises Name``: the error. A failure's traceback points to the line in the page.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
LINES = PAGE.read_text().splitlines()
_SAYS = re.compile(r".*  # (->|raises) (.*)")
_AT_THE_PROMPT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def statements() -> list[ast.stmt]:
    """Of all blocks of the page, each numbered by its line there."""
    found: list[ast.stmt] = []
    for block in re.finditer(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        above = PAGE.read_text()[: block.start(1)].count("\n")
        found += [ast.increment_lineno(statement, above) for statement in ast.parse(block[1]).body]
    return found


async def run(statement: ast.stmt, names: dict[str, object]) -> object:
    """What it gives, where it is an expression."""
    code: Any
    if isinstance(statement, ast.Expr):
        code = compile(ast.Expression(statement.value), str(PAGE), "eval", _AT_THE_PROMPT, dont_inherit=True)
    else:
        code = compile(ast.Module([statement], []), str(PAGE), "exec", _AT_THE_PROMPT, dont_inherit=True)
    given = eval(code, names)
    return await given if inspect.iscoroutine(given) else given


async def session(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many results were held against what the page says."""
    prompt = ModuleType("zmcache_docs_prompt")  # a module that is there, for the classes that the page makes
    monkeypatch.setitem(sys.modules, prompt.__name__, prompt)
    names = vars(prompt)
    held = 0
    for statement in statements():
        assert statement.end_lineno is not None
        says = _SAYS.fullmatch(LINES[statement.end_lineno - 1])
        where = f"{PAGE.name}:{statement.lineno}"
        if says is None:
            await run(statement, names)
        elif says[1] == "raises":
            with pytest.raises(Exception) as raised:
                await run(statement, names)
            assert raised.type.__name__ == says[2], where
            held += 1
        else:
            assert repr(await run(statement, names)) == says[2], where
            held += 1
    return held


@pytest.mark.filterwarnings("error")
def test_each_example_gives_what_is_said_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = sum(_SAYS.fullmatch(line) is not None for line in LINES)
    assert asyncio.run(session(monkeypatch), debug=True) == said > 50


def test_each_link_leads_somewhere() -> None:
    headings = {
        "#" + re.sub(r"[^a-z -]", "", line[3:].lower()).replace(" ", "-") for line in LINES if line[:3] == "## "
    }
    for link in re.findall(r"\]\(([^)]+)\)", PAGE.read_text()):
        assert link in headings or (PAGE.parent / link).is_file(), link
