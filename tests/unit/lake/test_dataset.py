from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tradewind.errors import Conflict, MissingInput, UsageError
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Dataset, Lake

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from tradewind.lake.publish import PublishedPartition

    Publish = Callable[..., PublishedPartition]


def table(**columns: object) -> pa.RecordBatchReader:
    import pyarrow as pa

    return pa.table(columns).to_reader()


def values(dataset: Dataset, key: str, version: int | None = None) -> list[int]:
    snapshot = dataset.snapshot(version)
    assert snapshot is not None
    return sorted(snapshot.arrow([key]).to_table()["value"].to_pylist())


def test_nothing_is_there_before_the_first_publish(dataset: Dataset) -> None:
    assert dataset.snapshot() is None


def test_staged_rows_are_seen_by_nobody(dataset: Dataset) -> None:
    staged = dataset.stage("2013-01", table(value=[1]))
    assert staged.rows == 1
    assert dataset.snapshot() is None


def test_a_published_partition_is_read_with_its_key(dataset: Dataset, publish: Publish) -> None:
    publish("2013-01", [1, 2])
    publish("2013-02", [3])
    snapshot = dataset.snapshot()
    assert snapshot is not None
    rows = snapshot.arrow().to_table().to_pylist()
    assert sorted((row["partition"], row["value"]) for row in rows) == [("2013-01", 1), ("2013-01", 2), ("2013-02", 3)]
    assert {key: state.rows for key, state in snapshot.partitions.items()} == {"2013-01": 2, "2013-02": 1}


def test_publishing_replaces_the_partition_and_no_other(dataset: Dataset, publish: Publish) -> None:
    publish("2013-01", [1, 2])
    publish("2013-02", [3])
    publish("2013-01", [7])
    assert values(dataset, "2013-01") == [7]
    assert values(dataset, "2013-02") == [3]


def test_the_file_list_tells_cause_and_digest_of_every_version(dataset: Dataset, publish: Publish) -> None:
    first = publish("2013-01", [1], why="a")
    publish("2013-01", [2], why="b")
    old, new = dataset.snapshot(first.version), dataset.snapshot()
    assert old is not None
    assert new is not None
    assert old.partitions["2013-01"].digest == first.digest
    assert old.partitions["2013-01"].cause == Cause({"rows": "a"}, "config", "1").hash
    assert new.partitions["2013-01"].cause == Cause({"rows": "b"}, "config", "1").hash


def test_the_same_cause_adds_no_version(dataset: Dataset, publish: Publish) -> None:
    first = publish("2013-01", [1], why="a")
    again = publish("2013-01", [1], why="a")
    assert (again.changed, again.version, again.digest) == (False, first.version, first.digest)


def test_a_new_cause_is_recorded_although_the_rows_are_the_same(dataset: Dataset, publish: Publish) -> None:
    first = publish("2013-01", [1], why="a")
    again = publish("2013-01", [1], why="b")
    assert again.changed
    assert again.version == first.version + 1
    assert again.digest == first.digest


def test_the_commit_says_run_and_cause(dataset: Dataset, publish: Publish) -> None:
    publish("2013-01", [1], why="a")
    snapshot = dataset.snapshot()
    assert snapshot is not None
    about = snapshot.table.history(1)[0]
    assert about["run_id"] == "test"
    assert json.loads(about["cause"]) == {"inputs": {"rows": "a"}, "config": "config", "code": "1"}


def test_a_partition_that_changed_since_staging_is_a_conflict(dataset: Dataset, publish: Publish) -> None:
    late = dataset.stage("2013-01", table(value=[9]))
    publish("2013-01", [1])
    with pytest.raises(Conflict, match=r"orders, partition 2013-01.*version 1"):
        dataset.publish(late, cause=Cause({}, "late", "1"), run_id="late")
    assert values(dataset, "2013-01") == [1]
    assert not late.folder.exists()


