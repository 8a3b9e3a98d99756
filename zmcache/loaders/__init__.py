"""What a config names as a loader, made into one interface: `BatchLoader`.

    base        the interface, and the border to other people's code: whatever they raise becomes `LoaderFailed`
    functions   a Python function: sync or async, of one key or of a batch; given itself or by import path
    threads     where sync functions run: daemon threads of the loader's own
    sql         a database URL and a query; needs the extra zmcache[sql]

A loader knows nothing of groups, expiry or coalescing: it is given keys and returns what it found. Whether the values
may be stored is the group's to judge.
"""

from zmcache.loaders.base import BatchLoader
from zmcache.loaders.functions import callable_loader, import_loader
from zmcache.loaders.sql import sql_loader

__all__ = ["BatchLoader", "callable_loader", "import_loader", "sql_loader"]
