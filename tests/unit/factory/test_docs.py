"""The documentation of every DAG says, in words, what its YAML says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tradewind.factory.dag_docs import doc_md
from tradewind.factory.dags import dags_of
from tradewind.spec.load import load_pipeline
from tradewind.spec.pipeline import Pipeline

PIPELINE = """\
pipeline: parcels
owner: logistics@example.com
description: Will this parcel be late?
runbook: https://example.com/runbook
partition: day
timezone: Europe/Lisbon
start: 2024-01-01
schedule: "30 5 * * *"
datasets:
  parcels:
    source: {files: "s3://b/{day}.csv", connection: aws, missing: wait, wait_for: 2h, late: skip, max_bad_rows: 1%}
    references:
      depots: {query: include/depots.sql, connection: shop_db, empty: skip}
      prices: {http: v1/prices, connection: prices_api, missing: skip, empty: skip}
    sql: include/parcels.sql
  depot_week:
    inputs: {parcels: {lookback: 7}}
    sql: include/depot_week.sql
features: {definitions: include/features.py, lookback: 2}
score:
  population: {files: "{landing}/{day}.csv", sql: include/population.sql, key: id, timestamp: at}
train:
  window: 8
  test: 2
  service: parcels_v1
  label: {dataset: parcels, column: late, available_after: 3d}
  model: include/model.py:build
gates:
  - {metric: roc_auc, at_least: 0.6}
  - {metric: brier, versus: champion, lower_bound: -0.01}
promotion: {mode: approval, approvers: [ana, rui]}
monitor:
  horizons: [1, 7]
  performance: {metric: roc_auc, at_least: 0.6}
retrain:
  when: {decay: 2 of 4, every: 30}
  cooldown: 3
  budget: {max: 6, per: 52}