def test_what_was_replaced_since_the_inputs_were_looked_up_is_a_conflict(dataset: Dataset, publish: Publish) -> None:
    publish("2013-01", [1])
    base = dataset.base("2013-01")
    publish("2013-01", [2])
    late = dataset.stage("2013-01", table(value=[9]), base=base)
    with pytest.raises(Conflict):
        dataset.publish(late, cause=Cause({}, "late", "1"), run_id="late")


def test_another_run_with_the_same_cause_is_no_conflict(dataset: Dataset, publish: Publish) -> None:
    late = dataset.stage("2013-01", table(value=[1]))
    publish("2013-01", [1], why="same")
    done = dataset.publish(late, cause=Cause({"rows": "same"}, "config", "1"), run_id="late")
    assert not done.changed


def test_a_conflict_leaves_no_file_behind(dataset: Dataset, publish: Publish) -> None:
    late = dataset.stage("2013-01", table(value=[9]))
    publish("2013-01", [1])
    with pytest.raises(Conflict):
        dataset.publish(late, cause=Cause({}, "late", "1"), run_id="late")
    assert len(list(Path(dataset.uri).rglob("*.parquet"))) == 1


def test_other_columns_than_the_table_has_are_refused_by_name(dataset: Dataset, publish: Publish) -> None:
    publish("2013-01", [1])
    staged = dataset.stage("2013-02", table(value=["one"], more=[1]))
    with pytest.raises(UsageError, match=r"`value` is string here and int64 in the table; `more` \(int64\) is not in"):
        dataset.publish(staged, cause=Cause({}, "x", "1"), run_id="r")


def test_the_order_of_columns_does_not_count(dataset: Dataset) -> None:
    first = dataset.stage("2013-01", table(a=[1], b=["x"]))
    dataset.publish(first, cause=Cause({}, "1", "1"), run_id="r")
    second = dataset.stage("2013-02", table(b=["x"], a=[1]))
    dataset.publish(second, cause=Cause({}, "2", "1"), run_id="r")
    assert first.digest == second.digest
    snapshot = dataset.snapshot()
    assert snapshot is not None
    assert snapshot.arrow(["2013-02"]).to_table().select(["a", "b"]).to_pylist() == [{"a": 1, "b": "x"}]


def test_times_are_kept_as_utc_microseconds(dataset: Dataset) -> None:
    import pyarrow as pa

    new_york = pa.array([1_359_349_200_000_000_123], pa.timestamp("ns", "America/New_York"))
    staged = dataset.stage("2013-01", table(at=new_york))
    assert staged.schema.field("at").type == pa.timestamp("us", "UTC")


def test_a_time_without_a_zone_is_refused(dataset: Dataset) -> None:
    import pyarrow as pa

    with pytest.raises(UsageError, match=r"orders, partition 2013-01: column at is a time without a zone"):
        dataset.stage("2013-01", table(at=pa.array([0], pa.timestamp("us"))))


def test_a_type_that_delta_cannot_hold_is_refused(dataset: Dataset) -> None:
    import pyarrow as pa

    with pytest.raises(UsageError, match=r"column span has the type duration\[s\]"):
        dataset.stage("2013-01", table(span=pa.array([1], pa.duration("s"))))


def test_the_partition_column_belongs_to_the_lake(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="`partition` belongs to the lake"):
        dataset.stage("2013-01", table(partition=["2013-01"]))


def test_a_key_that_is_no_folder_name_is_refused(dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="cannot be a partition key"):
        dataset.stage("../2013", table(value=[1]))


def test_a_partition_that_is_not_there_is_named(dataset: Dataset, publish: Publish) -> None:
    publish("2013-01", [1])
    snapshot = dataset.snapshot()
    assert snapshot is not None
    with pytest.raises(MissingInput, match="orders, version 1: no partition 2013-07"):
        snapshot.arrow(["2013-01", "2013-07"])


def test_no_keys_give_no_rows(dataset: Dataset, publish: Publish) -> None:
    publish("2013-01", [1])
    snapshot = dataset.snapshot()
    assert snapshot is not None
    assert snapshot.arrow([]).count_rows() == 0


