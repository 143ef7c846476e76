"""``backfill --wait``: how far the runs are, failures as they happen, and when nothing more is to come."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from tradewind.alerting import incidents
from tradewind.cli import run_watch
from tradewind.cli.run_starts import StartedRun
from tradewind.cli.run_watch import RunWatch, StageBars, WatchResult
from tradewind.hooks.airflow_api import AirflowApi
from tradewind.ledger import skipped_partitions
from tradewind.planning.runs_to_start import PlannedRun

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Project
    from tests.unit.cli.fake_airflow import FakeAirflow

DAYS = ["2013-01-28", "2013-01-29"]
STAGES = ["etl", "features", "score"]


class Scene:
    """Runs of a pipeline with three stages; each look at Airflow is followed by the next thing that happens."""

    def __init__(self, shop: Project, airflow: FakeAirflow, *, terminal: bool = False) -> None:
        self.shop, self.airflow = shop, airflow
        self.output = io.StringIO()
        self.console = Console(file=self.output, force_terminal=terminal, width=100)
        self.now = 0.0

    def run(self, stage: str, key: str, state: str, *, run_id: str = "") -> None:
        """A run is there, or has another state."""
        run_id = run_id or f"tradewind__{key}__1"
        known = [run for run in self.airflow.runs if (run["dag_id"], run["dag_run_id"]) == (f"shop__{stage}", run_id)]
        made = {"dag_id": f"shop__{stage}", "dag_run_id": run_id, "partition_key": key}
        if not known:
            self.airflow.runs.append({**made, "queued_at": f"{len(self.airflow.runs):06}"})
            known = self.airflow.runs[-1:]
        known[0]["state"] = state

    def watch(
        self, happens: Sequence[Callable[[], Any]], *, keys: Sequence[str] = DAYS, stage: str = "etl"
    ) -> WatchResult:
        following: Iterator[Callable[[], Any]] = iter(happens)

        def pause(seconds: float) -> None:
            self.now += seconds
            next(following, lambda: None)()

        started = [
            StartedRun(PlannedRun(stage, key, "x"), f"shop__{stage}", "started", f"tradewind__{key}__1") for key in keys
        ]
        with AirflowApi(self.airflow.url, token="t", patience=5) as api:
            watch = RunWatch(api, "shop", STAGES, started, self.shop.ledger, clock=lambda: self.now, pause=pause)
            with StageBars(watch.totals, self.console) as bars:
                return watch.run(bars)

    def all(self, key: str, state: str = "success") -> None:
        for stage in STAGES:
            self.run(stage, key, state)

    @property
    def said(self) -> list[str]:
        return self.output.getvalue().splitlines()


@pytest.fixture
def scene(shop: Project, airflow: FakeAirflow) -> Scene:
    made = Scene(shop, airflow)
    for day in DAYS:
        made.run("etl", day, "queued")
    return made


def test_it_ends_when_everything_that_follows_is_over(scene: Scene) -> None:
    ended = scene.watch([lambda: scene.all(DAYS[0]), lambda: scene.all(DAYS[1])])
    assert (ended, ended.well) == (WatchResult((), (), ()), True)
    assert scene.said == [f"{DAYS[0]} is through (1 of 2)", f"{DAYS[1]} is through (2 of 2)"]


def test_a_failure_is_told_when_it_happens_with_what_failed_and_where(scene: Scene) -> None:
    incidents.report_failure(
        scene.shop.ledger, pipeline="shop", stage="etl", task="orders", partition=DAYS[0], run_id="r",
        error_type="AuditFailed", message="column `price`: 14.0% NULL\nmore",
    )  # fmt: skip
    key = DAYS[0]
    scene.airflow.failed_tasks["shop__etl"] = ["orders"]
    ended = scene.watch([lambda: scene.run("etl", key, "failed"), lambda: scene.all(DAYS[1])])
    assert (ended.failed, ended.missing, ended.well) == ((("etl", key),), (), False)
    assert scene.said[0] == f"FAILED shop__etl {key}, task orders"
    assert scene.said[1].startswith("  http://")
    assert scene.said[2:] == ["  column `price`: 14.0% NULL", f"{DAYS[1]} is through (1 of 2)"]


def test_a_run_that_comes_again_after_it_failed_is_waited_for(scene: Scene) -> None:
    key = DAYS[1]

    def cleared() -> None:
        scene.all(DAYS[0])
        scene.run("etl", key, "queued")

    ended = scene.watch([lambda: scene.run("etl", key, "failed"), cleared, lambda: scene.all(key)])
    assert ended.well
    assert [line for line in scene.said if line.startswith("FAILED")] == [f"FAILED shop__etl {key}"]


def test_runs_of_earlier_times_do_not_count(shop: Project, airflow: FakeAirflow) -> None:
    scene = Scene(shop, airflow)
    for stage in STAGES:
        scene.run(stage, DAYS[0], "failed", run_id="old")
    scene.run("etl", DAYS[0], "running")
    assert scene.watch([lambda: scene.all(DAYS[0])], keys=DAYS[:1]).well


def test_a_stage_whose_event_reached_nobody_is_told_after_a_while(scene: Scene) -> None:
    for day in DAYS:
        scene.run("etl", day, "success")
    skipped_partitions.skip_partition(scene.shop.ledger, "shop", DAYS[0], reason="strike", actor="ann")
    ended = scene.watch([])
    assert ended.missing == (("features", DAYS[1]), ("score", DAYS[1]))
    assert scene.now >= run_watch.LOST_AFTER
    assert not ended.well


def test_only_the_stages_after_the_one_that_was_started_are_waited_for(shop: Project, airflow: FakeAirflow) -> None:
    scene = Scene(shop, airflow)
    scene.run("features", DAYS[0], "success")
    ended = scene.watch([lambda: scene.run("score", DAYS[0], "success")], keys=DAYS[:1], stage="features")
    assert ended.well


def test_on_a_terminal_there_is_a_bar_for_each_stage(shop: Project, airflow: FakeAirflow) -> None:
    scene = Scene(shop, airflow, terminal=True)
    scene.all(DAYS[0])
    assert scene.watch([], keys=DAYS[:1]).well
    text = scene.output.getvalue()
    assert all(stage in text for stage in STAGES)
    assert "1/1" in text
    assert "is through" not in text


def test_a_backfill_that_waits_exits_with_1_if_something_failed(
    shop: Project, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_watch, "POLL", 0.0)
    airflow.fate = "failed"
    result = shop.command("backfill", "shop", "--from", DAYS[0], "--to", DAYS[0], "--wait")
    assert result.exit_code == 1
    assert f"FAILED shop__etl {DAYS[0]}" in result.stderr
    assert "tradewind plan shop" in result.stderr
    airflow.fate = "success"
    result = shop.command("backfill", "shop", "--from", DAYS[0], "--to", DAYS[0], "--wait", "--json")
    assert json.loads(result.stdout)["ended"] == {"failed": [], "missing": [], "left_out": []}


def test_ctrl_c_leaves_the_runs_and_says_how_to_watch_them_again(
    shop: Project, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: RunWatch, bars: StageBars) -> WatchResult:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunWatch, "run", interrupted)
    result = shop.command("backfill", "shop", "--from", DAYS[0], "--to", DAYS[0], "--wait")
    assert result.exit_code == 130
    assert "The runs go on; the same command with --wait watches them again." in result.stderr
    assert airflow.runs[0]["state"] == "queued"


def test_a_backfill_that_does_not_wait_says_how_to_watch(shop: Project, airflow: FakeAirflow) -> None:
    told = shop.told("backfill", "shop", "--from", DAYS[0], "--to", DAYS[0])
    assert told.endswith(f"To watch them: tradewind backfill shop --from {DAYS[0]} --to {DAYS[0]} --wait\n")
