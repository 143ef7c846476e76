"""A broken YAML is its own stub's import error, and takes no other pipeline with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag


@pytest.fixture
def two_pipelines(project: Path, tmp_path: Path) -> Path:
    """A project with a copy of the example and of the upkeep, and the example once more as `second`."""
    shutil.copytree(project / "dags", tmp_path / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(project / "include" / "flight_delay", tmp_path / "include" / "flight_delay")
    text = (project / "dags" / "flight_delay.yaml").read_text()
    (tmp_path / "dags" / "second.yaml").write_text(text.replace("pipeline: flight_delay", "pipeline: second"))
    shutil.copy(project / "dags" / "flight_delay.py", tmp_path / "dags" / "second.py")
    return tmp_path / "dags"


def bag(folder: Path) -> DagBag:
    return DagBag(dag_folder=str(folder), bundle_path=folder, bundle_name="dags-folder")


def test_two_right_pipelines_stand_side_by_side(two_pipelines):
    found = bag(two_pipelines)
    assert not found.import_errors
    assert {"flight_delay__etl", "second__etl", "tradewind__upkeep"} <= set(found.dags)


def test_a_misspelt_field_names_file_line_and_the_right_spelling(two_pipelines):
    path = two_pipelines / "second.yaml"
    lines = path.read_text().replace('schedule: "0 6 * * 1"', 'schedul: "@daily"')
    path.write_text(lines)
    line = 1 + next(n for n, text in enumerate(lines.splitlines()) if text.startswith("schedul:"))
    found = bag(two_pipelines)
    (error,) = found.import_errors.values()
    assert next(iter(found.import_errors)).endswith("second.py")
    assert f"second.yaml:{line}:1: schedul: unknown field; did you mean `schedule`?" in error
    assert "^^^^^^^" in error


def test_the_other_pipelines_dags_stay(two_pipelines):
    path = two_pipelines / "second.yaml"
    path.write_text(path.read_text().replace("schedule:", "schedul:"))
    found = bag(two_pipelines)
    assert {"flight_delay__etl", "flight_delay__train", "tradewind__upkeep"} <= set(found.dags)
    assert not [name for name in found.dags if name.startswith("second")]
    assert not [task for task in found.dags["tradewind__upkeep"].task_ids if task.startswith("second")]