def test_a_failing_source_leaves_nothing_behind(dataset: Dataset) -> None:
    import pyarrow as pa

    schema = pa.schema([("value", pa.int64())])

    def batches() -> object:
        yield pa.record_batch({"value": [1]}, schema=schema)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        dataset.stage("2013-01", pa.RecordBatchReader.from_batches(schema, batches()))
    assert not list(Path(dataset.uri).rglob("*.parquet"))


def test_what_killed_runs_left_is_removed_after_a_day(dataset: Dataset) -> None:
    old = dataset.stage("2013-01", table(value=[1]))
    young = dataset.stage("2013-01", table(value=[2]))
    for path in (*old.paths, old.folder):
        os.utime(path, (0, 0))
    dataset.stage("2013-01", table(value=[3]))
    assert not old.folder.exists()
    assert young.folder.exists()


def test_staging_of_another_worker_is_not_judged_by_the_clock_of_this_one(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataset.stage("2013-01", table(value=[1]))
    ahead = time.time() + 10 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: ahead)
    dataset.stage("2013-01", table(value=[2]))
    assert other.folder.exists()


def test_quarantine_keeps_rows_and_reasons_and_publishes_nothing(dataset: Dataset) -> None:
    staged = dataset.stage("2013-01", table(value=[1]))
    place = Path(dataset.quarantine(staged, reasons=["too few"]))
    assert json.loads((place / "reasons.json").read_text())["reasons"] == ["too few"]
    assert (place / "part-0.parquet").is_file()
    assert dataset.snapshot() is None


def test_the_same_rows_are_in_quarantine_once(dataset: Dataset) -> None:
    places = {dataset.quarantine(dataset.stage("2013-01", table(value=[1])), reasons=["x"]) for _ in range(2)}
    assert len(places) == 1


def test_sixty_publishes_keep_checkpoints_and_every_version(dataset: Dataset, publish: Publish) -> None:
    for number in range(60):
        publish(f"2013-{number % 12 + 1:02}", [number])
    log = Path(dataset.uri) / "_delta_log"
    assert len(list(log.glob("*.checkpoint.parquet"))) >= 5
    assert len(list(log.glob("*.json"))) == 61
    assert values(dataset, "2013-01", version=1) == [0]
    assert values(dataset, "2013-01") == [48]


def test_many_small_batches_make_one_file(dataset: Dataset) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    reader = pa.table({"value": list(range(500))}).to_reader(max_chunksize=1)
    staged = dataset.stage("2013-01", reader)
    assert [pq.read_metadata(path).num_row_groups for path in staged.paths] == [1]


def test_an_empty_partition_is_a_partition(dataset: Dataset, publish: Publish) -> None:
    publish("2013-01", [])
    snapshot = dataset.snapshot()
    assert snapshot is not None
    assert snapshot.partitions["2013-01"].rows == 0


def test_a_remote_lake_is_refused_for_writing() -> None:
    with pytest.raises(UsageError, match="not a local path"):
        Lake("s3://bucket/lake").dataset("shop", "orders").stage("2013-01", table(value=[1]), base=frozenset())


def test_vacuum_finds_what_a_killed_publish_left_but_neither_staging_nor_quarantine(
    dataset: Dataset, publish: Publish
) -> None:
    publish("2013-01", [1])
    dataset.stage("2013-01", table(value=[2]))
    dataset.quarantine(dataset.stage("2013-01", table(value=[3])), reasons=["x"])
    orphan = Path(dataset.uri) / "partition=2013-01" / "orphan.parquet"
    orphan.write_bytes(b"")
    snapshot = dataset.snapshot()
    assert snapshot is not None
    found = snapshot.table.vacuum(retention_hours=0, dry_run=True, enforce_retention_duration=False, full=True)
    assert found == ["partition=2013-01/orphan.parquet"]
