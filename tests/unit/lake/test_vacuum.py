from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from tradewind.errors import MissingInput
from tradewind.lake import table_log as logs
from tradewind.lake.dataset import Dataset
from tradewind.lake.vacuum import VacuumedFiles, vacuum_dataset

DAY = timedelta(days=1)


def clean(dataset: Dataset, *, pinned=(), days_later: float = 100, dry_run: bool = False, **options) -> VacuumedFiles:
    options = {"history": 30 * DAY, "quarantine": 90 * DAY, **options}
    now = datetime.now(UTC) + days_later * DAY
    return vacuum_dataset(dataset, pinned=pinned, now=now, dry_run=dry_run, **options)


def values(dataset: Dataset, version: int | None = None) -> list[int]:
    snapshot = dataset.snapshot(version)
    assert snapshot is not None
    return sorted(snapshot.arrow().to_table()["value"].to_pylist())


def files(dataset: Dataset) -> set[str]:
    return {path.name for path in Path(dataset.uri).glob("partition=*/*.parquet")}


@pytest.fixture
def _history(publish) -> None:
    """Versions 1 to 4: two partitions, then one of them twice again."""
    publish("2013-01", [1])
    publish("2013-02", [2])
    publish("2013-01", [10])
    publish("2013-01", [100])


@pytest.mark.usefixtures("_history")
def test_versions_that_nothing_refers_to_go(dataset: Dataset) -> None:
    done = clean(dataset)
    assert (len(done.files), done.versions) == (2, 2)  # the empty table and the newest
    assert values(dataset) == [2, 100]
    for version in (1, 2, 3):
        with pytest.raises(MissingInput, match=f"version {version}: files of partition 2013-01 are gone"):
            values(dataset, version)


@pytest.mark.usefixtures("_history")
def test_pinned_versions_stay(dataset: Dataset) -> None:
    assert len(clean(dataset, pinned=[2]).files) == 1
    assert values(dataset, 2) == [1, 2]
    with pytest.raises(MissingInput):
        values(dataset, 3)


@pytest.mark.usefixtures("_history")
def test_young_versions_stay(dataset: Dataset) -> None:
    assert clean(dataset, days_later=29).files == ()
    assert values(dataset, 3) == [2, 10]


@pytest.mark.usefixtures("_history")
def test_what_was_before_a_correction_stays_when_it_is_asked_for(dataset: Dataset) -> None:
    clean(dataset, before_corrections=lambda kept: {min(kept) - 1})
    assert values(dataset, 3) == [2, 10]


@pytest.mark.usefixtures("_history")
def test_a_dry_run_says_it_and_removes_nothing(dataset: Dataset) -> None:
    before = files(dataset)
    would = clean(dataset, dry_run=True)
    assert files(dataset) == before
    done = clean(dataset)
    assert (would.files, would.bytes, would.versions) == (done.files, done.bytes, done.versions)
    assert would.bytes > 0
    assert clean(dataset).removed == 0


@pytest.mark.usefixtures("_history")
def test_staged_rows_are_published_after_a_vacuum(dataset: Dataset, publish) -> None:
    staged = dataset.stage("2013-03", pa.table({"value": pa.array([3], pa.int64())}).to_reader())
    clean(dataset)
    from tradewind.lake.cause import Cause

    dataset.publish(staged, cause=Cause({"a": "b"}, "c", "1"), run_id="test")
    assert values(dataset) == [2, 3, 100]


@pytest.mark.usefixtures("_history")
def test_a_file_whose_commit_may_be_on_its_way_stays_a_day(dataset: Dataset) -> None:
    file = next(iter(Path(dataset.uri).glob("partition=2013-02/*.parquet")))
    lost = file.with_name(file.name.replace("-0.parquet", "-7.parquet"))
    lost.write_bytes(file.read_bytes())
    assert clean(dataset, days_later=0.9).uncommitted == ()
    assert clean(dataset, days_later=1.1).uncommitted == (lost.relative_to(dataset.uri).as_posix(),)
    assert not lost.exists()
    assert values(dataset) == [2, 100]


def test_a_commit_during_a_vacuum_is_not_lost(dataset: Dataset, publish, monkeypatch) -> None:
    publish("2013-01", [1])
    read = logs.read_table_log

    def meanwhile(of: Dataset) -> logs.TableLog:
        monkeypatch.setattr(logs, "read_table_log", read)
        publish("2013-02", [2])  # after the files were listed, before the log is read
        publish("2013-01", [10])
        return read(of)

    monkeypatch.setattr(logs, "read_table_log", meanwhile)
    clean(dataset)
    assert values(dataset) == [2, 10]


def test_old_quarantine_goes(dataset: Dataset) -> None:
    staged = dataset.stage("2013-01", pa.table({"value": [1]}).to_reader())
    place = Path(dataset.quarantine(staged, reasons=["wrong"]))
    assert clean(dataset, days_later=89).quarantined == ()
    assert clean(dataset, days_later=91).quarantined == (place.relative_to(dataset.uri).as_posix(),)
    assert not place.exists()


def test_a_dataset_that_is_not_there_has_nothing_to_remove(dataset: Dataset) -> None:
    assert clean(dataset).removed == 0
