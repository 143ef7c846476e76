from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.conftest import SmallDisk
from tests.unit.features.conftest import online

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import MalformedInput, NotReady, SpecError, StorageFault, UsageError
from tradewind.features.dataset_versions import newest_versions
from tradewind.features.feature_window import partition_window
from tradewind.features.stage import Materialised, materialise_features
from tradewind.ledger import completion
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline

W1, W2, W3 = "2013-01-07", "2013-01-14", "2013-01-21"


def journal(runtime: Runtime) -> int:
    ledger = Ledger(runtime.ledger)
    return sum(len(ledger.find("flights", kind)) for kind in ("started", "materialised", "complete"))


def test_online_values_are_those_of_the_partition(runtime: Runtime, spec: Pipeline, etl) -> None:
    etl(W1, 10.0)
    result = materialise_features(Deployment(spec, runtime), W1)
    assert online(runtime, spec, "carrier_week:carrier_late", "carrier_week:carrier_flights", carrier="UA") == [11.0, 1]
    assert online(runtime, spec, "route_week:route_late", origin="JFK", dest="SFO") == [11.0]
    rows = {"carrier_week": 2, "origin_week": 1, "route_week": 2}
    assert result == Materialised(rows, dict.fromkeys(rows, 0), result.windows, changed=True)
    assert result.windows["carrier_week"].end == spec.partitioning.bounds(W1).end


def test_the_stage_is_complete_afterwards(runtime: Runtime, spec: Pipeline, etl) -> None:
    etl(W1, 10.0)
    materialise_features(Deployment(spec, runtime), W1)
    ledger = Ledger(runtime.ledger)
    (entry,) = ledger.find("flights", "complete", subject="features", partition=W1)
    (written,) = ledger.find("flights", "materialised", subject="features", partition=W1)
    assert entry.evidence["rows"] == written.evidence["rows"] == {"carrier_week": 2, "origin_week": 1, "route_week": 2}
    assert written.evidence["versions"] == newest_versions(
        Deployment(spec, runtime), ["carrier_week", "origin_week", "route_week"]
    )
    assert completion.lost_events(ledger, "flights", {"etl": ("features",)}, [W1], older_than=timedelta(0)) == []


def test_nothing_is_done_twice(runtime: Runtime, spec: Pipeline, etl) -> None:
    etl(W1, 10.0)
    first = materialise_features(Deployment(spec, runtime), W1)
    entries = journal(runtime)
    assert materialise_features(Deployment(spec, runtime), W1) == replace(first, changed=False)
    assert journal(runtime) == entries


def test_a_kill_before_completion_is_made_good(runtime: Runtime, spec: Pipeline, etl, monkeypatch) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    etl(W1, 10.0)
    with monkeypatch.context() as patch:
        patch.setattr(completion, "record_completion", die)
        with pytest.raises(KeyboardInterrupt):
            materialise_features(Deployment(spec, runtime), W1)
    assert not materialise_features(Deployment(spec, runtime), W1).changed
    assert completion.is_complete(Ledger(runtime.ledger), "flights", "features", W1)


def test_a_kill_while_writing_is_made_good(runtime: Runtime, spec: Pipeline, etl, monkeypatch) -> None:
    from tradewind.features.online import sqlite

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    etl(W1, 10.0)
    materialise_features(Deployment(spec, runtime), W1)
    etl(W2, 20.0)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "_write_chunk", die)
        with pytest.raises(KeyboardInterrupt):
            materialise_features(Deployment(spec, runtime), W2)
    assert online(runtime, spec, "carrier_week:carrier_late", carrier="AA") == [10.0]
    assert materialise_features(Deployment(spec, runtime), W2).changed
    assert online(runtime, spec, "carrier_week:carrier_late", carrier="AA") == [20.0]


def test_corrected_data_is_written_again_and_back(runtime: Runtime, spec: Pipeline, etl) -> None:
    for value in (10.0, 20.0, 10.0):
        etl(W1, value)
        assert materialise_features(Deployment(spec, runtime), W1).changed
        assert online(runtime, spec, "origin_week:origin_late", origin="JFK") == [value]
    reasons = [entry.reason for entry in Ledger(runtime.ledger).find("flights", "materialised")]
    assert reasons == ["first time"] + 2 * ["again: its datasets, the definitions or the configuration changed"]


