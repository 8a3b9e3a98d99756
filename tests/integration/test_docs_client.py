"""The examples of docs/client.md give what is said behind them."""

from __future__ import annotations

import asyncio

import pytest
from docs_session import Page

PAGE = Page("client.md")


@pytest.mark.filterwarnings("error")
def test_each_example_gives_what_is_said_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asyncio.run(PAGE.session(monkeypatch), debug=True) == PAGE.said > 50


def test_each_link_leads_somewhere() -> None:
    assert PAGE.broken_links() == []
