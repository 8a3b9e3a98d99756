"""The JSON schema of the files, for editors: made from the model, so that it says what the reader says.

``python -m zmcache.config.schema`` prints it; configs/zmcache.schema.json holds it, and a test keeps the two equal.
Descriptions are the docstrings below the model's fields, read from its source. What concerns several settings at once
is beyond a schema; `zmcache check` sees that too.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
from typing import Any, get_args, get_origin

import msgspec

from zmcache.config.build import fields_of, rule_of, without_none
from zmcache.config.model import ClusterConfig, NodeConfig
from zmcache.config.rules import Rule, Section, Written


def json_schema() -> dict[str, Any]:
    """The schema of both kinds of files, as JSON objects (draft 2020-12)."""
    definitions: dict[str, Any] = {}
    kinds = [_reference(NodeConfig, definitions), _reference(ClusterConfig, definitions)]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "zmcache node or cluster file",
        "oneOf": kinds,
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text() -> str:
    """The schema as it stands in configs/zmcache.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _reference(section: type[Section], definitions: dict[str, Any]) -> dict[str, Any]:
    name = section.__name__.strip("_").removesuffix("Section")
    if name not in definitions:
        definitions[name] = {}  # named before it is made, in case a section ever holds itself
        known = fields_of(section)
        definitions[name] = {
            "type": "object",
            "description": inspect.cleandoc(section.__doc__ or ""),
            "properties": {key: _setting(section, info, kind, definitions) for key, (info, kind) in known.items()},
            "required": [key for key, (info, _) in known.items() if info.required],
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}


def _setting(
    section: type[Section], info: msgspec.structs.FieldInfo, full_kind: Any, definitions: dict[str, Any]
) -> dict[str, Any]:
    kind, optional = without_none(full_kind)
    schema = _kind(kind, definitions)
    # A whole section may be left empty, all of its lines commented out.
    if optional or "$ref" in schema:
        schema = {"anyOf": [schema, {"type": "null"}]}
    if info.name in (texts := _descriptions(section)):
        schema = {"description": texts[info.name], **schema}
    rule = rule_of(kind)
    if isinstance(rule, Rule) and not info.required and (info.default is not None or optional):
        schema = {**schema, "default": None if info.default is None else rule.show(info.default)}
    return schema


def _kind(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    rule = rule_of(kind)
    if isinstance(rule, Rule):
        return dict(rule.schema)
    if isinstance(rule, Written):
        reference = _reference(rule.section, definitions)
        return {"allOf": [reference], **rule.schema} if rule.schema else reference
    if get_origin(kind) is dict:
        name_kind, value_kind = get_args(kind)
        names = rule_of(name_kind)
        assert isinstance(names, Rule)
        value = {"anyOf": [_kind(value_kind, definitions), {"type": "null"}]}
        return {
            "type": "object",
            "propertyNames": dict(names.schema),
            "additionalProperties": value,
            "minProperties": 1,
        }
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _kind(get_args(kind)[0], definitions), "minItems": 1}
    return _reference(kind, definitions)


@functools.cache
def _descriptions(section: type[Section]) -> dict[str, str]:
    """The docstring below each field, from the source."""
    tree = ast.parse(inspect.getsource(section)).body[0]
    assert isinstance(tree, ast.ClassDef)
    texts = {}
    for item, after in zip(tree.body, tree.body[1:], strict=False):
        match item, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split()).replace("None:", "null:")
    return texts


if __name__ == "__main__":
    print(schema_text(), end="")
