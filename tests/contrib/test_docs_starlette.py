"""The examples of docs/starlette.md give what is said behind them, on three nodes."""

from __future__ import annotations

import asyncio

import pytest
from docs_session import Page


def test_each_example_gives_what_is_said_behind_it(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page("starlette.md", replacing={"zmcache://10.0.0.1:7401,10.0.0.2:7401": cluster})
    assert asyncio.run(page.session(monkeypatch), debug=True) == page.said > 7


def test_each_link_leads_somewhere() -> None:
    assert Page("starlette.md").broken_links() == []
