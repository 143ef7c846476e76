"""Trainings that stop early, are refused, or are killed: what is left of them, and what the next one makes of it."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace

import pyarrow as pa
import pytest
from mlflow import MlflowClient

from tradewind.deployment import Deployment
from tradewind.errors import MissingInput, ModelError
from tradewind.ledger import skipped_partitions
from tradewind.registry.mlflow_run import SUPERSEDED
from tradewind.registry.model_registry import ModelRegistry
from tradewind.spec.training import Early, RowChecks, Search
from tradewind.training import estimator, training_rows
from tradewind.training.candidate import EarlyRejection, train_candidate

SPACE = "def space(trial):\n    return {'C': [0.1, 1.0][trial.number % 2]}\n"


def asking(house, **changes):
    """The pipeline with parts of `train` changed."""
    return house.with_spec(train=house.spec.train.model_copy(update=changes)).spec


def runs(house) -> list:
    registry = ModelRegistry(house.runtime, "delays")
    return list(registry.client.search_runs([registry.experiment()], order_by=["attributes.start_time"]))


def test_what_is_not_worth_it_is_journalled_and_not_tried_again(house, monkeypatch) -> None:
    spec = asking(house, validation=1, early=Early(metric="roc_auc", at_least=0.99, rows=100))
    first = train_candidate(Deployment(spec, house.runtime), house.week(5))
    assert isinstance(first, EarlyRejection)
    assert 0.5 < first.value < 0.99
    (entry,) = house.ledger.find("delays", "early")
    assert (entry.partition, entry.outcome, entry.reason) == (house.week(5), "rejected", first.reason)
    assert {name: entry.evidence[name] for name in ("metric", "value", "bound", "rows")} == {
        "metric": "roc_auc", "value": first.value, "bound": 0.99, "rows": 100,
    }  # fmt: skip
    assert house.ledger.find("delays", "trained") == []
    monkeypatch.setattr(estimator, "fit_estimator", lambda *_, **__: pytest.fail("fitted again"))
    assert train_candidate(Deployment(spec, house.runtime), house.week(5)) == first
    assert len(house.ledger.find("delays", "early")) == 1


def test_all_that_is_wrong_with_the_rows_is_said_at_once_and_nothing_is_fitted(house, monkeypatch) -> None:
    monkeypatch.setattr(estimator, "fit_estimator", lambda *_, **__: pytest.fail("fitted"))
    checks = RowChecks(min_rows=10_000, missing_labels_at_most=0.05, leakage_at_least=0.51)
    with pytest.raises(ModelError) as raised:
        train_candidate(Deployment(asking(house, checks=checks), house.runtime), house.week(5))
    said = str(raised.value)
    assert said.startswith("delays at 2013-03-04: nothing is fitted, because ")
    for part in (
        "120 of the 1200 training rows (2013-02-11 … 2013-02-25) whose label should be known have none (10.0%",
        "of the 3", "test rows (2013-03-04 … 2013-03-04) whose label should be known",
        "fewer than `min_rows` (10000)",
        "hour by itself tells the label (ROC AUC 0.",
    ):  # fmt: skip
        assert part in said


def test_labels_that_cannot_be_known_yet_are_not_missing(house) -> None:
    """Of the week before last all 400 labels are due, of the newest those of its first six days."""
    weeks, end = [house.week(4), house.week(5)], house.spec.partitioning.bounds(house.week(5)).end
    found = training_rows.count_due_labels(house.deployment, weeks, version=None, known_by=end)
    assert found[weeks[0]] == (400, 40)
    rows = house.lake.dataset("delays", "flights").snapshot().arrow([weeks[1]]).to_table()
    due = [late for late, at in zip(rows["late"].to_pylist(), rows["scheduled_at"].to_pylist(), strict=True)
           if at <= end - timedelta(days=1)]  # fmt: skip
    assert found[weeks[1]] == (len(due), due.count(None))
    assert 300 < len(due) < 400


def test_warnings_go_with_the_version(house, publish_week) -> None:
    for number in (2, 3, 4):
        publish_week(
            house, number, change=lambda rows: rows.set_column(5, "distance", pa.array([7] * rows.num_rows, pa.int64()))
        )
    trained = train_candidate(house.deployment, house.week(5))
    registry = ModelRegistry(house.runtime, "delays")
    said = ["distance has the same value in all training rows (2013-02-11 … 2013-02-25)"]
    assert house.ledger.find("delays", "trained")[0].evidence["warnings"] == said
    version = registry.get(trained.version)
    assert json.loads(version.tags["tradewind.warnings"]) == said
    with registry.evidence(version) as files:
        (finding,) = json.loads((files / "row_checks.json").read_text())
    assert (finding["check"], finding["severity"], finding["feature"]) == ("constant", "warning", "distance")


def test_with_enough_partitions_a_missing_one_does_not_matter(house) -> None:
    with pytest.raises(MissingInput, match=r"not complete: 2013-03-25 \(flights is not published\)"):
        train_candidate(house.deployment, house.week(8))
    trained = train_candidate(Deployment(asking(house, complete=3), house.runtime), house.week(8))
    assert trained.test_partitions == (house.week(7),)
    assert house.ledger.find("delays", "trained")[0].evidence["absent"] == {
        house.week(8): "flights is not published"
    }  # fmt: skip


def test_too_few_partitions_name_what_is_missing(house) -> None:
    skipped_partitions.skip_partition(house.ledger, "delays", house.week(7), reason="strike", actor="ann")
    with pytest.raises(MissingInput, match=r"2 of 4 partitions .* 3 are needed; 2013-03-18 \(left out: strike"):
        train_candidate(Deployment(asking(house, complete=3), house.runtime), house.week(8))


def test_a_killed_attempt_with_trials_is_marked_and_done_again_once(house, monkeypatch) -> None:
    (house.runtime.project / "include/delays_model/space.py").write_text(SPACE)
    search = Search(space="include/delays_model/space.py:space", metric="roc_auc", trials=2)
    spec = asking(house, validation=1, search=search, gap=timedelta(days=1))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_model_artifacts", killed)
        with pytest.raises(KeyboardInterrupt):
            train_candidate(Deployment(spec, house.runtime), house.week(5))
    left = runs(house)
    assert sorted(run.info.status for run in left) == ["FINISHED", "FINISHED", "RUNNING"]
    trained = train_candidate(Deployment(spec, house.runtime), house.week(5))
    (parent,) = [run for run in runs(house) if run.data.tags.get(SUPERSEDED)]
    assert (parent.info.status, parent.data.tags[SUPERSEDED]) == ("KILLED", trained.mlflow_run_id)
    below = [run.data.tags["mlflow.parentRunId"] for run in runs(house) if "mlflow.parentRunId" in run.data.tags]
    assert sorted(below) == sorted([parent.info.run_id] * 2 + [trained.mlflow_run_id] * 2)
    assert len(ModelRegistry(house.runtime, "delays").client.search_model_versions("name = 'delays'")) == 1


def test_a_run_that_is_not_worth_it_ends_green_and_is_settled(house) -> None:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
    from airflow.sdk.exceptions import DownstreamTasksSkipped

    from tradewind.operators.training import TrainOperator

    spec = asking(house, validation=1, early=Early(metric="roc_auc", at_least=0.99, rows=100))
    with DAG("delays__train", schedule=None):
        task = TrainOperator(task_id="train", pipeline=spec)
        task >> EmptyOperator(task_id="verdict") >> EmptyOperator(task_id="promote")
    pushed = SimpleNamespace(map_index=-1, xcom_push=lambda **_: None, xcom_pull=lambda **_: None)
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        task.work(Deployment(spec, house.runtime), house.week(5), {"ti": pushed, "task": task})
    assert set(skipped.value.tasks) == {"verdict", "promote"}
    (done,) = house.ledger.find("delays", "complete", subject="train", partition=house.week(5))
    assert done.evidence["outcome"] == "not worth continuing"
