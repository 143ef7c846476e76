"""``plan`` and ``backfill``: what is told, and exactly which runs are started."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tradewind.cli.run_starts import find_paused_dags, start_runs
from tradewind.errors import Held, Unavailable, UsageError
from tradewind.hooks.airflow_api import AirflowApi
from tradewind.ledger import holds, skipped_partitions
from tradewind.planning.runs_to_start import PlannedRun
from tradewind.spec.partitions import Partitioning

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Project
    from tests.unit.cli.fake_airflow import FakeAirflow

DAYS = ["2013-01-28", "2013-01-29", "2013-01-30", "2013-01-31"]
SLICES = Partitioning("day", "UTC", "2013-01-28", "2013-02-01")


def test_a_plan_says_what_is_stale_and_why_and_what_to_run(shop: Project) -> None:
    shop.deliver(DAYS[0], 7)
    told = shop.told("plan", "shop")
    assert told.startswith(f"shop: 4 partitions, {DAYS[0]} … {DAYS[3]}\n")
    assert "orders            1 stale, 1 waiting, 2 current" in told
    assert "its input has changed since (source)" in told
    assert f"  possibly stale  {DAYS[0]} … {DAYS[1]}" in told
    assert "tradewind backfill shop --stale" in told
    assert "--missing" not in told


def test_a_plan_starts_and_writes_nothing(shop: Project) -> None:
    before = shop.ledger.entries("shop")
    shop.deliver(DAYS[3], 7)
    assert "backfill shop --missing" in shop.told("plan", "shop")
    assert shop.ledger.entries("shop") == before


def test_a_plan_as_json_names_every_partition_that_is_not_current(shop: Project) -> None:
    (shop.folder / "include" / "totals.sql").write_text("SELECT count(*) AS orders, 1 AS one FROM orders\n")
    answer = shop.answer("plan", "shop", "--from", DAYS[1], "--to", DAYS[2])
    assert answer["partitions"] == DAYS[1:3]
    assert [(item["name"], item["partition"], item["state"]) for item in answer["items"]] == [
        ("totals", DAYS[1], "stale"),
        ("totals", DAYS[2], "stale"),
        ("complete", DAYS[1], "possibly stale"),
        ("complete", DAYS[2], "possibly stale"),
    ]
    assert answer["items"][0]["why"] == [{"kind": "configuration", "text": "changed: include/totals.sql", "about": []}]


def test_a_plan_of_what_is_all_current_says_so(shop: Project) -> None:
    assert shop.told("plan", "shop", "--to", DAYS[2]).endswith("Nothing is to be run.\n")


def test_a_plan_without_a_lake_finds_everything_missing_or_waiting(shop: Project) -> None:
    import shutil

    shutil.rmtree(shop.home.root / "lake")
    (shop.home.root / "ledger.db").unlink()
    assert "orders            3 missing, 1 waiting" in shop.told("plan", "shop")


def test_stale_partitions_are_started_by_key_oldest_first_and_no_others(shop: Project, airflow: FakeAirflow) -> None:
    shop.deliver(DAYS[2], 7)
    shop.deliver(DAYS[0], 7)
    told = shop.told("backfill", "shop", "--stale")
    assert airflow.started == [("shop__etl", DAYS[0]), ("shop__etl", DAYS[1]), ("shop__etl", DAYS[2])]
    assert "shop: started 3 runs" in told
    assert "orders stale, totals possibly stale" in told
    assert "not there" not in told


def test_partitions_that_are_started_need_not_be_neighbours(shop: Project, airflow: FakeAirflow) -> None:
    path = shop.folder / "dags" / "shop.yaml"
    path.write_text(path.read_text().replace("{lookback: 2}", "{}"))
    shop.run_etl(*DAYS[:3])
    for day in (DAYS[2], DAYS[0]):
        shop.deliver(day, 7)
    shop.told("backfill", "shop", "--stale")
    assert airflow.started == [("shop__etl", DAYS[0]), ("shop__etl", DAYS[2])]


def test_missing_partitions_are_started_and_those_that_wait_for_their_input_are_named(
    shop: Project, airflow: FakeAirflow
) -> None:
    assert DAYS[3] in shop.told("backfill", "shop", "--missing")
    assert airflow.started == []
    shop.deliver(DAYS[3], 7)
    shop.told("backfill", "shop", "--missing")
    assert airflow.started == [("shop__etl", DAYS[3])]


def test_a_range_is_started_as_it_is_but_for_what_a_person_keeps_out(shop: Project, airflow: FakeAirflow) -> None:
    skipped_partitions.skip_partition(shop.ledger, "shop", DAYS[1], reason="strike", actor="ann")
    shop.told("backfill", "shop", "--from", DAYS[0], "--to", DAYS[2])
    assert airflow.started == [("shop__etl", DAYS[0]), ("shop__etl", DAYS[2])]


def test_a_dry_run_starts_nothing(shop: Project, airflow: FakeAirflow) -> None:
    shop.deliver(DAYS[3], 7)
    assert "would start 1 run" in shop.told("backfill", "shop", "--missing", "--dry-run")
    answer = shop.answer("backfill", "shop", "--missing", "--dry-run")
    assert answer["runs"][0]["outcome"] == "would start"
    assert airflow.started == []


def test_a_run_that_is_on_its_way_is_not_started_again_and_one_that_ended_is(
    shop: Project, airflow: FakeAirflow
) -> None:
    shop.deliver(DAYS[3], 7)
    first = shop.answer("backfill", "shop", "--missing")["runs"]
    again = shop.answer("backfill", "shop", "--missing")["runs"]
    assert [run["outcome"] for run in (*first, *again)] == ["started", "running"]
    airflow.end("failed")
    assert "started 1 run;" in shop.told("backfill", "shop", "--missing")
    assert airflow.started == [("shop__etl", DAYS[3])] * 2


def test_of_two_people_who_start_one_partition_at_once_one_does(airflow: FakeAirflow) -> None:
    def once(_: int) -> str:
        with AirflowApi(airflow.url, token="t", patience=5) as api:
            return next(start_runs(api, "shop", [PlannedRun("etl", DAYS[0], "x")], partitioning=SLICES)).outcome

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(once, range(4)))
    assert sorted(outcomes) == ["running", "running", "running", "started"]
    assert airflow.started == [("shop__etl", DAYS[0])]


@pytest.mark.parametrize("there", [False, True])
def test_a_start_that_a_busy_airflow_could_not_answer_is_repeated(airflow: FakeAirflow, there: bool) -> None:
    airflow.failing = [there]
    with AirflowApi(airflow.url, token="t", patience=5) as api:
        assert (
            next(start_runs(api, "shop", [PlannedRun("etl", DAYS[0], "x")], partitioning=SLICES)).outcome == "started"
        )
    assert airflow.started == [("shop__etl", DAYS[0])]


@pytest.mark.parametrize("there", [False, True])
def test_a_start_that_names_no_run_is_repeated_too_and_starts_one(airflow: FakeAirflow, there: bool) -> None:
    airflow.failing = [there]
    with AirflowApi(airflow.url, token="t", patience=5) as api:
        api.start("shop__etl", DAYS[0])
    assert airflow.started == [("shop__etl", DAYS[0])]


def test_a_later_stage_that_alone_is_missing_is_started_itself(airflow: FakeAirflow) -> None:
    from tradewind.planning.plan import PipelinePlan
    from tradewind.planning.plan_item import PlanItem
    from tradewind.planning.runs_to_start import MISSING, select_runs

    items = (
        PlanItem("features", "features", DAYS[0], "missing"),
        PlanItem("train", "train", DAYS[0], "missing"),
        PlanItem("etl", "orders", DAYS[1], "missing"),
        PlanItem("features", "features", DAYS[1], "missing"),
        PlanItem("monitor", "monitor", DAYS[2], "missing"),
        PlanItem("score", "score", DAYS[2], "missing"),
    )
    found = select_runs(PipelinePlan("shop", tuple(DAYS), items), MISSING)
    assert [(order.stage, order.partition) for order in found] == [
        ("features", DAYS[0]),
        ("etl", DAYS[1]),
        ("monitor", DAYS[2]),
        ("score", DAYS[2]),
    ]


def test_nothing_is_started_while_the_pipeline_is_held(shop: Project, airflow: FakeAirflow) -> None:
    shop.deliver(DAYS[3], 7)
    holds.hold_pipeline(shop.ledger, "shop", reason="the source lies", actor="ann")
    result = shop.command("backfill", "shop", "--missing")
    assert isinstance(result.exception, Held)
    assert airflow.started == []


def test_without_a_choice_it_is_wrong_usage(shop: Project) -> None:
    assert shop.command("backfill", "shop").exit_code == 2


def test_without_an_airflow_it_says_which_it_looked_for(shop: Project) -> None:
    shop.deliver(DAYS[3], 7)
    assert "start it with: tradewind up" in shop.error("backfill", "shop", "--missing")


def test_an_address_needs_something_to_log_in_with(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_AIRFLOW_URL", "http://airflow")
    result = shop.command("backfill", "shop", "--from", DAYS[0])
    assert isinstance(result.exception, UsageError)
    assert "TRADEWIND_AIRFLOW_TOKEN" in str(result.exception)


def test_a_token_is_enough(shop: Project, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "PASSWORD"):
        monkeypatch.delenv(f"TRADEWIND_AIRFLOW_{name}")
    monkeypatch.setenv("TRADEWIND_AIRFLOW_TOKEN", "t")
    shop.told("backfill", "shop", "--from", DAYS[0], "--to", DAYS[0])
    assert airflow.started == [("shop__etl", DAYS[0])]


@pytest.mark.parametrize(("name", "value"), [("TOKEN", "expired"), ("PASSWORD", "wrong")])
def test_who_is_not_known_is_told_so_at_once(
    shop: Project, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setattr("tradewind.cli.airflow_client.PATIENCE", 0.0)
    monkeypatch.setenv(f"TRADEWIND_AIRFLOW_{name}", value)
    result = shop.command("backfill", "shop", "--from", DAYS[0])
    assert isinstance(result.exception, Unavailable)
    assert "401" in str(result.exception)


def test_a_dag_that_airflow_does_not_know_is_named(shop: Project, airflow: FakeAirflow) -> None:
    airflow.dags.clear()
    assert "no DAG shop__etl" in shop.error("backfill", "shop", "--from", DAYS[0])


def test_that_the_dags_are_paused_is_said_and_mended(shop: Project, airflow: FakeAirflow) -> None:
    shop.deliver(DAYS[3], 7)
    airflow.paused = ["shop__etl", "other__etl"]
    told = shop.told("backfill", "shop", "--missing")
    assert "shop__etl is paused: runs stay queued" in told
    assert "go on by themselves" not in told
    assert shop.answer("backfill", "shop", "--missing")["paused"] == ["shop__etl"]
    assert "paused" not in shop.told("backfill", "shop", "--missing", "--unpause")
    assert (airflow.paused, len(airflow.started)) == (["other__etl"], 1)


def test_paused_dags_that_follow_by_events_are_said_too(airflow: FakeAirflow) -> None:
    airflow.dags += ["shop__train", "shop__score"]
    airflow.paused = ["shop__etl", "shop__score", "shop__train"]
    with AirflowApi(airflow.url, token="t", patience=5) as api:
        assert find_paused_dags(api, "shop", [PlannedRun("features", DAYS[0], "x")]) == ["shop__score", "shop__train"]
        assert find_paused_dags(api, "shop", [PlannedRun("train", DAYS[0], "x")]) == ["shop__train"]


def test_a_run_is_started_although_earlier_ones_of_its_key_were_deleted(shop: Project, airflow: FakeAirflow) -> None:
    for _ in range(2):
        shop.told("backfill", "shop", "--from", DAYS[0], "--to", DAYS[0])
        airflow.end()
    del airflow.runs[0]
    assert shop.answer("backfill", "shop", "--from", DAYS[0], "--to", DAYS[0])["runs"][0]["outcome"] == "started"


def test_of_the_runs_that_are_queued_the_earliest_partition_goes_first(shop: Project, airflow: FakeAirflow) -> None:
    for day in (DAYS[2], DAYS[0]):
        shop.told("backfill", "shop", "--from", day, "--to", day)
    assert [run["run_after"] for run in airflow.runs] == ["2013-01-31T00:00:00+00:00", "2013-01-29T00:00:00+00:00"]


def test_a_backfill_that_gives_up_says_how_many_runs_it_started_and_how_to_go_on(
    shop: Project, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradewind.cli.backfill.PATIENCE", 0.0)
    airflow.broken_after = 2
    error = shop.error("backfill", "shop", "--from", DAYS[0], "--to", DAYS[2])
    assert error.startswith("2 of 3 runs are started or were on their way, and go on; to start the others: ")
    assert f"tradewind backfill shop --from {DAYS[2]} --to {DAYS[2]}\n" in error
    assert "database is locked" in error
