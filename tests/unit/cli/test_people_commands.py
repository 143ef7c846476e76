"""What a person decides: hold, resume, skip, release, decommission; and what ``show`` and ``history`` tell of it."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import pytest

from tradewind.alerting import incidents
from tradewind.errors import AuditFailed, MalformedInput, UsageError
from tradewind.etl.dataset_build import build_dataset
from tradewind.ledger import holds, pins, skipped_partitions
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Project
    from tests.unit.cli.fake_airflow import FakeAirflow

DAYS = ["2013-01-28", "2013-01-29", "2013-01-30", "2013-01-31"]


def fail_audit(shop: Project) -> None:
    shop.deliver(DAYS[3], 10, 500)
    with pytest.raises(AuditFailed):
        build_dataset(shop.deployment, "orders", DAYS[3])


def test_holding_and_resuming_are_journalled_with_who_and_why(shop: Project) -> None:
    assert "shop is held" in shop.told("hold", "shop", "--reason", "the source lies")
    assert "held already" in shop.told("hold", "shop", "--reason", "me too", "--by", "bob")
    assert "held by" in shop.told("plan", "shop")
    assert "backfill shop --missing" in shop.told("resume", "shop", "--by", "bob", "--reason", "mended")
    (held,), (resumed,) = shop.ledger.find("shop", "hold"), shop.ledger.find("shop", "resume")
    assert (held.actor, held.reason) == (getpass.getuser(), "the source lies")
    assert (resumed.actor, resumed.reason) == ("bob", "mended")


def test_a_pipeline_whose_yaml_is_wrong_can_be_held(shop: Project) -> None:
    path = shop.folder / "dags" / "shop.yaml"
    path.write_text(path.read_text().replace("owner:", "ovner:"))
    assert "shop is held" in shop.told("hold", "shop", "--reason", "it is wrong")
    assert "shop runs again" in shop.told("resume", "shop")


def test_resuming_what_nobody_holds_says_so(shop: Project) -> None:
    assert "nobody holds shop" in shop.error("resume", "shop")


def test_a_reason_must_be_given(shop: Project) -> None:
    assert shop.command("hold", "shop").exit_code == 2
    assert shop.command("skip", "shop", DAYS[3]).exit_code == 2


def test_skipping_a_partition_closes_its_incidents_and_can_be_taken_back(shop: Project) -> None:
    incidents.report_failure(
        shop.ledger, pipeline="shop", stage="etl", task="orders", partition=DAYS[3], run_id="r",
        error_type="MissingInput", message="no file",
    )  # fmt: skip
    assert "Later partitions go on without it" in shop.told(
        "skip", "shop", DAYS[3], "--reason", "strike", "--by", "ann"
    )
    assert incidents.open_incidents(shop.ledger, "shop") == []
    assert "skipped by ann" in shop.ledger.find("shop", "incident_closed")[0].reason
    assert "skipped already, by ann" in shop.told("skip", "shop", DAYS[3], "--reason", "x", "--by", "bob")
    assert f"{DAYS[3]}  by ann: strike" in shop.told("show", "shop")
    shop.told("skip", "shop", DAYS[3], "--take-back", "--reason", "it came")
    assert skipped_partitions.skipped_partitions(shop.ledger, "shop") == {}


def test_what_is_published_of_a_skipped_partition_stays(shop: Project) -> None:
    assert "What is published of it stays" in shop.told("skip", "shop", DAYS[0], "--reason", "x")


def test_a_key_that_is_none_is_refused(shop: Project) -> None:
    assert "outside the pipeline's range" in shop.error("skip", "shop", "2014-01-01", "--reason", "x")


def test_a_release_names_the_rows_and_starts_the_run_that_publishes_them(shop: Project, airflow: FakeAirflow) -> None:
    fail_audit(shop)
    told = shop.told("release", "shop", "orders", DAYS[3], "--reason", "a big order", "--by", "ann")
    assert "2 rows in quarantine" in told
    assert "released as it is by ann: a big order" in told
    assert airflow.started == [("shop__etl", DAYS[3])]
    shop.run_etl(DAYS[3])
    assert f"released    orders {DAYS[3]} is published as it is, by ann: a big order" in shop.told("show", "shop")


def test_a_release_of_what_is_held_starts_no_run_and_says_why(shop: Project, airflow: FakeAirflow) -> None:
    fail_audit(shop)
    holds.hold_pipeline(shop.ledger, "shop", reason="the source lies", actor="ann")
    told = shop.told("release", "shop", "orders", DAYS[3], "--reason", "x")
    assert "No run is started" in told
    assert "held by ann" in " ".join(told.split())
    assert airflow.started == []


def test_a_release_says_that_the_dag_is_paused(shop: Project, airflow: FakeAirflow) -> None:
    fail_audit(shop)
    airflow.paused = ["shop__etl"]
    told = shop.told("release", "shop", "orders", DAYS[3], "--reason", "x")
    assert f"tradewind backfill shop --from {DAYS[3]} --to {DAYS[3]} --unpause" in " ".join(told.split())


def test_a_release_without_bad_rows_leaves_the_rest(shop: Project, airflow: FakeAirflow) -> None:
    fail_audit(shop)
    shop.told("release", "shop", "orders", DAYS[3], "--reason", "x", "--drop-bad-rows", "--no-start")
    assert airflow.started == []
    assert build_dataset(shop.deployment, "orders", DAYS[3]).published.rows == 1


def test_a_release_without_an_airflow_is_written_all_the_same_and_says_what_is_left(shop: Project) -> None:
    fail_audit(shop)
    error = shop.error("release", "shop", "orders", DAYS[3], "--reason", "x")
    assert "it is released, and the next run" in error
    assert len(shop.ledger.find("shop", "release")) == 1


def test_rows_that_could_not_be_read_can_only_be_dropped(shop: Project) -> None:
    (shop.home.landing / f"{DAYS[3]}.csv").write_text("id,amount\n1,10\nx,20\n")
    with pytest.raises(MalformedInput):
        build_dataset(shop.deployment, "orders", DAYS[3])
    wanted = ("release", "shop", "orders", DAYS[3], "--reason", "x", "--no-start")
    assert "say --drop-bad-rows" in shop.error(*wanted)
    shop.told(*wanted, "--drop-bad-rows")
    assert build_dataset(shop.deployment, "orders", DAYS[3]).published.rows == 1


def test_releasing_what_is_not_in_quarantine_says_what_is(shop: Project) -> None:
    fail_audit(shop)
    assert f"there is: {DAYS[3]}" in shop.error("release", "shop", "orders", DAYS[0], "--reason", "x")
    assert "there is no dataset orderz" in shop.error("release", "shop", "orderz", DAYS[0], "--reason", "x")


def test_what_was_repaired_meanwhile_is_not_released(shop: Project) -> None:
    fail_audit(shop)
    shop.deliver(DAYS[3], 10)
    shop.run_etl(DAYS[3])
    assert "is what would be made now" in shop.error("release", "shop", "orders", DAYS[3], "--reason", "x")
    assert shop.ledger.find("shop", "release") == []


def test_show_tells_datasets_quarantine_incidents_and_holds(shop: Project) -> None:
    fail_audit(shop)
    holds.hold_pipeline(shop.ledger, "shop", reason="the source lies", actor="ann")
    skipped_partitions.leave_out(shop.ledger, "shop", DAYS[3], dataset="orders", reason="no file came")
    change = ChampionChange("shop", 0, "shop", "3", DAYS[2], DAYS[1], reason="passed 2 gates")
    shop.ledger.promote(change, expected=0)
    shop.ledger.append(Entry("shop", "verdict", "3", DAYS[1], "k", outcome="passed", reason="2 of 2 gates passed"))
    told = shop.told("show", "shop")
    assert told.startswith("shop: held\n")
    for text in (
        f"orders 3 3 6 {DAYS[2]}",
        f"quarantine  orders {DAYS[3]}, 2 rows: failed: expect_column_values_to_be_between",
        f"complete    etl {DAYS[2]}",
        f"champion    version 3 from population {DAYS[2]} on (passed 2 gates)",
        f"candidate   version 3 at {DAYS[1]}: passed 2 of 2 gates passed",
        f"left out    {DAYS[3]}  no file came",
        "incidents   none open",
    ):
        assert " ".join(text.split()) in " ".join(told.split()), told


def test_show_tells_why_a_candidate_was_rejected_a_pin_and_where_the_pages_are(shop: Project) -> None:
    change = ChampionChange("shop", 0, "shop", "2", DAYS[2], reason="rollback: it was wrong", actor="ann")
    shop.ledger.promote(change, expected=0, pin=pins.pin_entry(change, reason="it was wrong"))
    gate = {"gate": "roc_auc at least 0.6", "outcome": "fail", "reason": "0.58 misses 0.6", "slice": None}
    evidence = {"version": "3", "champion": "2", "gates": [gate], "warnings": ["few blocks"], "test_partitions": []}
    shop.ledger.append(Entry("shop", "verdict", "3", DAYS[1], "k", "rejected", "1 of 1 did not pass", evidence))
    folder = shop.runtime.reports / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (f"verdict-{DAYS[1]}-version-3.html", "card-version-2.html"):
        (folder / name).write_text("page")
    told = " ".join(shop.told("show", "shop").split())
    for text in (
        "UTC, by ann",
        f"{folder}/card-version-2.html",
        "pinned ann pinned version 2 on",
        "tradewind unpin shop --reason TEXT",
        f"candidate version 3 at {DAYS[1]}: rejected roc_auc at least 0.6: 0.58 misses 0.6 warning: few blocks",
        f"{folder}/verdict-{DAYS[1]}-version-3.html",
    ):
        assert text in told
    answer = shop.answer("show", "shop")
    assert (answer["candidate"]["outcome"], answer["champion"]["model_version"]) == ("rejected", "2")
    assert sorted(answer["pages"]) == ["card", "report"]


def test_show_as_json_has_the_numbers(shop: Project) -> None:
    tables = {table["name"]: table for table in shop.answer("show", "shop")["tables"]}
    assert (tables["orders"]["partitions"], tables["orders"]["rows"], tables["orders"]["newest"]) == (3, 6, DAYS[2])
    assert tables["orders"]["uri"] == f"{shop.runtime.lake}/shop/orders"


def test_show_before_anything_ran_says_so(shop: Project) -> None:
    import shutil

    shutil.rmtree(shop.home.root / "lake")
    (shop.home.root / "ledger.db").unlink()
    assert "nothing has been published yet" in shop.told("show", "shop")
    assert "nothing has happened yet" in shop.told("history", "shop")
    assert shop.answer("history", "shop") == {"pipeline": "shop", "history": []}


def test_history_tells_in_words_what_people_and_policies_decided_newest_last(shop: Project) -> None:
    shop.ledger.append(Entry("shop", "decision", "train", DAYS[0], "k", outcome="skip", reason="no reason to train"))
    holds.hold_pipeline(shop.ledger, "shop", reason="the source lies", actor="ann")
    shop.ledger.promote(ChampionChange("shop", 0, "shop", "3", DAYS[2], DAYS[1], reason="passed"), expected=0)
    holds.resume_pipeline(shop.ledger, "shop", reason="mended", actor="bob")
    story = " ".join(" ".join(line[18:] for line in shop.told("history", "shop").splitlines()).split())
    assert story == (
        f"{DAYS[0]} not to train: no reason to train held by ann: the source lies "
        f"{DAYS[1]} version 3 is champion from population {DAYS[2]} on, by local: passed resumed by bob: mended"
    )
    assert "etl is complete" in shop.told("history", "shop", "--all")
    assert [one["kind"] for one in shop.answer("history", "shop")["history"]][-1] == "resume"


def test_history_at_a_time_is_what_was_known_then(shop: Project) -> None:
    from datetime import UTC, datetime

    old = Entry("shop", "hold", "pipeline", None, "0", "held", "x", actor="ann", at=datetime(2013, 2, 1, tzinfo=UTC))
    shop.ledger.append(old)
    shop.ledger.append(Entry("shop", "resume", "pipeline", None, "0", "resumed", "", actor="ann"))
    told = shop.told("history", "shop", "--at", "2013-02-02T05:00+05:00")
    assert "resumed" not in told
    assert "At 2013-02-02 00:00 UTC:\n  champion  none\n  pipeline  held by ann: x" in told
    assert shop.command("history", "shop", "--at", "yesterday").exit_code == 2


def test_an_unknown_pipeline_is_told_with_the_nearest(shop: Project) -> None:
    for command in ("plan", "show", "history"):
        assert "did you mean shop?" in shop.error(command, "shopp")


def test_decommissioning_pauses_archives_and_says_what_stays(shop: Project, airflow: FakeAirflow) -> None:
    told = shop.told("decommission", "shop", "--reason", "replaced", "--by", "ann")
    assert airflow.paused == ["shop__etl"]
    assert "2 datasets with 9 rows and all their versions" in told
    assert "the journal is append-only" in told
    assert "was decommissioned by ann" in (holds.describe_stop(shop.ledger, "shop") or "")
    assert shop.told("show", "shop").startswith("shop: decommissioned\n")
    assert "a pipeline that comes back gets a new name" in shop.error("resume", "shop")


def test_decommissioning_says_which_runs_are_on_their_way(shop: Project, airflow: FakeAirflow) -> None:
    shop.told("backfill", "shop", "--from", DAYS[0], "--to", DAYS[0])
    told = shop.told("decommission", "shop", "--reason", "replaced")
    assert f"on the way  shop__etl {DAYS[0]}: a task at work ends" in told


def test_a_dry_run_of_decommissioning_changes_nothing(shop: Project, airflow: FakeAirflow) -> None:
    answer = shop.answer("decommission", "shop", "--reason", "x", "--dry-run")
    assert (answer["dags"], answer["dry_run"]) == (["shop__etl"], True)
    assert (airflow.paused, holds.decommission_entry(shop.ledger, "shop")) == ([], None)


def test_decommissioning_goes_on_where_it_was_interrupted(shop: Project, airflow: FakeAirflow) -> None:
    airflow.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tradewind.cli.airflow_client.PATIENCE", 0.0)
        assert "do this again" in shop.error("decommission", "shop", "--reason", "x", "--by", "ann")
    assert holds.decommission_entry(shop.ledger, "shop") is not None
    assert isinstance(shop.command("hold", "shop", "--reason", "x").exception, UsageError)
