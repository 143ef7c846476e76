"""The rows of one entity are gone from wherever the pipeline kept them, and what that breaks says so."""

from __future__ import annotations

import json
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from tests.delays_pipeline import carrier_week, flights, write_population

from tradewind.errors import Conflict, MissingInput, UsageError
from tradewind.features.dataset_versions import newest_versions
from tradewind.features.feature_store import open_feature_store
from tradewind.features.stage import materialise_features
from tradewind.lake import publish
from tradewind.lake.cause import Cause
from tradewind.ledger import completion
from tradewind.ledger.journal import Entry
from tradewind.training.model_frame import training_frame
from tradewind.upkeep import erasure

REASON = "asked for on paper, file 12"


def erase(house, **options):
    entity = options.pop("entity", {"carrier": "UA"})
    return erasure.erase_entity(house.deployment, entity, reason=REASON, now=datetime.now(UTC), **options)


def files_with(house, value: str) -> list[Path]:
    """Every Parquet file below the lake with the value in some row, by reading each in full."""
    found = []
    for path in Path(house.runtime.lake).rglob("*.parquet"):
        if "_delta_log" not in path.parts and value in json.dumps(pq.ParquetFile(path).read().to_pylist(), default=str):
            found.append(path)
    return found


def carriers(house, dataset: str = "carrier_week") -> set[str]:
    table = house.lake.dataset("delays", dataset).snapshot().arrow().to_table()
    return set(table["carrier"].to_pylist())


def predict(house) -> None:
    rows = {"flight_id": ["a", "b"], "carrier": ["UA", "AA"], "probability": [0.1, 0.9], "run_id": ["r", "r"]}
    pins = json.dumps(newest_versions(house.deployment, ["carrier_week"]))
    rows |= {"scored_at": pa.array([datetime.now(UTC)] * 2, pa.timestamp("us", "UTC")), "dataset_versions": [pins] * 2}
    house.publish("predictions", house.week(5), pa.table(rows))


def trained(house, version: str = "1") -> None:
    evidence = {"versions": newest_versions(house.deployment, ["carrier_week", "flights"])}
    house.ledger.append(Entry("delays", "trained", version, house.week(4), version, evidence=evidence))


def correct(house, number: int) -> None:
    week = house.week(number)
    rows = flights(week, seed=1)
    house.publish("flights", week, rows, cause="corrected")
    house.publish("carrier_week", week, carrier_week(week, rows), cause="corrected")


def test_no_file_of_any_version_has_it_any_more(house) -> None:
    correct(house, 2)
    predict(house)
    before = {name: len(carriers(house, name)) for name in ("flights", "carrier_week", "predictions")}
    assert files_with(house, "UA")
    done = erase(house)
    assert files_with(house, "UA") == []
    assert {name: len(carriers(house, name)) for name in before} == {name: n - 1 for name, n in before.items()}
    rows = {one.dataset: one.rows for one in done.datasets}
    assert rows["carrier_week"] == 8
    assert rows["predictions"] == 1


def test_the_others_rows_are_what_they_were(house) -> None:
    def others():
        table = house.lake.dataset("delays", "flights").snapshot().arrow().to_table()
        return sorted((row for row in table.to_pylist() if row["carrier"] != "UA"), key=str)

    before = others()
    erase(house)
    assert others() == before


def test_it_is_not_taken_for_stale_and_older_versions_say_what_happened(house) -> None:
    dataset = house.lake.dataset("delays", "carrier_week")
    before = dataset.snapshot()
    erase(house)
    after = dataset.snapshot()
    assert {key: one.cause for key, one in after.partitions.items()} == {
        key: one.cause for key, one in before.partitions.items()
    }
    with pytest.raises(MissingInput, match="vacuumed or erased"):
        dataset.snapshot(before.version).arrow()


def test_a_dry_run_says_it_and_removes_nothing(house) -> None:
    predict(house)
    trained(house)
    before = files_with(house, "UA")
    would = erase(house, dry_run=True)
    assert files_with(house, "UA") == before
    assert house.ledger.find("delays", "erased") == []
    done = erase(house)
    assert [(one.dataset, one.rows, one.files) for one in would.datasets] == [
        (one.dataset, one.rows, one.files) for one in done.datasets
    ]
    assert would.models == done.models == ("1",)


