from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tradewind.cli.main import command_line

PIPELINE = """\
pipeline: {name}
owner: data@example.com
description: Copies files.
partition: day
timezone: UTC
start: 2024-01-01
schedule: "@daily"
datasets:
  copy:
    source: {{files: "{{landing}}/{{day}}.csv", columns: {{id: BIGINT, made_at: TIMESTAMPTZ}}}}
    sql: include/copy.sql
"""


@pytest.fixture(autouse=True)
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dags").mkdir()
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "copy.sql").write_text("SELECT id,\n  made_at FROM source\n")
    (tmp_path / "dags" / "one.yaml").write_text(PIPELINE.format(name="one"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["validate", *arguments])


def break_pipeline(name: str) -> None:
    Path("dags", f"{name}.yaml").write_text(PIPELINE.format(name=name).replace("owner:", "ownr:"))


def test_a_correct_file_is_fine_and_exits_with_0() -> None:
    result = run("dags/one.yaml")
    assert (result.exit_code, result.output) == (0, "1 pipeline: fine\n")


def test_a_wrong_file_is_told_with_its_place_and_exits_with_1() -> None:
    break_pipeline("two")
    result = run("dags/one.yaml", "dags/two.yaml")
    assert result.exit_code == 1
    assert "dags/two.yaml:2:1: ownr: unknown field; did you mean `owner`?" in result.output
    assert result.output.endswith("1 problem in 2 pipelines\n")


def test_a_pipeline_may_be_named_like_everywhere_else() -> None:
    assert json.loads(run("one", "--json").output)["checked"] == ["dags/one.yaml"]
    assert "there is no onne here" in run("onne").output


def test_without_a_path_every_pipeline_below_dags_is_checked() -> None:
    Path("dags", "team").mkdir()
    Path("dags", "team", "two.yml").write_text(PIPELINE.format(name="two"))
    assert json.loads(run("--json").output)["checked"] == ["dags/one.yaml", "dags/team/two.yml"]


def test_defaults_and_overlays_in_a_folder_are_no_pipelines() -> None:
    Path("dags", "_defaults.yaml").write_text("owner: x\n")
    Path("dags", "one.prod.yaml").write_text("owner: x\n")
    assert json.loads(run("dags", "--json").output)["checked"] == ["dags/one.yaml"]


def test_two_files_with_the_same_pipeline_are_told() -> None:
    Path("dags", "two.yaml").write_text(PIPELINE.format(name="one"))
    result = run("dags")
    assert result.exit_code == 1
    assert "dags/two.yaml:1:11: pipeline: `one` is already the pipeline of dags/one.yaml" in result.output


def test_json_is_for_editors() -> None:
    break_pipeline("two")
    result = run("--json", "dags")
    answer = json.loads(result.output)
    assert result.exit_code == 1
    assert answer["checked"] == ["dags/one.yaml", "dags/two.yaml"]
    (problem,) = answer["problems"]
    assert (problem["file"], problem["line"], problem["column"]) == ("dags/two.yaml", 2, 1)
    assert (problem["field"], problem["suggestion"]) == ("ownr", "owner")
    assert problem["source_line"] == "ownr: data@example.com"


def test_a_mistake_in_sql_is_told_at_its_place_in_the_sql() -> None:
    Path("include/copy.sql").write_text("SELECT id,\n  mode_at FROM source\n")
    result = run()
    assert result.exit_code == 1
    assert (
        result.output
        == """\
include/copy.sql:2:3: datasets.copy.sql: there is no column `mode_at`; did you mean `made_at`?
    2 |   mode_at FROM source
      |   ^^^^^^^
1 problem in 1 pipeline
"""
    )
    (problem,) = json.loads(run("--json").output)["problems"]
    assert (problem["file"], problem["line"], problem["column"], problem["end_column"]) == (
        "include/copy.sql",
        2,
        3,
        10,
    )
    assert (problem["severity"], problem["suggestion"]) == ("error", "made_at")


def test_a_note_is_nothing_wrong() -> None:
    text = PIPELINE.format(name="one").replace(", columns: {id: BIGINT, made_at: TIMESTAMPTZ}", "")
    Path("dags", "one.yaml").write_text(text)
    result = run()
    assert result.exit_code == 0
    assert "note: datasets.copy.sql: its columns cannot be checked: `source` declares no `columns`" in result.output
    assert result.output.endswith("1 pipeline: fine\n")


def test_json_of_what_is_fine_has_no_problems() -> None:
    result = run("--json")
    assert (result.exit_code, json.loads(result.output)["problems"]) == (0, [])


@pytest.mark.parametrize("arguments", [["nothing.yaml"], ["include"], ["--jsn"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_folder_without_dags_says_what_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("include")
    result = run()
    assert result.exit_code == 2
    assert "the YAML file or its folder" in result.output


def test_what_the_test_partitions_can_show_comes_from_the_ledger_of_the_home(in_project: Path) -> None:
    from tests.unit.validation.conftest import FILES
    from tests.unit.validation.test_resolution import verdict

    from tradewind.ledger.journal import Ledger

    for name, text in FILES.items():
        (in_project / name).parent.mkdir(parents=True, exist_ok=True)
        (in_project / name).write_text(text, encoding="utf-8")
    without = run("shop")
    assert "note: gates[1]: `test: 5` holds about 5 blocks by day" in without.output
    assert not (in_project / ".tradewind").exists()
    (in_project / ".tradewind").mkdir()
    Ledger(f"sqlite:///{in_project / '.tradewind' / 'ledger.db'}").append(verdict())
    assert "(by the intervals of 1 recorded verdict)" in run("shop").output
    broken = in_project / ".tradewind" / "ledger.db"
    broken.write_bytes(b"no database")
    result = run("shop")
    assert (result.exit_code, "no verdict is recorded yet" in result.output) == (0, True)