def test_changed_definitions_are_applied_and_written(runtime: Runtime, spec: Pipeline, etl) -> None:
    etl(W1, 10.0)
    materialise_features(Deployment(spec, runtime), W1)
    path = runtime.project / "features.py"
    path.write_text(path.read_text().replace('name="origin_week"', 'name="airport_week"'))
    assert materialise_features(Deployment(spec, runtime), W1).rows == {
        "carrier_week": 2,
        "airport_week": 1,
        "route_week": 2,
    }
    assert online(runtime, spec, "airport_week:origin_late", origin="JFK") == [10.0]


def test_an_older_partition_does_not_overwrite_a_newer_one(runtime: Runtime, spec: Pipeline, etl) -> None:
    etl(W2, 20.0)
    materialise_features(Deployment(spec, runtime), W2)
    etl(W1, 10.0)
    result = materialise_features(Deployment(spec, runtime), W1)
    assert online(runtime, spec, "origin_week:origin_late", origin="JFK") == [20.0]
    assert result.kept == {"carrier_week": 2, "origin_week": 1, "route_week": 2}
    # nor is what came after it read again: what a backfill costs does not grow with what lies behind it
    assert result.windows["origin_week"].end < spec.partitioning.bounds(W1).end + timedelta(seconds=1)


def test_newer_values_that_changed_definitions_swept_away_are_written_with_the_older(
    runtime: Runtime, spec: Pipeline, etl
) -> None:
    etl(W1, 10.0)
    etl(W2, 20.0)
    materialise_features(Deployment(spec, runtime), W2)
    path = runtime.project / "features.py"
    path.write_text(path.read_text().replace('name="origin_week"', 'name="airport_week"'))
    assert (
        materialise_features(Deployment(spec, runtime), W1).windows["airport_week"].end
        == spec.partitioning.bounds(W2).end
    )
    assert online(runtime, spec, "airport_week:origin_late", origin="JFK") == [20.0]


def test_what_only_an_older_partition_knows_is_written_late(runtime: Runtime, spec: Pipeline, etl, publish) -> None:
    etl(W2, 20.0)
    materialise_features(Deployment(spec, runtime), W2)
    etl(W1, 10.0)
    publish("origin_week", W1, [{"origin": "EWR", "origin_late": 5.0}])
    materialise_features(Deployment(spec, runtime), W1)
    assert online(runtime, spec, "origin_week:origin_late", origin="EWR") == [5.0]


def test_lookback_covers_earlier_partitions(runtime: Runtime, spec: Pipeline, etl, publish) -> None:
    etl(W1, 10.0)
    etl(W2, 20.0)
    publish("origin_week", W1, [{"origin": "EWR", "origin_late": 5.0}])
    assert spec.features is not None
    wider = spec.model_copy(update={"features": spec.features.model_copy(update={"lookback": 2})})
    assert materialise_features(Deployment(wider, runtime), W2).rows["origin_week"] == 2
    assert online(runtime, spec, "origin_week:origin_late", origin="EWR") == [5.0]


def test_lookback_can_be_given_for_a_view(runtime: Runtime, spec: Pipeline, etl, publish) -> None:
    etl(W1, 10.0)
    etl(W2, 20.0)
    publish("origin_week", W1, [{"origin": "EWR", "origin_late": 5.0}])
    publish("carrier_week", W1, [{"carrier": "DL", "carrier_late": 5.0, "carrier_flights": 1}])
    assert spec.features is not None
    wider = spec.model_copy(update={"features": spec.features.model_copy(update={"views": {"origin_week": 2}})})
    result = materialise_features(Deployment(wider, runtime), W2)
    assert result.rows == {"carrier_week": 2, "origin_week": 2, "route_week": 2}
    assert result.windows["origin_week"] == partition_window(spec.partitioning, W2, lookback=2)
    assert result.windows["carrier_week"] == partition_window(spec.partitioning, W2, lookback=1)


def test_lookback_of_a_view_that_is_not_there_is_refused(runtime: Runtime, spec: Pipeline, etl) -> None:
    etl(W1, 10.0)
    assert spec.features is not None
    wrong = spec.model_copy(update={"features": spec.features.model_copy(update={"views": {"origin_weak": 2}})})
    with pytest.raises(SpecError, match=r"no feature view origin_weak, .*; did you mean origin_week"):
        materialise_features(Deployment(wrong, runtime), W1)


