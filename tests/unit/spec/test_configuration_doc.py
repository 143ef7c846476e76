from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.spec.load import load, problems
from tradewind.spec.schema import json_schema


@pytest.fixture
def text(project: Path) -> str:
    return (project / "docs" / "configuration.md").read_text(encoding="utf-8")


@pytest.fixture
def example(text: str) -> str:
    (found,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    return str(found)


def test_the_example_loads(example: str, write: Callable[[str], Path]) -> None:
    path = write(example)
    for name in re.findall(r"include/[\w/]+\.(?:sql|json|py)", example):
        (path.parent.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (path.parent.parent / name).touch()

    assert load(path).pipeline == "parcels"


def test_the_error_in_the_text_is_the_one_that_is_shown(flights: str, text: str, write: Callable[[str], Path]) -> None:
    path = write(flights.replace('schedule: "0 6 * * 1"', 'schedul: "@daily"'))

    (problem,) = problems(path)

    assert problem.text().replace(str(path), "dags/parcels.yaml") in text


def test_every_field_is_in_the_text(text: str) -> None:
    schema = json_schema()
    fields = {name for part in (schema, *schema["$defs"].values()) for name in part.get("properties", {})}

    assert sorted(name for name in fields if not re.search(rf"`(\w+\.)*{name}`|`{name}:", text)) == []
