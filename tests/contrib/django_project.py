"""A Django project, for tests in this process: importing it sets Django up. Its cache is what a test says it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import django
from django.conf import settings
from django.core.cache import caches
from django.core.management import call_command
from django.db import connections as databases
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.views.decorators.cache import cache_page

from zmcache.contrib.django import ZmcacheCache

BACKEND = "zmcache.contrib.django.ZmcacheCache"
settings.configure(
    SECRET_KEY="of the tests, and as long as such a key has to be",
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.sessions"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()
rendered: list[str] = []


@cache_page(60)
def page(request: HttpRequest) -> HttpResponse:
    rendered.append(request.get_full_path())
    return HttpResponse(f"page {len(rendered)}")


def visits(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(request.session["visits"])


urlpatterns = [path("page", page), path("visits", visits)]


def backend(address: str, **params: Any) -> ZmcacheCache:
    return ZmcacheCache(address, params)


@contextlib.contextmanager
def caching_in(address: str, **settings: Any) -> Iterator[None]:
    """Its default cache is there meanwhile, and its database is a fresh one."""
    entry = {"BACKEND": BACKEND, "LOCATION": address}
    with override_settings(**{"CACHES": {"default": entry}, **settings}):
        call_command("migrate", verbosity=0)
        try:
            yield
            caches["default"].clear()
        finally:
            databases.close_all()
