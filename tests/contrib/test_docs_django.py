"""The example of docs/django.md gives what is said behind it, on three nodes."""

from __future__ import annotations

import ast
import asyncio

import pytest
from django_project import caching_in
from docs_session import Page

from zmcache.contrib.django import close_connections

PAGE = Page("django.md")


def test_each_example_gives_what_is_said_behind_it(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = _said("CACHES").values()
    entry["LOCATION"] = cluster
    with caching_in(cluster, CACHES={"default": entry}, SESSION_ENGINE=_said("SESSION_ENGINE")):
        assert asyncio.run(PAGE.session(monkeypatch), debug=True) == PAGE.said > 15
    close_connections()


def _said(name: str):  # type: ignore[no-untyped-def]
    """What the page sets so."""
    for statement in PAGE.statements():
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return ast.literal_eval(statement.value)
    raise AssertionError(name)


def test_each_link_leads_somewhere() -> None:
    assert PAGE.broken_links() == []
