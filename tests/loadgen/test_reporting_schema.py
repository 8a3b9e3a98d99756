"""What the generator writes is what docs/loadgen-result.schema.json describes, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from result_samples import eventful, measured

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "loadgen-result.schema.json").read_text(encoding="utf-8")
)
ONE_RUN = Draft202012Validator({"$ref": "#/$defs/result", "$defs": SCHEMA["$defs"]})


@pytest.mark.parametrize("rate", [None, 2000.0], ids=["closed", "open"])
@pytest.mark.parametrize(("target", "verify"), [("dict", False), ("dict", True), ("noop", False)])
def test_a_run_is_what_the_schema_describes(target: str, rate: float | None, verify: bool) -> None:
    ONE_RUN.validate(measured(target, rate=rate, verify=verify))


def test_an_eventful_run_is_what_the_schema_describes() -> None:
    ONE_RUN.validate(eventful())


def test_a_file_holds_one_run_or_several() -> None:
    either = Draft202012Validator(SCHEMA)
    either.validate(measured())
    either.validate({"schema": 2, "runs": [measured(), measured(rate=2000.0)]})
    with pytest.raises(ValidationError):
        either.validate({"schema": 2, "runs": []})


@pytest.mark.parametrize("section", ["", "loop", "target", "workload", "generator", "loads", "errors", "tiers"])
def test_a_field_that_the_schema_does_not_describe_is_refused(section: str) -> None:
    result = measured(rate=2000.0)
    (result[section] if section else result)["surprise"] = 1
    with pytest.raises(ValidationError):
        ONE_RUN.validate(result)


def test_a_field_that_is_missing_is_refused() -> None:
    for name in measured():
        result = measured()
        del result[name]
        with pytest.raises(ValidationError):
            ONE_RUN.validate(result)


def test_every_field_is_described_and_nothing_else_is_let_in() -> None:
    for where, part in _parts(SCHEMA, ""):
        if part.get("type") == "object":
            assert part.get("additionalProperties") is not None, where
        for name, field in part.get("properties", {}).items():
            assert field.get("description", "").strip().endswith("."), f"{where}/{name}"


def _parts(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield where, schema
        for name, each in schema.items():
            yield from _parts(each, f"{where}/{name}")
    elif isinstance(schema, list):
        for each in schema:
            yield from _parts(each, where)
