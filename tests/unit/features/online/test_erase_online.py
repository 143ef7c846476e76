"""An entity is removed from each online store, with all its keys; SQLite, Redis and PostgreSQL for real."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.unit.features.conftest import online, publish_rows

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.features.stage import materialise_features
from tradewind.ledger import completion
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline
from tradewind.upkeep import erasure

WEEK = "2013-01-07"


@pytest.fixture
def served(placed: Runtime, own: Callable[[str], Pipeline]) -> Pipeline:
    """Two origins, one with two routes, and two carriers are online."""
    spec = own("erase")
    routes = (("JFK", "LAX"), ("JFK", "SFO"), ("EWR", "LAX"))
    rows = {
        "carrier_week": [{"carrier": c, "carrier_late": 1.0, "carrier_flights": 1} for c in ("AA", "UA")],
        "route_week": [{"origin": o, "dest": d, "route_late": 2.0} for o, d in routes],
        "origin_week": [{"origin": o, "origin_late": 3.0} for o in ("JFK", "EWR")],
    }
    for name, given in rows.items():
        publish_rows(placed, spec, name, WEEK, given)
    completion.record_completion(Ledger(placed.ledger), spec.pipeline, "etl", WEEK, cause="test")
    materialise_features(Deployment(spec, placed), WEEK)
    return spec


def erase(spec: Pipeline, runtime: Runtime, *, online: bool = True) -> dict[str, int]:
    now = datetime.now(UTC)
    done = erasure.erase_entity(
        Deployment(spec, runtime), {"origin": "JFK"}, reason="asked for", now=now, online=online
    )
    return {view: number for view, number in done.online.items() if number}


def test_every_key_that_belongs_to_the_entity_goes_and_no_other(placed: Runtime, served: Pipeline) -> None:
    assert erase(served, placed) == {"origin_week": 1, "route_week": 2}
    assert online(placed, served, "origin_week:origin_late", origin="JFK") == [None]
    assert online(placed, served, "route_week:route_late", origin="JFK", dest="SFO") == [None]
    assert online(placed, served, "origin_week:origin_late", origin="EWR") == [3.0]
    assert online(placed, served, "route_week:route_late", origin="EWR", dest="LAX") == [2.0]
    assert online(placed, served, "carrier_week:carrier_late", carrier="AA") == [1.0]
    assert erase(served, placed) == {}


def test_a_key_that_the_lake_no_longer_has_goes_too(placed: Runtime, served: Pipeline) -> None:
    assert erase(served, placed, online=False) == {}
    assert online(placed, served, "origin_week:origin_late", origin="JFK") == [3.0]
    assert erase(served, placed) == {"origin_week": 1}
    assert online(placed, served, "origin_week:origin_late", origin="JFK") == [None]
