from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from pydantic import BaseModel

from tradewind.spec.pipeline import Pipeline
from tradewind.spec.schema import json_schema, overlay_schema


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(json_schema())


def as_json(text: str) -> Any:
    """What an editor sees: dates are text in its YAML."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def test_the_schema_in_docs_is_current(project: Path) -> None:
    written = (project / "docs" / "pipeline.schema.json").read_text(encoding="utf-8")

    assert json.loads(written) == json_schema(), "run: tradewind schema > docs/pipeline.schema.json"


def test_the_schema_of_overlays_in_docs_is_current(project: Path) -> None:
    written = (project / "docs" / "overlay.schema.json").read_text(encoding="utf-8")

    assert json.loads(written) == overlay_schema(), "run: tradewind schema --overlay > docs/overlay.schema.json"


def test_the_example_fits_the_schema_that_its_first_line_names(project: Path) -> None:
    path = project / "dags" / "flight_delay.yaml"
    text = path.read_text(encoding="utf-8")
    named = path.parent / text.splitlines()[0].rpartition("$schema=")[2]
    example = Draft202012Validator(json.loads(named.read_text(encoding="utf-8")))

    example.validate(as_json(text))
    for wrong in (text.replace("window: 8", "windows: 8"), text.replace("ahead: 1", "ahead: soon")):
        assert wrong != text
        with pytest.raises(ValidationError):
            example.validate(as_json(wrong))


def test_the_schema_is_a_schema_of_draft_2020_12() -> None:
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(json_schema())
    Draft202012Validator.check_schema(overlay_schema())


def test_a_correct_pipeline_fits(flights: str, validator: Draft202012Validator) -> None:
    validator.validate(as_json(flights))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("deadline: 2h", "deadline: 2 hours"),
        ("deadline: 2h", "deadline: 2"),
        ("partition: week", "partition: weekly"),
        ("schedule:", "schedul:"),
        ("  carriers:", "  Carriers:"),
        ("decay: 2 of 4", "decay: 2/4"),
        ("window: 8", "window: '8'"),
        ("start: 2013-01-28", "start: January"),
        ("model: include/model.py:build", "model: include/model.py"),
    ],
)
def test_an_editor_sees_the_mistake(old: str, new: str, flights: str, validator: Draft202012Validator) -> None:
    assert old in flights
    with pytest.raises(ValidationError):
        validator.validate(as_json(flights.replace(old, new)))


@pytest.mark.parametrize(
    "text",
    [
        "owner: x\nalerts: {deadline: 2h}",
        "end: null",
        "runbook: ~\ntrain: null",
        "datasets: {flights: {source: {max_bad_rows: 1%}}}",
        "datasets: {flights: {source: {files: null, query: a.sql, connection: db}, keys: null}}",
        "datasets: {flights: null}",
        "train: {params: {depth: null, any: [thing]}}",
        "{}",
    ],
)
def test_a_part_of_a_pipeline_fits_the_schema_of_overlays(text: str) -> None:
    Draft202012Validator(overlay_schema()).validate(as_json(text))


@pytest.mark.parametrize(
    "text",
    [
        "pipeline: x",
        "ownr: x",
        "alerts: {deadline: soon}",
        "datasets: {flights: {source: {max_bad_rows: half}}}",
        "datasets: {flights: {sql: 7}}",
        "train: {window: '8'}",
    ],
)
def test_an_editor_sees_the_mistake_in_an_overlay(text: str) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(overlay_schema()).validate(as_json(text))


def test_every_field_is_described() -> None:
    schema = json_schema()
    parts = {"Pipeline": schema, **schema["$defs"]}
    bare = [
        f"{part}.{name}"
        for part, definition in parts.items()
        for name, field in definition.get("properties", {}).items()
        if not (field.get("description") or parts[field.get("$ref", "").rpartition("/")[2]].get("description"))
    ]
    assert bare == []


def test_default_durations_are_spelled_as_in_the_yaml() -> None:
    parts = json_schema()["$defs"]
    assert parts["Promotion"]["properties"]["timeout"]["default"] == "1d"
    assert parts["Train"]["properties"]["seed"]["default"] == 0


def test_every_part_is_frozen_and_closed() -> None:
    def parts(model: type[BaseModel]) -> set[type[BaseModel]]:
        return {model, *(part for below in model.__subclasses__() for part in parts(below))}

    for model in parts(Pipeline.__base__):  # type: ignore[arg-type]  # a model's base is a model
        assert model.model_config.get("frozen") is True
        assert model.model_config.get("extra") == "forbid"
