"""Django's own tests of sessions over this backend; laid beside them in Django's sources and run by Django. The address is in the environment."""

from __future__ import annotations

import os

from django.test import override_settings
from sessions_tests import tests

BACKEND = {"BACKEND": "zmcache.contrib.django.ZmcacheCache", "LOCATION": os.environ["ZMCACHE_TEST_ADDRESS"]}


@override_settings(CACHES={"default": BACKEND})
class InACache(tests.CacheSessionTests):
    pass


@override_settings(CACHES={"default": BACKEND})
class InACacheAndADatabase(tests.CacheDBSessionTests):
    pass
