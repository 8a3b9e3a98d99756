"""Where people use it: adapters to other frameworks, each an extra of its own.

django/      a cache backend for Django (`zmcache[django]`)
starlette/   cached responses for Starlette and FastAPI (`zmcache[starlette]`)

They make the calls that any program makes; nothing of zmcache knows them.
"""