def test_etl_must_be_complete(runtime: Runtime, spec: Pipeline) -> None:
    with pytest.raises(NotReady, match=f"etl of partition {W1} is not complete"):
        materialise_features(Deployment(spec, runtime), W1)


def test_a_partition_that_is_not_over_is_refused(runtime: Runtime, spec: Pipeline) -> None:
    now = spec.partitioning.key_at(datetime.now(UTC))
    completion.record_completion(Ledger(runtime.ledger), "flights", "etl", now, cause="x")
    with pytest.raises(UsageError, match=f"partition {now} ends at .*, which is in the future"):
        materialise_features(Deployment(spec, runtime), now)
    assert not completion.is_complete(Ledger(runtime.ledger), "flights", "features", now)


def test_a_pipeline_without_features_is_told_so(runtime: Runtime, spec: Pipeline) -> None:
    with pytest.raises(SpecError, match="no `features`"):
        materialise_features(Deployment(spec.model_copy(update={"features": None}), runtime), W1)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"known_at": datetime(2013, 1, 21, 5, 0, 1, tzinfo=UTC)}], "1 rows have no known_at after 2013-01-14"),
        ([{"known_at": datetime(2013, 1, 14, 4, 59, tzinfo=UTC)}], "1 rows have no known_at after 2013-01-14"),
        ([{"known_at": None}], "1 rows have no known_at"),
        ([{}, {"origin": None}], "1 rows have NULL in an entity column"),
        ([{}, {}], "1 entities .* have more than one row for one known_at"),
    ],
)
def test_rows_that_are_not_right_in_time_are_refused(
    runtime: Runtime, spec: Pipeline, etl, publish, rows: list[dict[str, Any]], said: str
) -> None:
    etl(W2, 20.0)
    publish("origin_week", W2, [{"origin": "JFK", "origin_late": 1.0, **row} for row in rows])
    with pytest.raises(
        MalformedInput, match=f"feature view origin_week over dataset origin_week, partition {W2}: {said}"
    ):
        materialise_features(Deployment(spec, runtime), W2)
    assert Ledger(runtime.ledger).find("flights", "materialised") == []


def test_a_row_known_as_its_partition_begins_is_refused_for_its_own_training_rows_would_see_it(
    runtime: Runtime, spec: Pipeline, etl, publish
) -> None:
    etl(W1, 10.0)
    etl(W2, 20.0)
    begin = spec.partitioning.bounds(W2).start
    publish("origin_week", W2, [{"known_at": begin, "origin": "JFK", "origin_late": 1.0}])
    with pytest.raises(MalformedInput, match="1 rows have no known_at after 2013-01-14"):
        materialise_features(Deployment(spec, runtime), W2)


def test_views_that_are_not_online_are_left_out(runtime: Runtime, spec: Pipeline, etl) -> None:
    path = runtime.project / "features.py"
    path.write_text(path.read_text().replace('name="origin_week",', 'name="origin_week", online=False,'))
    etl(W1, 10.0)
    assert set(materialise_features(Deployment(spec, runtime), W1).rows) == {"carrier_week", "route_week"}


def test_feast_prints_nothing(runtime: Runtime, spec: Pipeline, etl, capsys) -> None:
    etl(W1, 10.0)
    materialise_features(Deployment(spec, runtime), W1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("place", ["feast_registry", "feast_online"])
def test_a_full_disk_of_the_feature_store_is_named_and_room_heals_it(
    runtime: Runtime, spec: Pipeline, etl, small_disk: SmallDisk, place: str
) -> None:
    etl(W1, 10.0)
    path = small_disk.folder / "feast.db"
    online = {"type": "sqlite", "path": str(path)}
    runtime = replace(runtime, **{place: online if place == "feast_online" else f"sqlite:///{path}"})
    small_disk.fill()
    with pytest.raises(StorageFault, match=f"the disk of {small_disk.folder} is full"):
        materialise_features(Deployment(spec, runtime), W1)
    small_disk.empty()
    assert materialise_features(Deployment(spec, runtime), W1).changed
