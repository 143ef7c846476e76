"""After a partition is materialised, the online store is asked what training would get."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

import pytest

from tradewind.alerting.incidents import open_incidents
from tradewind.core.runtime import Runtime
from tradewind.core.skew import compare_feature
from tradewind.deployment import Deployment
from tradewind.features.online_skew import report_skew
from tradewind.features.stage import materialise_features
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline

W1, W2, W3 = "2013-01-07", "2013-01-14", "2013-01-21"
AGREED = {"differing": 0, "only_offline": 0, "only_online": 0}


def skew(runtime: Runtime, partition: str) -> dict[str, Any]:
    entry = Ledger(runtime.ledger).find("flights", "materialised", partition=partition)[-1]
    return dict(entry.evidence["skew"])


def incidents(runtime: Runtime) -> list[str]:
    return [one.message for one in open_incidents(Ledger(runtime.ledger), "flights")]


def test_what_was_written_is_what_training_would_get(runtime: Runtime, spec: Pipeline, etl) -> None:
    for week, value in ((W1, 10.0), (W2, 20.0)):
        etl(week, value)
        materialise_features(Deployment(spec, runtime), week)
    assert skew(runtime, W2) == {
        "carrier_week:carrier_late": {"compared": 2, **AGREED},
        "carrier_week:carrier_flights": {"compared": 2, **AGREED},
        "route_week:route_late": {"compared": 2, **AGREED},
        "origin_week:origin_late": {"compared": 1, **AGREED},
    }
    assert incidents(runtime) == []


@pytest.fixture
def _tampered(runtime: Runtime, spec: Pipeline, etl) -> None:
    """Somebody else writes into the online store: one origin and one carrier of the first week."""
    etl(W1, 10.0)
    materialise_features(Deployment(spec, runtime), W1)
    with sqlite3.connect(runtime.feast_online["path"]) as connection:
        ((other,),) = connection.execute(
            "SELECT value FROM flights_route_week WHERE feature_name = 'route_late' LIMIT 1"
        )
        connection.execute("UPDATE flights_origin_week SET value = ? WHERE feature_name = 'origin_late'", [other])
        connection.execute("UPDATE flights_carrier_week SET value = x'' WHERE feature_name = 'carrier_late'")
    with sqlite3.connect(runtime.feast_online["path"]) as connection:
        connection.execute("DELETE FROM flights_route_week")


@pytest.mark.usefixtures("_tampered")
def test_each_feature_says_how_it_differs(runtime: Runtime, spec: Pipeline, etl, publish, monkeypatch) -> None:
    # the next week has rows of another entity only, so nobody repairs what was broken
    etl(W2, 20.0)
    for name in ("carrier_week", "route_week", "origin_week"):
        new = {"carrier": "ZZ", "origin": "ZZ", "dest": "ZZ", "route_late": 1.0, "origin_late": 1.0}
        columns = {
            "carrier_week": {"carrier": "ZZ", "carrier_late": 1.0, "carrier_flights": 1},
            "route_week": {key: new[key] for key in ("origin", "dest", "route_late")},
            "origin_week": {key: new[key] for key in ("origin", "origin_late")},
        }
        publish(name, W2, [columns[name]])
    materialise_features(Deployment(spec, runtime), W2)
    found = skew(runtime, W2)
    assert found["carrier_week:carrier_late"] == {"compared": 3, **AGREED, "only_offline": 2}
    assert found["carrier_week:carrier_flights"] == {"compared": 3, **AGREED}
    assert found["route_week:route_late"] == {"compared": 3, **AGREED, "only_offline": 2}
    (message,) = incidents(runtime)
    assert "carrier_week:carrier_late (66.7% of 3)" in message
    assert "carrier_flights" not in message


@pytest.mark.usefixtures("_tampered")
def test_the_incident_closes_when_the_values_agree_again(runtime: Runtime, spec: Pipeline, etl, publish) -> None:
    etl(W2, 20.0)
    publish("carrier_week", W2, [{"carrier": "ZZ", "carrier_late": 1.0, "carrier_flights": 1}])
    materialise_features(Deployment(spec, runtime), W2)
    assert len(incidents(runtime)) == 1
    etl(W3, 30.0)
    materialise_features(Deployment(spec, runtime), W3)
    assert incidents(runtime) == []


def test_a_partition_that_waits_to_be_materialised_is_no_skew(runtime: Runtime, spec: Pipeline, etl, publish) -> None:
    etl(W1, 10.0)
    materialise_features(Deployment(spec, runtime), W1)
    etl(W1, 99.0)  # corrected, and its own run of features has not come yet
    etl(W2, 20.0)
    publish("origin_week", W2, [{"origin": "EWR", "origin_late": 1.0}])
    materialise_features(Deployment(spec, runtime), W2)
    assert skew(runtime, W2)["origin_week:origin_late"] == {"compared": 1, **AGREED}


def test_a_correction_that_is_still_being_published_is_no_skew(runtime: Runtime, spec: Pipeline, etl, publish) -> None:
    for week, value in ((W1, 10.0), (W2, 20.0)):
        etl(week, value)
        materialise_features(Deployment(spec, runtime), week)
    etl(W1, 11.0)
    publish("origin_week", W2, [{"origin": "JFK", "origin_late": 99.0}])  # the etl of W2 has not ended yet
    materialise_features(Deployment(spec, runtime), W1)
    assert incidents(runtime) == []
    etl(W2, 21.0)
    materialise_features(Deployment(spec, runtime), W2)
    assert skew(runtime, W2)["origin_week:origin_late"] == {"compared": 1, **AGREED}
    assert incidents(runtime) == []


def test_who_was_taken_out_of_a_later_partition_is_no_skew_before_that_is_materialised(
    runtime: Runtime, spec: Pipeline, etl, publish
) -> None:
    for week, value in ((W1, 10.0), (W2, 20.0)):
        etl(week, value)
        materialise_features(Deployment(spec, runtime), week)
    etl(W1, 11.0)
    etl(W2, 20.0)
    publish("origin_week", W2, [{"origin": "EWR", "origin_late": 99.0}])  # online, JFK has what it had in W2
    materialise_features(Deployment(spec, runtime), W1)
    assert incidents(runtime) == []


def test_an_incident_stays_while_what_it_is_about_was_not_compared_again(runtime: Runtime, spec: Pipeline) -> None:
    ledger, agreed, differs = (
        Ledger(runtime.ledger),
        compare_feature([1.0] * 10, [1.0] * 10),
        compare_feature([1.0] * 10, [2.0] * 10),
    )
    about: dict[str, Any] = {"partition": W1, "run_id": "r"}
    assert report_skew(spec, ledger, {"origin_week": {"origin_late": differs}}, **about) == ["origin_week:origin_late"]
    report_skew(spec, ledger, {"route_week": {"route_late": agreed}}, **about)
    assert len(incidents(runtime)) == 1
    report_skew(spec, ledger, {"origin_week": {"origin_late": agreed}}, **about)
    assert incidents(runtime) == []


def test_what_the_ttl_took_out_of_force_is_missing_on_both_sides(
    runtime: Runtime, spec: Pipeline, etl, publish
) -> None:
    path = runtime.project / "features.py"
    path.write_text(path.read_text().replace("days=14", "days=1"))
    etl(W1, 10.0)
    materialise_features(Deployment(spec, runtime), W1)
    etl(W2, 20.0)
    end = spec.partitioning.bounds(W2).end
    rows = [{"carrier": "ZZ", "carrier_late": 1.0, "carrier_flights": 1, "known_at": end - timedelta(days=2)}]
    publish("carrier_week", W2, [*rows, {"carrier": "AA", "carrier_late": 1.0, "carrier_flights": 1}])
    materialise_features(Deployment(spec, runtime), W2)
    assert skew(runtime, W2)["carrier_week:carrier_late"] == {"compared": 2, **AGREED}


def test_what_is_long_past_is_not_read_again(runtime: Runtime, spec: Pipeline, etl, publish, monkeypatch) -> None:
    monkeypatch.setattr("tradewind.features.online_skew._REACH", 1)
    etl(W1, 10.0)
    materialise_features(Deployment(spec, runtime), W1)
    etl(W2, 20.0)
    publish("origin_week", W2, [{"origin": "ZZ", "origin_late": 1.0}])
    materialise_features(Deployment(spec, runtime), W2)
    assert skew(runtime, W2)["origin_week:origin_late"] == {"compared": 1, **AGREED}


def test_the_sample_is_no_larger_than_the_yaml_says(runtime: Runtime, spec: Pipeline, etl) -> None:
    assert spec.features is not None
    small = spec.features.model_copy(update={"skew": spec.features.skew.model_copy(update={"sample": 1})})
    etl(W1, 10.0)
    materialise_features(Deployment(spec.model_copy(update={"features": small}), runtime), W1)
    assert {one["compared"] for one in skew(runtime, W1).values()} == {1}
