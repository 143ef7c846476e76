from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tradewind.spec import variables
from tradewind.spec.load import examine_pipeline, list_problems, load_pipeline
from tradewind.spec.schema import json_schema, overlay_schema


@pytest.fixture
def text(project: Path) -> str:
    return (project / "docs" / "configuration.md").read_text(encoding="utf-8")


@pytest.fixture
def examples(text: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)


def test_the_examples_load(examples: list[str], write: Callable[[str], Path]) -> None:
    example, overlay = examples
    path = write(example)
    for name in re.findall(r"include/[\w/]+\.(?:sql|json|py)", example):
        (path.parent.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (path.parent.parent / name).touch()
    path.with_name(f"{path.stem}.prod.yaml").write_text(overlay)
    Draft202012Validator(overlay_schema()).validate(yaml.safe_load(overlay))

    production = examine_pipeline(path, environment="prod")

    assert load_pipeline(path).pipeline == "parcels"
    assert production.problems == ()
    assert production.spec is not None
    assert (production.spec.schedule, production.spec.alerts.deadline) == ("30 3 * * *", None)


def test_the_error_in_the_text_is_the_one_that_is_shown(flights: str, text: str, write: Callable[[str], Path]) -> None:
    path = write(flights.replace('schedule: "0 6 * * 1"', 'schedul: "@daily"'))

    (problem,) = list_problems(path)

    assert problem.text().replace(str(path), "dags/parcels.yaml") in text


def test_every_field_is_in_the_text(text: str) -> None:
    schema = json_schema()
    fields = {name for part in (schema, *schema["$defs"].values()) for name in part.get("properties", {})}

    assert sorted(name for name in fields if not re.search(rf"`(\w+\.)*{name}`|`{name}:", text)) == []


def test_every_field_that_takes_variables_is_in_the_text(text: str) -> None:
    (section,) = re.findall(r"`\$\{VAR\}` is the value.*?\n\n", text, flags=re.DOTALL)

    assert set(variables.FIELDS + variables.SOURCE_FIELDS) <= set(re.findall(r"`([\w.]+)`", section))
