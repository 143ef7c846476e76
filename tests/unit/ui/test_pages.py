"""The plugin's pages: behind Airflow's login, and nothing but reports."""

from __future__ import annotations

import json
import xml.etree.ElementTree
from pathlib import Path

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi import HTTPException

from tradewind.alerting import incidents
from tradewind.ledger import absences, holds
from tradewind.ledger.journal import Entry, Ledger
from tradewind.ui.app import app, report, state
from tradewind.ui.overview import overview_page


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "reports"
    (folder / "trips").mkdir(parents=True)
    (folder / "trips" / "one.html").write_text("<p>fine</p>")
    (tmp_path / "secret.html").write_text("secret")
    (folder / "trips" / "link.html").symlink_to(tmp_path / "secret.html")
    names = ("project", "lake", "landing", "feast_registry")
    extra = dict.fromkeys(names, str(tmp_path)) | {"feast_online": {"type": "sqlite"}, "reports": str(folder)}
    extra["ledger"] = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", json.dumps({"conn_type": "tradewind", "extra": extra}))
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": "http://mlflow"}))
    return folder


def test_every_route_asks_for_a_user_of_airflow():
    routes = [route for route in app.routes if hasattr(route, "dependant")]
    assert routes
    for route in routes:
        wanted = [inner.call for outer in route.dependant.dependencies for inner in outer.dependencies]
        assert get_user in wanted


def test_a_report_is_served():
    assert report("trips/one.html").path.name == "one.html"


@pytest.mark.parametrize("path", ["../secret.html", "trips/link.html", "trips/none.html", "trips", "/etc/passwd"])
def test_nothing_else_is_served(path):
    with pytest.raises(HTTPException) as refused:
        report(path)
    assert refused.value.status_code == 404


def test_the_overview_shows_decisions_and_escapes_them(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    entry = Entry("trips", "decision", "train", "2024-01-01", "k", outcome="skip", reason="<b>not yet</b>")
    Ledger(url).append(entry)
    page = overview_page(url)
    assert "<h2 id='trips'>trips</h2>" in page  # the documentation of its DAGs links there
    assert "&lt;b&gt;not yet&lt;/b&gt;" in page
    assert "No open incident" in page


def test_an_open_incident_says_what_to_do(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    incidents.report(
        Ledger(url),
        pipeline="trips",
        stage="etl",
        task="rides",
        partition="2024-01-01",
        run_id="run-1",
        error_type="MissingInput",
        message="the file <x> is missing",
        link="http://airflow/log",
        runbook="http://runbook",
    )
    page = overview_page(url)
    assert "the file &lt;x&gt; is missing" in page
    assert "<code>tradewind backfill trips --from 2024-01-01 --to 2024-01-01</code>" in page
    assert "href='http://airflow/log'" in page
    assert "href='http://runbook'" in page


def test_the_overview_of_an_empty_ledger_says_what_to_do(tmp_path):
    assert "Start" in overview_page(f"sqlite:///{tmp_path}/empty.db")


def test_the_state_is_a_picture_of_what_the_ledger_says_now(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    before = state("trips")
    assert (before.media_type, before.headers["cache-control"]) == ("image/svg+xml", "no-store")
    assert b"nobody holds it" in before.body
    holds.hold(ledger, "trips", reason="the source <lies>", actor="ann")
    absences.skip(ledger, "trips", "2024-01-02", reason="strike", actor="bob")
    picture = xml.etree.ElementTree.fromstring(state("trips").body)
    text = " ".join(picture.itertext())
    assert "held by ann" in text
    assert "<lies>" in text
    assert "Partition 2024-01-02 is skipped by bob: strike" in text


def test_the_overview_says_what_a_person_has_stopped(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    holds.hold(ledger, "trips", reason="the source <lies>", actor="ann")
    absences.skip(ledger, "trips", "2024-01-02", reason="strike", actor="bob")
    page = overview_page(f"sqlite:///{tmp_path}/ledger.db")
    assert "held by ann" in page
    assert "the source &lt;lies&gt;" in page
    assert "2024-01-02 (bob: strike)" in page
