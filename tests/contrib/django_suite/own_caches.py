"""Django's own tests of caches over this backend; laid beside them in Django's sources and run by Django. The address is in the environment.

What RedisCacheTests adds to the tests of all backends is of redis alone. Three of those of all skip themselves, since `cull` and `zero_cull` are
left out: a bound on the number of entries is nothing that a group has, which has a budget of bytes.
"""

from __future__ import annotations

import os

from cache import tests
from django.test import TestCase, override_settings

BACKEND = {"BACKEND": "zmcache.contrib.django.ZmcacheCache", "LOCATION": os.environ["ZMCACHE_TEST_ADDRESS"]}
OTHER = {**BACKEND, "OPTIONS": {"group": "other"}}
DEFAULT = {"default": BACKEND}


@override_settings(CACHES=tests.caches_setting_for_tests(base=BACKEND, exclude={"cull", "zero_cull"}))
class OfAllBackends(tests.BaseCacheTests, TestCase):
    pass


@override_settings(CACHES=DEFAULT)
class Utils(tests.CacheUtils):
    pass


@override_settings(CACHES={"default": {**BACKEND, "KEY_PREFIX": "cacheprefix"}})
class PrefixedUtils(tests.PrefixedCacheUtils):
    pass


@override_settings(CACHES=DEFAULT)
class Head(tests.CacheHEADTest):
    pass


@override_settings(CACHES=DEFAULT)
class I18n(tests.CacheI18nTest):
    pass


@override_settings(CACHES={"default": {**BACKEND, "KEY_PREFIX": "cacheprefix"}})
class PrefixedI18n(tests.PrefixedCacheI18nTest):
    pass


@override_settings(CACHES={"default": BACKEND, "other": {**OTHER, "TIMEOUT": "1"}})
class Middleware(tests.CacheMiddlewareTest):
    pass


@override_settings(CACHES=DEFAULT)
class TemplateResponses(tests.TestWithTemplateResponse):
    pass


@override_settings(CACHES={"default": BACKEND})
class Handler(tests.CacheHandlerTest):
    pass
