"""What can be put under load, all of it behind one small interface.

    base.py            the interface
    zmcache_client.py  a group of a running cluster, through the client library
    embedded.py        a group of a node in this process
    redis.py           a redis server, through redis.asyncio
    memcached.py       a memcached server, through aiomcache
    plain.py           a dict, and nothing at all: what the loop itself can do
    aside.py           any of them, filled by the one who asks
    opening.py         from what stands behind ``--target`` to an open target

Each is opened as a good user of it would open it, and does what such a user would do and no more: what stands in a
target is measured with it.
"""
