from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tradewind.cli.main import command_line
from tradewind.spec.load import examine_pipeline, load_pipeline

PIPELINE = """\
pipeline: parcels
owner: "${TEAM:-nobody}@example.com"
description: "Late: yes or no? # not a comment"
partition: day
timezone: Europe/Lisbon
start: 2024-01-01
schedule: "@daily"
datasets:
  parcels:
    source:
      files: "{landing}/{day}.csv"
      nulls: ["NO", "", "1e3", null_]
      columns: {y: BIGINT, größe: DOUBLE}
    sql: include/parcels.sql
features: {definitions: include/features.py}
score:
  population: {files: "{landing}/{day}.csv", sql: include/parcels.sql, key: id, timestamp: at}
train:
  window: 8
  test: 2
  service: s
  label: {dataset: parcels, column: late, available_after: 36h}
  model: include/model.py:build
  params: {rate: 1.0e-05, depth: null, shape: [1, {a: [2, x]}], empty: {}}
gates:
  - {metric: roc_auc, at_least: 0.6}
  - {metric: brier, at_most: 0.2}
"""


@pytest.fixture(autouse=True)
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dags").mkdir()
    (tmp_path / "include").mkdir()
    for name in ("parcels.sql", "features.py", "model.py"):
        (tmp_path / "include" / name).touch()
    (tmp_path / "dags" / "late_parcels.yaml").write_text(PIPELINE)
    (tmp_path / "dags" / "_defaults.yaml").write_text("# ours\nalerts: {deadline: 9h}\nrunbook: https://wiki/x\n")
    (tmp_path / "dags" / "late_parcels.prod.yaml").write_text("schedule: 30 5 * * *\nrunbook: null\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRADEWIND_ENV", raising=False)
    monkeypatch.setenv("TEAM", "logistics")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["render", *arguments], catch_exceptions=False)


def origins(*arguments: str) -> dict[str, tuple[object, str]]:
    return {place: (one["value"], one["from"]) for place, one in json.loads(run(*arguments, "--json").stdout).items()}


def test_each_value_says_where_it_comes_from() -> None:
    found = origins("parcels")

    assert found["owner"] == ("logistics@example.com", "dags/late_parcels.yaml:2, ${TEAM}")
    assert found["alerts.deadline"] == ("9h", "dags/_defaults.yaml:2")
    assert found["runbook"] == ("https://wiki/x", "dags/_defaults.yaml:3")
    assert found["train.seed"] == (0, "default")
    assert found["gates[1].metric"] == ("brier", "dags/late_parcels.yaml:27")
    assert found["train.label.available_after"] == ("36h", "dags/late_parcels.yaml:22")
    assert "end" not in found


def test_an_overlay_is_chosen_by_the_environment_or_by_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    by_option = origins("parcels", "--env", "prod")
    monkeypatch.setenv("TRADEWIND_ENV", "prod")

    assert origins("dags/late_parcels.yaml") == by_option
    assert by_option["schedule"] == ("30 5 * * *", "dags/late_parcels.prod.yaml:1")
    assert "runbook" not in by_option


def test_what_is_printed_is_a_pipeline_that_says_the_same(in_project: Path) -> None:
    printed = run("parcels").stdout
    copy = in_project / "elsewhere" / "dags" / "copy.yaml"
    copy.parent.mkdir(parents=True)
    (copy.parent.parent / "include").symlink_to(in_project / "include")
    copy.write_text(printed)

    found = examine_pipeline(copy)

    assert [one.message for one in found.problems if "leaves the project" not in one.message] == []
    assert found.spec == load_pipeline(in_project / "dags" / "late_parcels.yaml")
    assert printed.splitlines()[0].endswith("dags/_defaults.yaml < dags/late_parcels.yaml")


def test_every_line_with_a_value_has_its_origin() -> None:
    lines = run("parcels").stdout.splitlines()[1:]

    assert [line for line in lines if not line.rstrip().endswith(":") and "  # " not in line] == []


def test_a_wrong_pipeline_is_told_and_exits_with_1() -> None:
    Path("dags/_defaults.yaml").write_text("alert: {}\n")

    done = CliRunner().invoke(command_line, ["render", "parcels"])

    assert "dags/_defaults.yaml:1:1: alert: unknown field; did you mean `alerts`?" in str(done.exception)


def test_a_name_that_is_none_is_wrong_usage() -> None:
    assert "did you mean parcels?" in str(CliRunner().invoke(command_line, ["render", "parcel"]).exception)
    assert "there is no dags/none.yaml" in str(CliRunner().invoke(command_line, ["render", "dags/none.yaml"]).exception)