def test_what_can_no_longer_be_reproduced_says_so(house) -> None:
    trained(house)
    predict(house)
    done = erase(house)
    trained(house, "2")
    assert (done.models, done.predictions) == (("1",), (house.week(5),))
    (entry,) = house.ledger.find("delays", "erased", subject="1")
    assert entry.outcome == erasure.GONE
    assert house.ledger.has("delays", "erased", subject="predictions", partition=house.week(5))
    assert erase(house, entity={"carrier": "WN"}).models == ("1", "2")


def test_the_journal_does_not_say_whose_rows_they_were(house) -> None:
    erase(house)
    begun, erased = house.ledger.find("delays", "erased", subject="entity")
    assert (begun.outcome, erased.outcome) == ("begun", "erased")
    assert erased.reason == REASON
    assert erased.evidence["removed"]["carrier_week"]["rows"] == 8
    written = json.dumps([dict(entry.evidence) for entry in house.ledger.find("delays", "erased")])
    assert "UA" not in written
    with pytest.raises(UsageError, match="say it without the value"):
        erasure.erase_entity(house.deployment, {"carrier": "UA"}, reason="UA asked", now=datetime.now(UTC))


def test_quarantine_and_malformed_rows_go_too(house) -> None:
    dataset = house.lake.dataset("delays", "carrier_week")
    rows = carrier_week(house.week(9), flights(house.week(9)))
    held = Path(dataset.quarantine(dataset.stage(house.week(9), rows.to_reader()), reasons=["wrong"]))
    malformed = Path(dataset.uri, "_quarantine", house.week(9), "bad-1")
    malformed.mkdir(parents=True)
    lines = {"view": ["source"], "file": ["f.csv"], "line": [3], "reason": ["no number"], "text": ["UA,x,7"]}
    pq.write_table(pa.table(lines), malformed / "rows.parquet")
    (one,) = [one for one in erase(house).datasets if one.dataset == "carrier_week"]
    assert len(one.quarantined) == 2
    assert not held.exists()
    assert not malformed.exists()


def test_the_online_store_forgets_it_and_keeps_the_others(house) -> None:
    week = house.week(7)
    completion.record_completion(house.ledger, "delays", "etl", week, cause="test")
    materialise_features(house.deployment, week)

    def online(carrier: str):
        with open_feature_store(house.deployment, versions={}) as store:
            found = store.get_online_features(["carrier_week:flown"], [{"carrier": carrier}]).to_dict()
        return found["flown"]

    assert online("UA") != [None]
    assert erase(house).online == {"carrier_week": 1}
    assert online("UA") == [None]
    assert online("AA") != [None]
    with sqlite3.connect(house.runtime.feast_online["path"]) as connection:
        keys = connection.execute("SELECT DISTINCT entity_key FROM delays_carrier_week").fetchall()
    assert len(keys) == 2
    assert b"UA" not in Path(house.runtime.feast_online["path"]).read_bytes()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", ["commit", "remove"])
def test_a_run_that_was_killed_is_finished_by_the_next(house, monkeypatch, at) -> None:
    from tradewind.lake import storage

    trained(house)
    predict(house)
    module, name = {"commit": (publish, "commit_partition"), "remove": (storage, "remove_path")}[at]
    original, calls = getattr(module, name), []

    def die(*arguments, **options):
        calls.append(1)
        if len(calls) == 12:
            raise Killed
        return original(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, die)
        with pytest.raises(Killed):
            erase(house)
    assert files_with(house, "UA")
    done = erase(house)
    assert files_with(house, "UA") == []
    assert done.models == ("1",)
    assert [entry.outcome for entry in house.ledger.find("delays", "erased", subject="entity")] == [
        "begun",
        "begun",
        "erased",
    ]
    # What the killed run removed is counted too, table by table.
    removing = [e for e in house.ledger.find("delays", "erased", subject="carrier_week") if e.outcome == "removing"]
    assert removing[0].evidence["rows"] == 8


