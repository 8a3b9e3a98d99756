"""What the generator writes is what docs/loadgen-result.schema.json describes, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from result_samples import eventful, measured, run
from zmcache_loadgen.load.plan import Closed, Open
from zmcache_loadgen.workloads import (
    HotSet,
    Latest,
    Sequential,
    Synthetic,
    TraceWorkload,
    Uniform,
    parse_csv_columns,
    parse_expiry,
    ycsb,
)

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "loadgen-result.schema.json").read_text(encoding="utf-8")
)
ONE_RUN = Draft202012Validator({"$ref": "#/$defs/result", "$defs": SCHEMA["$defs"]})


@pytest.mark.parametrize("rate", [None, 2000.0], ids=["closed", "open"])
@pytest.mark.parametrize(("target", "verify"), [("dict", False), ("dict", True), ("noop", False)])
def test_a_run_is_what_the_schema_describes(target: str, rate: float | None, verify: bool) -> None:
    ONE_RUN.validate(measured(target, rate=rate, verify=verify))


@pytest.mark.parametrize("distribution", [Uniform(), Latest(0.99), Sequential(), HotSet(0.1, 0.9, (), None, 50)])
def test_every_distribution_is_what_the_schema_describes(distribution: Any) -> None:
    workload = Synthetic(
        keys=100, distribution=distribution, writes=0.1, deletes=0.1, batch=3, expiry=parse_expiry("5s-9s")
    )
    ONE_RUN.validate(run(workload, Closed(callers=2), requests=60))


@pytest.mark.parametrize("letter", "abcdf")
def test_every_mix_of_ycsb_is_what_the_schema_describes(letter: str) -> None:
    ONE_RUN.validate(run(ycsb(letter, keys=100, seed=3), Closed(callers=2), requests=60))


def test_a_trace_at_its_recorded_pace_is_what_the_schema_describes(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("when,what\n0,a\n5,b\n12,a\n", encoding="utf-8")
    columns = parse_csv_columns("time=when,key=what", "ms")
    workload = TraceWorkload(path=path, form="csv", csv_columns=columns, pace=1.0)
    result = run(workload, Open(rate=None, arrivals="recorded"))
    ONE_RUN.validate(result)
    assert (result["seed"], result["loop"]["rate"]) == (None, None)


def test_an_eventful_run_is_what_the_schema_describes() -> None:
    ONE_RUN.validate(eventful())


def test_a_file_holds_one_run_or_several() -> None:
    either = Draft202012Validator(SCHEMA)
    Draft202012Validator.check_schema(SCHEMA)
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
