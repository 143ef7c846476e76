"""Upkeep's tasks about models, under the connections that Airflow gives them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from tests.registered_versions import WEEKS

from tradewind.alerting import incidents
from tradewind.alerting.channels import describe_next_step
from tradewind.champion.promotion import promote_passed_candidate
from tradewind.errors import ModelError, Unavailable
from tradewind.operators.upkeep import ArchiveOperator, ReconcileOperator

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture
def served(place, monkeypatch: pytest.MonkeyPatch):
    """Version 2 is champion; the connections name the deployment."""
    extra = {
        "project": str(place.runtime.project),
        "lake": place.runtime.lake,
        "landing": place.runtime.landing,
        "ledger": place.runtime.ledger,
        "feast_registry": place.runtime.feast_registry,
        "feast_online": dict(place.runtime.feast_online),
        "reports": str(place.runtime.reports),
    }
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", json.dumps({"conn_type": "tradewind", "extra": extra}))
    mlflow = {"conn_type": "mlflow", "extra": {"tracking_uri": place.runtime.mlflow}}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(mlflow))
    place.judge(WEEKS[1], "2")
    promote_passed_candidate(place.deployment, WEEKS[1], actor="airflow")
    return place


def execute(operator) -> object:
    return operator.execute({"dag_run": SimpleNamespace(run_id="upkeep", start_date=datetime.now(UTC))})


def reconcile(place) -> list[str]:
    """Messages of the incidents that are open after it."""
    execute(ReconcileOperator(task_id="reconcile", pipeline=place.spec))
    return [one.message for one in incidents.open_incidents(place.ledger, place.spec.pipeline)]


def test_an_edited_alias_is_an_incident_until_the_next_look_finds_nothing(served) -> None:
    assert reconcile(served) == []
    served.edit_alias("3")
    (message,) = reconcile(served)
    assert "version 3 champion" in message
    (incident,) = incidents.open_incidents(served.ledger, served.spec.pipeline)
    assert describe_next_step(incident).startswith("nothing, if it was a mistake: the alias is back")
    assert reconcile(served) == []
    assert served.alias == "2"


def test_a_champion_that_mlflow_does_not_have_fails_the_task_with_what_to_do(served) -> None:
    served.registry.client.delete_model_version(served.spec.model_name, "2")
    with pytest.raises(ModelError, match="tradewind rollback"):
        reconcile(served)


def test_a_model_card_that_cannot_be_written_fails_the_task_after_the_alias_was_looked_at(served) -> None:
    shutil.rmtree(served.runtime.reports)
    served.runtime.reports.touch()  # a file where the folder of the reports would be
    (champion,) = served.ledger.champions(served.spec.pipeline)
    served.ledger.promote(replace(champion, model_version="3", decided_at=WEEKS[3]), expected=1)  # and died
    with pytest.raises(Unavailable, match="the champion's model card could not be written"):
        reconcile(served)
    assert served.alias == "3"


@pytest.mark.parametrize("look_only", [True, "True", "False"])
def test_archiving_is_a_task_that_may_only_look(served, look_only: bool | str) -> None:
    operator = ArchiveOperator(task_id="archive", pipeline=served.spec, look_only=look_only)
    assert execute(operator) == {}  # all of them are young
