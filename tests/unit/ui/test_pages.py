"""The plugin's pages: behind Airflow's login, and nothing but reports."""

from __future__ import annotations

import json
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi import HTTPException

from tradewind.alerting import incidents
from tradewind.ledger import completion, holds, pins, serving_versions, shadows, skipped_partitions
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry, Ledger
from tradewind.ui.app import app, serve_report, serve_state_picture
from tradewind.ui.overview import render_overview_page


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
    assert serve_report("trips/one.html").path.name == "one.html"


@pytest.mark.parametrize("path", ["../secret.html", "trips/link.html", "trips/none.html", "trips", "/etc/passwd"])
def test_nothing_else_is_served(path):
    with pytest.raises(HTTPException) as refused:
        serve_report(path)
    assert refused.value.status_code == 404


def test_the_overview_shows_decisions_and_escapes_them(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    entry = Entry("trips", "decision", "train", "2024-01-01", "k", outcome="skip", reason="<b>not yet</b>")
    Ledger(url).append(entry)
    page = render_overview_page(url)
    assert "<h2 id='trips'>trips</h2>" in page  # the documentation of its DAGs links there
    assert "&lt;b&gt;not yet&lt;/b&gt;" in page
    assert "No open incident" in page


def test_an_open_incident_says_what_to_do(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    incidents.report_failure(
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
    page = render_overview_page(url)
    assert "the file &lt;x&gt; is missing" in page
    assert "<code>tradewind backfill trips --from 2024-01-01 --to 2024-01-01</code>" in page
    assert "href='http://airflow/log'" in page
    assert "href='http://runbook'" in page


def test_each_partition_of_an_incident_has_its_text_and_log(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    for day in ("2024-01-01", "2024-01-02"):
        incidents.report_failure(
            Ledger(url), pipeline="trips", stage="etl", task="rides", partition=day, run_id=day,
            error_type="MissingInput", message=f"{day}.csv is missing", link=f"http://airflow/{day}",
        )  # fmt: skip
    page = render_overview_page(url)
    for day in ("2024-01-01", "2024-01-02"):
        assert f"<b>{day}</b>: {day}.csv is missing" in page
        assert f"href='http://airflow/{day}'>log of {day}<" in page


def test_the_overview_says_when_drift_could_not_be_judged(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    counted = {"insufficient": 4, "reason": "61 rows, fewer than 500"}
    completion.record_completion(
        Ledger(url), "trips", "monitor", "2024-01-02", cause="c", evidence={"alarms": [], "judgements": counted}
    )
    words = "not judged: all 4 judgements are insufficient (61 rows, fewer than 500), at 2024-01-02"
    assert words in render_overview_page(url)


def test_the_overview_of_an_empty_ledger_says_what_to_do(tmp_path):
    assert "Start" in render_overview_page(f"sqlite:///{tmp_path}/empty.db")


def test_the_state_is_a_picture_of_what_the_ledger_says_now(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    before = serve_state_picture("trips")
    assert (before.media_type, before.headers["cache-control"]) == ("image/svg+xml", "no-store")
    assert b"nobody holds it" in before.body
    holds.hold_pipeline(ledger, "trips", reason="the source <lies>", actor="ann")
    skipped_partitions.skip_partition(ledger, "trips", "2024-01-02", reason="strike", actor="bob")
    picture = xml.etree.ElementTree.fromstring(serve_state_picture("trips").body)
    text = " ".join(picture.itertext())
    assert "held by ann" in text
    assert "<lies>" in text
    assert "Partition 2024-01-02 is skipped by bob: strike" in text


def test_the_overview_says_what_a_person_has_stopped(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    holds.hold_pipeline(ledger, "trips", reason="the source <lies>", actor="ann")
    skipped_partitions.skip_partition(ledger, "trips", "2024-01-02", reason="strike", actor="bob")
    page = render_overview_page(f"sqlite:///{tmp_path}/ledger.db")
    assert "held by ann" in page
    assert "the source &lt;lies&gt;" in page
    assert "2024-01-02 (bob: strike)" in page


def judged(outcome: str = "rejected", *, partition: str = "2024-01-01", **given: Any) -> Entry:
    gate = {"gate": "roc_auc at least 0.6", "outcome": "fail", "reason": "0.5812 <misses> 0.6", "slice": None}
    evidence = {"version": "3", "champion": "2", "gates": [gate], "test_partitions": []}
    usual = {"outcome": outcome, "reason": "all gates", "evidence": evidence}
    return Entry(
        **{
            "pipeline": "trips",
            "kind": "verdict",
            "subject": "3",
            "partition": partition,
            "key": f"3/2/{partition}",
            **usual,
            **given,
        }
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


def told(reports: Path) -> str:
    """The newest candidate, as the overview tells it."""
    page = render_overview_page(f"sqlite:///{reports.parent}/ledger.db", reports)
    return page.split("Last candidate")[1].split("</tr>")[0]


def test_the_overview_says_who_serves_since_when_and_by_whom(ledger: Ledger, reports: Path) -> None:
    champion = ChampionChange("trips", 0, "trips", "2", "2024-01-03", "2024-01-01", reason="<b>5 of 5</b>", actor="ann")
    ledger.promote(champion, expected=0)
    ledger.append(Entry("trips", "note", "x", None, "x"))
    (reports / "trips" / "card-version-2.html").write_text("card")
    page = render_overview_page(f"sqlite:///{reports.parent}/ledger.db", reports)
    assert "version <b>2</b>, from population 2024-01-03 on, since" in page
    assert "UTC by ann" in page
    assert "&lt;b&gt;5 of 5&lt;/b&gt;" in page
    assert '<a href="reports/trips/card-version-2.html">card</a>' in page
    assert "Pinned" not in page


def test_a_pin_is_told_with_what_lifts_it(ledger: Ledger, reports: Path) -> None:
    champion = ChampionChange("trips", 0, "trips", "2", "2024-01-03", actor="ann")
    ledger.promote(champion, expected=0, pin=pins.pin_entry(champion, reason="the new one was wrong"))
    page = render_overview_page(f"sqlite:///{reports.parent}/ledger.db", reports)
    assert "ann pinned version 2" in page
    assert "tradewind unpin trips" in page


def test_a_rejected_candidate_is_told_with_its_reasons_and_its_report(ledger: Ledger, reports: Path) -> None:
    ledger.append(judged())
    (reports / "trips" / "verdict-2024-01-01-version-3.html").write_text("report")
    candidate = told(reports)
    assert '<span class="badge bad">rejected</span>' in candidate
    assert "roc_auc at least 0.6: 0.5812 &lt;misses&gt; 0.6" in candidate
    assert 'href="reports/trips/verdict-2024-01-01-version-3.html">report<' in candidate


def test_the_candidate_of_the_newest_partition_is_told_not_the_one_that_was_judged_last(
    ledger: Ledger, reports: Path
) -> None:
    ledger.append(judged("passed", partition="2024-02-01"))
    ledger.append(judged("rejected", partition="2024-01-01"))
    assert "passed" in told(reports)


def test_a_candidate_that_waits_for_a_person_is_told_with_its_run(ledger: Ledger, reports: Path) -> None:
    ledger.append(judged("passed"))
    completion.record_completion(
        ledger,
        "trips",
        "train",
        "2024-01-01",
        cause="settled",
        evidence={"outcome": "waits for approval"},
        run_id="r-9",
    )
    assert "waits for approval" in told(reports)
    assert "run r-9" in told(reports)
    answer = Entry(
        "trips", "approval", "promotion", "2024-01-01", "a", outcome="rejected", reason="too old", actor="bob",
        evidence={"version": "3"},
    )  # fmt: skip
    ledger.append(answer)
    assert "declined" in told(reports)
    assert "by bob: too old" in told(reports)


def test_a_shadow_is_told_with_how_far_it_is(ledger: Ledger, reports: Path) -> None:
    ledger.append(judged("passed"))
    populations = ["2024-01-03", "2024-01-04", "2024-01-05"]
    standing = shadows.record_shadow_begin(
        ledger, "trips", "2024-01-01", version="3", populations=populations, judged_at="2024-01-06", verdict_key="k"
    )
    for key, population in (("2024-01-02", "2024-01-03"), ("2024-01-03", "2024-01-04")):
        completion.record_completion(ledger, "trips", "score", key, cause="c", evidence={"population": population})
    assert "2 of 3 populations; judged at 2024-01-06" in told(reports)
    shadows.record_shadow_failure(ledger, standing, "2024-01-04", reason="it fell over")
    assert "1 of 3 populations, 1 could not be predicted" in told(reports)
    ledger.append(judged("rejected", partition="2024-01-02", subject="4"))
    assert "rejected" in told(reports)
    assert "<td>version 3: 1 of 3 populations" in render_overview_page(f"sqlite:///{reports.parent}/ledger.db")


def test_what_serves_or_stands_for_a_candidate_is_its_refit_and_is_told_by_its_number(
    ledger: Ledger, reports: Path
) -> None:
    entry = judged("passed")
    ledger.append(entry)
    refit = Entry("trips", "refit", "3", entry.partition, "r", outcome=serving_versions.SERVES, reason="near",
                  evidence={"refitted": "4"})  # fmt: skip
    ledger.append(refit)
    standing = shadows.record_shadow_begin(
        ledger, "trips", "2024-01-01", version="4", populations=["2024-01-03"], judged_at="2024-01-06", verdict_key="k"
    )
    assert "0 of 1 populations; judged at 2024-01-06" in told(reports)
    shadows.record_shadow_end(ledger, standing, "2024-01-04", outcome="passed", reason="fine")
    crowned = ChampionChange(
        "trips", 0, "trips", "4", "2024-01-05", entry.partition, evidence={"verdict_key": entry.key}
    )
    ledger.promote(crowned, expected=0)
    assert "as version 4, which is version 3 fitted once more, from population 2024-01-05 on" in told(reports)


def test_a_candidate_that_passed_and_was_withheld_says_why(ledger: Ledger, reports: Path) -> None:
    entry = judged("passed")
    ledger.append(entry)
    withheld = Entry(
        "trips", "promotion", "3", entry.partition, "w", outcome="superseded", reason="version 4 passed since",
        evidence={"verdict_key": entry.key},
    )  # fmt: skip
    ledger.append(withheld)
    assert "superseded" in told(reports)
    assert "version 4 passed since" in told(reports)


def test_a_candidate_that_became_champion_says_from_when(ledger: Ledger, reports: Path) -> None:
    entry = judged("passed")
    ledger.append(entry)
    new = ChampionChange(
        "trips", 0, "trips", "3", "2024-01-03", "2024-01-01", actor="ann", evidence={"verdict_key": entry.key}
    )
    ledger.promote(new, expected=0)
    assert '<span class="badge ok">champion</span>' in told(reports)
    assert "from population 2024-01-03 on, by ann" in told(reports)


def test_a_candidate_that_was_rolled_back_is_not_called_champion(ledger: Ledger, reports: Path) -> None:
    entry = judged("passed")
    ledger.append(entry)
    new = ChampionChange("trips", 0, "trips", "3", "2024-01-03", "2024-01-01", evidence={"verdict_key": entry.key})
    ledger.promote(new, expected=0)
    ledger.promote(ChampionChange("trips", 0, "trips", "2", "2024-01-05", actor="ann"), expected=1)
    assert '<span class="badge odd">replaced</span>' in told(reports)
    assert "since population 2024-01-05 it is version 2, by ann" in told(reports)


def test_the_picture_of_the_state_says_who_serves_and_why_a_candidate_was_rejected(ledger: Ledger) -> None:
    champion = ChampionChange("trips", 0, "trips", "2", "2024-01-03", actor="ann")
    ledger.promote(champion, expected=0, pin=pins.pin_entry(champion, reason="x"))
    ledger.append(judged())
    text = " ".join(xml.etree.ElementTree.fromstring(serve_state_picture("trips").body).itertext())
    assert "Champion: version 2, pinned" in text
    assert "Candidate of 2024-01-01: version 3, rejected: roc_auc at least 0.6: 0.5812 <misses> 0.6" in text