def test_an_erasure_beside_runs_that_publish_and_clean_ends_with_the_rows_gone(house) -> None:
    """Other runs replace partitions, vacuum old versions and empty the quarantine all the time."""
    import threading

    from tradewind.errors import Unavailable
    from tradewind.lake.vacuum import vacuum_dataset

    stop, failed = threading.Event(), list[BaseException]()

    def work(number: int) -> None:
        while not stop.is_set():
            try:
                rows = flights(house.week(number), seed=number)
                house.publish("carrier_week", house.week(number), carrier_week(house.week(number), rows), cause="again")
                vacuum_dataset(
                    house.lake.dataset("delays", "carrier_week"), pinned=(), history=timedelta(0),
                    quarantine=timedelta(0), now=datetime.now(UTC) + timedelta(hours=1),
                )  # fmt: skip
            except Conflict:
                continue
            except BaseException as exc:
                failed.append(exc)
                return

    workers = [threading.Thread(target=work, args=(number,)) for number in (2, 3)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(8):
            with suppress(Unavailable):  # which names the run that publishes
                erase(house)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert failed == []
    erase(house)
    assert files_with(house, "UA") == []


def test_a_partition_that_is_published_meanwhile_is_erased_too(house, monkeypatch) -> None:
    original = publish.commit_partition

    def overtaken(*arguments, **options):
        monkeypatch.setattr(publish, "commit_partition", original)
        correct(house, 3)  # both datasets, with rows of the entity, just before ours is committed
        return original(*arguments, **options)

    monkeypatch.setattr(publish, "commit_partition", overtaken)
    erase(house)
    assert files_with(house, "UA") == []


def test_rows_that_were_staged_before_lose_against_the_erasure(house) -> None:
    from tradewind.errors import Conflict

    dataset, week = house.lake.dataset("delays", "carrier_week"), house.week(2)
    staged = dataset.stage(week, carrier_week(week, flights(week, seed=3)).to_reader())
    (one,) = [one for one in erase(house).datasets if one.dataset == "carrier_week"]
    assert one.staged
    with pytest.raises(Conflict):
        dataset.publish(staged, cause=Cause({"a": "b"}, "", ""), run_id="test")
    assert carriers(house) == {"AA", "WN"}
    assert not erase(house).found


def test_training_goes_on_without_it(house) -> None:
    erase(house)
    weeks = [house.week(number) for number in range(1, 5)]
    versions = newest_versions(house.deployment, ["carrier_week", "flights"])
    end = house.spec.partitioning.bounds(weeks[-1]).end
    frame = training_frame(house.deployment, weeks, known_by=end, versions=versions)
    assert set(frame.table["carrier"].to_pylist()) == {"AA", "WN"}
    assert frame.table["late_share"].null_count == 0


def test_columns_may_be_called_otherwise(house) -> None:
    house.publish("flights", house.week(9), flights(house.week(9)))
    erase(house, entity={"flight_id": f"{house.week(9)}-0"}, renamed={"carrier_week": {"carrier": "WN"}})
    assert files_with(house, f'"{house.week(9)}-0"') == []
    assert carriers(house) == {"AA", "UA"}
    assert carriers(house, "flights") == {"AA", "UA", "WN"}


def test_a_column_that_nobody_has_is_told(house) -> None:
    with pytest.raises(UsageError, match="no dataset has the columns passenger"):
        erase(house, entity={"passenger": "7"})
    with pytest.raises(UsageError, match="there is no dataset planes"):
        erase(house, renamed={"planes": {"tail": "7"}})


def test_the_command_says_what_it_did(house, monkeypatch) -> None:
    from tradewind.cli import erase as command

    monkeypatch.setattr(command.deployments, "find_pipeline", lambda name: house.spec)
    monkeypatch.setattr(command.deployments, "find_runtime", lambda actor: house.runtime)
    trained(house)
    write_population(house, house.week(5))
    arguments = ["delays", "--entity", "carrier=UA", "--reason", REASON]
    told = CliRunner().invoke(command.run_erasure, [*arguments, "--dry-run"], catch_exceptions=False)
    assert (
        "carrier_week: 8 rows of 8 partitions, 8 files of old versions, 0 in quarantine would be removed" in told.output
    )
    done = CliRunner().invoke(command.run_erasure, [*arguments, "--json"], catch_exceptions=False)
    assert json.loads(done.output)["not_reproducible"] == {"models": ["1"], "predictions": []}
    again = CliRunner().invoke(command.run_erasure, arguments, catch_exceptions=False)
    assert "nothing of it is there" in again.output
    assert (done.exit_code, again.exit_code) == (0, 0)


@pytest.mark.parametrize("text", ["carrier", "=UA", "carrier="])
def test_an_entity_is_a_column_and_a_value(text: str) -> None:
    from tradewind.cli.erase import parse_entity

    with pytest.raises(UsageError, match="write COLUMN=VALUE"):
        parse_entity([text])
    assert parse_entity(["a=1", "b=x=y", "d.c=2"]) == ({"a": "1", "b": "x=y"}, {"d": {"c": "2"}})
