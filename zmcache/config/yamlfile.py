"""YAML text to a plain mapping, safely, and refusing a key that stands twice.

PyYAML lets the last of two equal keys win in silence; a second `items:` among the groups would undo the first one. So
the composed tree is checked before it is constructed, where paths and line numbers are still known. A merged key
(``<<``) may be overridden, as YAML says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from zmcache.core.units import found
from zmcache.errors import ConfigError

MAX_BYTES = 4 * 2**20
"""No config comes near it; a path to something else (a device, a database) is noticed before it is read whole."""


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, less the silence about duplicate keys."""

    def construct_document(self, node: yaml.Node) -> object:
        _refuse_duplicates(node, "", set())
        return super().construct_document(node)


class _DuplicateKey(Exception):
    def __init__(self, path: str, first: int, second: int) -> None:
        super().__init__(path)
        self.path, self.first, self.second = path, first, second


def _refuse_duplicates(node: yaml.Node, path: str, seen: set[int]) -> None:
    if id(node) in seen:  # an alias; it may even hold itself
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _refuse_duplicates(item, f"{path}[{index}]", seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            inner = f"{path}.{key.value}" if path else str(key.value)
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                if (key.tag, key.value) in lines:
                    raise _DuplicateKey(inner, lines[key.tag, key.value], line)
                lines[key.tag, key.value] = line
            _refuse_duplicates(value, inner, seen)


def read_file(path: str | Path) -> str:
    """The text of a config file. Raises `ConfigError` when it cannot be read or is no text."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"expected a config file, found more than {MAX_BYTES} bytes", file=str(path))
        return data.decode()
    except OSError as exc:
        raise ConfigError(f"expected a readable file, found: {exc.strerror or exc}", file=str(path)) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"expected UTF-8 text, found other bytes at byte {exc.start}", file=str(path)) from exc


def parse_mapping(text: str, *, file: str = "") -> dict[str, object]:
    """The one mapping in a YAML text. Raises `ConfigError` for bad YAML (with its place) and for what is no mapping."""
    try:
        data = yaml.load(text, Loader=_StrictLoader)  # a SafeLoader
    except _DuplicateKey as exc:
        raise ConfigError(
            f"expected each name once, found it in line {exc.first} and in line {exc.second}", file=file, path=exc.path
        ) from None
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ConfigError(
            f"expected YAML, found: {' '.join(str(exc.problem or exc.context).split())}{where}", file=file
        ) from exc
    except RecursionError as exc:
        raise ConfigError("expected YAML, found more levels than are read", file=file) from exc
    except (yaml.YAMLError, ValueError, AttributeError, TypeError) as exc:
        # A scalar that looks like a date and is none, or is called one by a tag; a number of thousands of digits.
        raise ConfigError(f"expected YAML, found: {' '.join(str(exc).split())}", file=file) from exc
    if not isinstance(data, Mapping):
        raise ConfigError(f"expected a mapping of settings, found {found(data)}", file=file)
    return dict(data)
