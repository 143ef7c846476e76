"""The training set of a model is the same a year later, whatever was corrected, vacuumed and checkpointed since."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.delays_pipeline import carrier_week, flights

from tradewind.errors import MissingInput
from tradewind.features.dataset_versions import newest_versions
from tradewind.lake.digests import hash_rows
from tradewind.ledger.journal import Entry
from tradewind.training.model_frame import training_frame
from tradewind.upkeep.retention import pinned_table_versions, vacuum_pipeline

DATASETS = ["carrier_week", "flights"]


def training_set(house, versions):
    weeks = [house.week(number) for number in range(1, 5)]
    end = house.spec.partitioning.bounds(weeks[-1]).end
    return training_frame(house.deployment, weeks, known_by=end, versions=versions).table


def trained(house, versions) -> None:
    """What a training writes into the ledger about its data."""
    entry = Entry("delays", "trained", "1", house.week(4), "cause", evidence={"versions": versions})
    house.ledger.append(entry)


def correct(house, *, rounds: int) -> None:
    """Publish the first weeks again and again, with other rows: more commits than lie between two checkpoints."""
    for seed in range(1, rounds + 1):
        for number in range(5):
            week = house.week(number)
            rows = flights(week, rows=20, seed=seed)
            house.publish("flights", week, rows, cause=str(seed))
            house.publish("carrier_week", week, carrier_week(week, rows), cause=str(seed))


def age(house) -> None:
    """Make every file of the logs look two years old, so that a cleaning by age would take it."""
    long_ago = (datetime.now(UTC) - timedelta(days=730)).timestamp()
    for path in Path(house.runtime.lake).glob("*/*/_delta_log/*"):
        os.utime(path, (long_ago, long_ago))


def a_year_later() -> datetime:
    return datetime.now(UTC) + timedelta(days=365)


def test_pinned_versions_give_the_same_training_set_a_year_later(house) -> None:
    correct(house, rounds=1)  # the training set knows a correction already
    versions = newest_versions(house.deployment, DATASETS)
    before = training_set(house, versions)
    trained(house, versions)
    age(house)
    correct(house, rounds=3)
    assert sum(len(one.files) for one in vacuum_pipeline(house.deployment, now=a_year_later())) > 0
    correct(house, rounds=1)  # commits and checkpoints on top of a table that was vacuumed
    for name in DATASETS:
        log = Path(house.runtime.lake, "delays", name, "_delta_log")
        assert len(list(log.glob("*.checkpoint.parquet"))) >= 2
        assert (log / f"{0:020}.json").exists()
    after = training_set(house, versions)
    assert after.equals(before)
    assert hash_rows(after.to_reader()).digest == hash_rows(before.to_reader()).digest


def test_without_the_pin_the_training_set_is_gone_and_says_so(house) -> None:
    versions = newest_versions(house.deployment, DATASETS)
    correct(house, rounds=2)
    vacuum_pipeline(house.deployment, now=a_year_later())
    with pytest.raises(MissingInput, match=f"dataset flights, version {versions['flights']}: files of partition"):
        training_set(house, versions)


def test_what_corrected_partitions_held_before_is_not_waste(house) -> None:
    correct(house, rounds=2)
    versions = newest_versions(house.deployment, DATASETS)
    before = training_set(house, versions)
    vacuum_pipeline(house.deployment, now=a_year_later())
    assert training_set(house, versions).equals(before)


def test_where_the_newest_content_is_asked_for_corrections_leave_nothing_behind(house) -> None:
    newest = house.with_spec(features=house.spec.features.model_copy(update={"corrections": "newest"}))
    correct(newest, rounds=2)
    versions = newest_versions(newest.deployment, DATASETS)
    before = training_set(newest, versions)
    done = {one.dataset: one for one in vacuum_pipeline(newest.deployment, now=a_year_later())}
    assert len(done["carrier_week"].files) == 10
    assert training_set(newest, versions).equals(before)


@pytest.mark.parametrize("dataset", ["predictions", "shadow_predictions"])
def test_predictions_pin_what_they_were_made_from(house, dataset: str) -> None:
    import pyarrow as pa

    lineage = [json.dumps({"carrier_week": 3}), json.dumps({"carrier_week": 5})]
    house.publish(dataset, house.week(4), pa.table({"dataset_versions": [lineage[0]] * 3 + [lineage[1]]}))
    assert pinned_table_versions(house.deployment) == {"carrier_week": {3, 5}}
    correct(house, rounds=2)
    vacuum_pipeline(house.deployment, now=a_year_later())
    weeks = [house.week(number) for number in range(3)]
    snapshot = house.lake.dataset("delays", "carrier_week").snapshot(3)
    assert snapshot.arrow(weeks).to_table().num_rows == 9


def test_what_was_removed_is_journalled_once(house) -> None:
    correct(house, rounds=1)
    vacuum_pipeline(house.deployment, now=a_year_later(), dry_run=True)
    assert house.ledger.find("delays", "note", subject="vacuum") == []
    vacuum_pipeline(house.deployment, now=a_year_later())
    vacuum_pipeline(house.deployment, now=a_year_later())
    (entry,) = house.ledger.find("delays", "note", subject="vacuum")
    assert entry.evidence["flights"]["files"] == 5
    assert entry.evidence["flights"]["bytes"] > 0


def test_upkeep_has_a_task_for_it(project: Path) -> None:
    from tradewind.factory.upkeep import upkeep_of
    from tradewind.operators.upkeep import VacuumOperator

    dag = upkeep_of(str(project / "dags" / "tradewind_upkeep.py"))["tradewind__upkeep"]
    task = dag.get_task("flight_delay__vacuum")
    assert isinstance(task, VacuumOperator)
    assert not task.upstream_task_ids
    assert not task.downstream_task_ids


def test_a_history_that_ends_under_running_tasks_is_refused() -> None:
    from pydantic import ValidationError

    from tradewind.spec.policy import Retention

    assert Retention.model_validate({"history": "1d"}).history == timedelta(days=1)
    with pytest.raises(ValidationError, match="keep at least 1d"):
        Retention.model_validate({"history": "12h"})