"""
NAMED = ("depots.sql", "parcels.sql", "depot_week.sql", "population.sql", "features.py", "model.py")
STAGES = ("etl", "features", "monitor", "train", "score", "rollback")


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    (tmp_path / "dags").mkdir()
    (tmp_path / "include").mkdir()
    for name in NAMED:
        (tmp_path / "include" / name).touch()
    (tmp_path / "dags" / "parcels.yaml").write_text(PIPELINE)
    (tmp_path / "dags" / "_defaults.yaml").write_text("alerts: {deadline: 2h}\n")
    return tmp_path / "dags" / "parcels.py"


@pytest.fixture
def spec(stub: Path) -> Pipeline:
    return load_pipeline(stub.with_suffix(".yaml"))


@pytest.mark.parametrize("stage", STAGES)
def test_every_dag_says_purpose_owner_schedule_event_runbook_and_where_the_rest_is(stage: str, spec: Pipeline) -> None:
    text = doc_md(spec, stage)

    assert text.startswith(f"### parcels: {stage}\nWill this parcel be late?\n\n")
    assert "- **Owner:** logistics@example.com" in text
    assert "- **Partitions:** one a day in Europe/Lisbon, from 2024-01-01" in text
    assert "**When it fails:** [runbook](https://example.com/runbook). Open the failed task" in text
    assert "[How it stands now](/tradewind/#parcels)" in text
    assert "![How parcels stands now](/tradewind/state/parcels.svg)" in text
    assert re.search(r"- event `parcels/\w+` when all of it is complete", text)


@pytest.mark.parametrize(
    ("stage", "runs", "event"),
    [
        ("etl", "`30 5 * * *` in Europe/Lisbon, each with the key of the partition that has just ended", "etl"),
        ("features", "after the event `parcels/etl` of the same partition", "features"),
        ("monitor", "after the event `parcels/features` of the same partition", "monitor"),
        ("train", "after the event `parcels/monitor` of the same partition", "model"),
        ("score", "after the event `parcels/features` of the same partition", "predictions"),
        ("rollback", "by hand", "model"),
    ],
)
def test_what_starts_it_and_what_it_starts(stage: str, runs: str, event: str, spec: Pipeline) -> None:
    text = doc_md(spec, stage)

    assert f"- **Runs:** {runs}\n" in text
    assert f"- event `parcels/{event}`" in text


def test_each_source_says_what_missing_late_and_empty_mean(spec: Pipeline) -> None:
    text = doc_md(spec, "etl")

    assert (
        "- `parcels`: files `s3://b/{day}.csv` (csv) through connection `aws`. If missing it is waited for, up to 2h; "
        "then it leaves the partition out; if empty it is an error. Up to 1% malformed rows go to quarantine.\n"
    ) in text
    assert (
        "- `parcels`, as `depots`: query `include/depots.sql` to database `shop_db`. If missing it is an error; if "
        "empty it leaves the partition out.\n"
    ) in text
    assert (
        "- `parcels`, as `prices`: web service `prices_api` at `v1/prices` (json). If missing or empty it leaves the "
        "partition out.\n"
    ) in text
    assert "- `depot_week`: `parcels` (7 partitions)\n" in text
    assert "- datasets `parcels` and `depot_week`\n" in text


def test_training_is_told_in_words(spec: Pipeline) -> None:
    text = doc_md(spec, "train")

    assert "- 8 partitions, the last 2 of which judge: feature service `parcels_v1`\n" in text
    assert "- label `late` of `parcels`, known 3d later; model `include/model.py:build` (binary)\n" in text
    assert (
        "**Trains** when there is no champion yet, or 2 of 4 populations have decayed, 30 partitions have passed or "
        "somebody asks for it; never within 3 partitions of a training; at most 6 times in 52 partitions.\n"
    ) in text
    assert "- roc_auc at least 0.6\n- brier no worse than the champion's by more than 0.01 (" in text
    assert "**Promotion:** after ana or rui agreed, within 1d; silence rejects\n" in text


def test_a_rollback_asks_for_no_partition(spec: Pipeline) -> None:
    assert "partition key" not in doc_md(spec, "rollback")
    assert "A run needs a partition key" in doc_md(spec, "score")


def test_what_holds_is_shown_whole_in_the_first_dag_and_linked_from_the_others(stub: Path) -> None:
    dags = dags_of(str(stub))
    (shown,) = re.findall(r"```yaml\n(.*?)```", dags["parcels__etl"].doc_md, flags=re.DOTALL)

    assert yaml.safe_load(shown)["alerts"] == {"channels": [], "deadline": "2h", "no_champion": 4, "rejected": 3}
    assert re.search(r"deadline: 2h +# dags/_defaults.yaml:1\n", shown)
    assert re.search(r"window: 8 +# dags/parcels.yaml:23\n", shown)
    for stage in STAGES[1:]:
        assert "(/dags/parcels__etl)" in dags[f"parcels__{stage}"].doc_md


def test_on_a_worker_only_the_dag_that_it_needs_is_built(stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(dags_of(str(stub))) == [f"parcels__{stage}" for stage in STAGES]
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "parcels__score")

    (dag,) = dags_of(str(stub)).values()

    assert dag.dag_id == "parcels__score"
    assert dag.task_ids == ["score"]


def test_a_training_says_who_learns_chooses_and_judges_and_what_must_be_there(stub: Path) -> None:
    changed = PIPELINE.replace(
        "  test: 2\n",
        "  test: 2\n  validation: 1\n  complete: 6\n  patience: 3d\n  gap: 1w\n"
        "  search: {space: include/model.py:space, metric: roc_auc, trials: 5, time: 2m}\n"
        "  early: {metric: log_loss, at_most: 0.6, rows: 500}\n",
    ).replace("approvers: [ana, rui]}", "approvers: [ana, rui], shadow: 3}\nretention: {models: 13w}")
    stub.with_suffix(".yaml").write_text(changed)

    text = doc_md(load_pipeline(stub.with_suffix(".yaml")), "train")

    assert (
        "- 5 partitions to learn from, 1 to choose by and 2 to judge by, 1w apart; at least 6 of them must be there, "
        "or it is an incident after 3d\n"
    ) in text
    assert (
        "**Before that:** a fit on 500 rows is not worth continuing with log_loss above 0.6; `include/model.py:space` "
        "is searched for the best roc_auc: 5 trials, 2m.\n"
    ) in text
    assert (
        "**Promotion:** after 3 populations scored beside the champion, without serving, and judged once more on "
        "these; then after ana or rui agreed, within 1d; silence rejects\n"
    ) in text
    assert "**Archived:** the files of a version trained more than 13w ago, if it is neither champion" in text
