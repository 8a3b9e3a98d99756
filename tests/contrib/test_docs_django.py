"""The examples of docs/django.md give what is said behind them, on three nodes."""

from __future__ import annotations

import ast
import asyncio

import pytest
from django_project import caching_in
from docs_session import Page

from zmcache.contrib.django import close_connections


def test_each_example_gives_what_is_said_behind_it(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page("django.md", replacing={"zmcache://10.0.0.1:7401,10.0.0.2:7401": cluster})
    settings = {
        ast.unparse(statement.targets[0]): ast.literal_eval(statement.value)
        for statement in page.statements()
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]).isupper()
    }
    assert settings.keys() == {"CACHES", "SESSION_ENGINE"}
    with caching_in(cluster, **settings):
        assert asyncio.run(page.session(monkeypatch), debug=True) == page.said > 15
    close_connections()


def test_each_link_leads_somewhere() -> None:
    assert Page("django.md").broken_links() == []
