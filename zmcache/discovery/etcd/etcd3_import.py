"""Makes the package etcd3 importable on today's protobuf, leaving the host program's protobuf as it was.

etcd3 0.12 ships ``*_pb2.py`` modules written by a protoc of 2019; protobuf 4 and later refuse to import them. The
descriptions that those modules carry, serialized, are as good as ever, though. So, before etcd3 is first imported:

1. read the sources of the three modules and take the ``serialized_pb`` literal out of each with `ast` (nothing is run);
2. add them to a `DescriptorPool` of our own. The default pool is one name space for the whole process: a host that has
   an ``rpc.proto`` or a ``kv.proto`` of its own would collide with etcd's there;
3. build the message classes from that pool, put them into modules of the expected names, and those into `sys.modules`;
4. import etcd3, which finds them there.

No environment variable is set and the default pool is not touched. An etcd3 that somebody already imported is used as
it is. What was put into `sys.modules` is taken out again when anything fails.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from zmcache.errors import DiscoveryError

_PACKAGE = "etcd3.etcdrpc"
_FILES = ("kv", "auth", "rpc")
"""In the order in which they import one another."""

_lock = threading.Lock()


def load_etcd3() -> Any:
    """The package etcd3, imported. Safe from any thread and any number of times; raises `DiscoveryError`."""
    with _lock:
        present = sys.modules.get("etcd3")
        if present is not None and f"{_PACKAGE}.rpc_pb2" in sys.modules:
            return present
        try:
            return _import_with(_message_modules())
        except ImportError as exc:
            raise DiscoveryError(f"the package etcd3 cannot be imported: {exc}") from exc


def _import_with(modules: dict[str, ModuleType]) -> ModuleType:
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        etcd3 = importlib.import_module("etcd3")
        package = importlib.import_module(_PACKAGE)
    except BaseException:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
        raise
    for name, module in modules.items():
        setattr(package, name.rpartition(".")[2], module)
    return etcd3


def _message_modules() -> dict[str, ModuleType]:
    """The modules that etcd3 expects to import, built from a pool of our own."""
    # Imported here and by name: a program that never starts an EtcdDiscovery pays for none of it.
    descriptor_pool = importlib.import_module("google.protobuf.descriptor_pool")
    pool = descriptor_pool.DescriptorPool()
    modules = {}
    for stem, blob in _serialized_files():
        pool.AddSerializedFile(blob)
        name = f"{_PACKAGE}.{stem}_pb2"
        module = ModuleType(name, f"Messages of etcd's {stem}.proto, built by zmcache.")
        module.__dict__.update(_contents(pool.FindFileByName(f"{stem}.proto"), pool))
        modules[name] = module
    return modules


def _contents(file: Any, pool: Any) -> dict[str, Any]:
    """What protoc would have written for ``file``, as far as etcd3 uses it: messages, enums and the enums' values."""
    wrapper = importlib.import_module("google.protobuf.internal.enum_type_wrapper")
    factory = importlib.import_module("google.protobuf.message_factory")
    # GetMessageClass came with protobuf 4.22; MessageFactory went with 5. Unlike protobuf's own builder, neither
    # enters the classes into the symbol database of the default pool.
    message_class = getattr(factory, "GetMessageClass", None) or factory.MessageFactory(pool).GetPrototype
    found: dict[str, Any] = {"DESCRIPTOR": file}
    for name, enum in file.enum_types_by_name.items():
        found[name] = wrapper.EnumTypeWrapper(enum)
        found.update((value.name, value.number) for value in enum.values)
    for name, message in file.message_types_by_name.items():
        found[name] = message_class(message)
    return found


def _serialized_files() -> Iterator[tuple[str, bytes]]:
    package = importlib.util.find_spec("etcd3")
    if package is None or not package.submodule_search_locations:
        raise DiscoveryError("the package etcd3 is not installed: pip install etcd3")
    folders = [f"{folder}/etcdrpc" for folder in package.submodule_search_locations]
    for stem in _FILES:
        name = f"{stem}_pb2"
        spec = importlib.machinery.PathFinder.find_spec(name, folders)
        source = getattr(spec.loader, "get_source", lambda _: None)(name) if spec else None
        if source is None:
            raise DiscoveryError(f"this version of the package etcd3 has no source of {_PACKAGE}.{name}")
        yield stem, _serialized_pb(name, source)


def _serialized_pb(name: str, source: str) -> bytes:
    """The literal in ``serialized_pb=_b('...')``; ``_b`` encodes as Latin-1, byte for byte."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.keyword) or node.arg != "serialized_pb":
            continue
        literal = node.value.args[0] if isinstance(node.value, ast.Call) and node.value.args else node.value
        if isinstance(literal, ast.Constant) and isinstance(literal.value, bytes):
            return literal.value
        if isinstance(literal, ast.Constant) and isinstance(literal.value, str):
            return literal.value.encode("latin-1")
    raise DiscoveryError(f"this version of the package etcd3 keeps no serialized description in {name}")
