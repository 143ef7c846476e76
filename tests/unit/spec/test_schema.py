from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from pydantic import BaseModel

from tradewind.spec.models import Pipeline
from tradewind.spec.schema import json_schema


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(json_schema())


def as_json(text: str) -> Any:
    """What an editor sees: dates are text in its YAML."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def test_the_schema_in_docs_is_current(project: Path) -> None:
    written = (project / "docs" / "pipeline.schema.json").read_text(encoding="utf-8")

    assert json.loads(written) == json_schema(), "run: tradewind schema > docs/pipeline.schema.json"


def test_the_schema_is_a_schema_of_draft_2020_12() -> None:
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(json_schema())


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
