"""A rehearsal leaves what Airflow's tasks would leave: tables, ledger, incidents; failures end what depends on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tradewind.alerting.incidents import open_incidents
from tradewind.deployment import Deployment
from tradewind.errors import Conflict, LeftOut, MissingInput, UsageError
from tradewind.lake.dataset import Lake
from tradewind.ledger import holds
from tradewind.ledger.journal import Ledger
from tradewind.local_airflow.home import Home
from tradewind.planning.plan import make_plan
from tradewind.scaffold import sample
from tradewind.scaffold.new_pipeline import create_pipeline
from tradewind.scaffold.rehearsal import Rehearsal, StageOutcome

DAYS = [f"2024-01-{day:02}" for day in range(1, 11)]
LOAD_ONLY = """\
pipeline: shop
owner: me@example.com
description: Deliveries, and how many there are
partition: day
timezone: UTC
start: 2024-01-01
{end}
schedule: "0 6 * * *"
datasets:
  deliveries:
    source: {{files: "{{landing}}/shop/deliveries/{{day}}.csv"}}
    sql: include/shop/sql/rows.sql
  other:
    source: {{files: "{{landing}}/shop/planned/{{day}}.csv"}}
    sql: include/shop/sql/rows.sql
  depots:
    inputs: {{deliveries: {{lookback: 1}}}}
    sql: include/shop/sql/depots.sql
"""


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    """The sample's pipeline, with its deliveries in the landing zone of `home`."""
    create_pipeline(tmp_path, "shop", landing=tmp_path / "home" / "landing")
    return tmp_path / "dags" / "shop.yaml"


@pytest.fixture
def rehearsal(yaml: Path, tmp_path: Path) -> Iterator[Rehearsal]:
    with Rehearsal(yaml, tmp_path / "home") as made:
        yield made


def load_only(root: Path, *, end: str = "end: 2024-01-11") -> Path:
    """A pipeline of three datasets, one of which reads another."""
    for name, text in {
        "dags/shop.yaml": LOAD_ONLY.format(end=end),
        "include/shop/sql/rows.sql": "SELECT * FROM source\n",
        "include/shop/sql/depots.sql": "SELECT depot, count(*) AS deliveries FROM deliveries GROUP BY depot\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    sample.deliver_sample(root / "home" / "landing" / "shop")
    return root / "dags" / "shop.yaml"


def outcomes(worked: Iterator[StageOutcome]) -> dict[str, str]:
    return {one.stage: one.outcome for one in worked}


def test_a_plan_afterwards_finds_everything_current(rehearsal: Rehearsal) -> None:
    """Also trainings of every kind: decided against, promoted, rejected or shadowed."""
    for day in DAYS[:5]:
        assert set(outcomes(rehearsal.work_through(day)).values()) == {"done"}
    found = make_plan(Deployment(rehearsal.spec, rehearsal.home.runtime()), last=DAYS[4])
    assert [(item.name, item.partition, item.state) for item in found.items if item.state != "current"] == []
    assert {item.name for item in found.items} >= {"train", "score", "monitor"}


def test_what_a_rehearsal_settles_is_what_operators_settle(rehearsal: Rehearsal) -> None:
    made = {day: rehearsal.run(day)["train"] for day in DAYS[:4]}
    ledger = Ledger(rehearsal.runtime.ledger)
    settled = {entry.partition: entry for entry in ledger.find("shop", "complete", subject="train")}
    assert {day: entry.evidence["outcome"] for day, entry in settled.items()} == made
    assert {day: entry.evidence["cause"] for day, entry in settled.items()} == {
        day: f"settled: {outcome}" for day, outcome in made.items()
    }
    assert made[DAYS[3]] == "promoted"


def test_a_partition_that_scores_its_own_population_is_monitored_with_its_predictions(
    yaml: Path, tmp_path: Path
) -> None:
    """As under Airflow, where monitoring waits for them; so the same rehearsal again finds nothing to do."""
    yaml.write_text(yaml.read_text().replace("ahead: 1", "ahead: 0"))
    with Rehearsal(yaml, tmp_path / "home") as made:
        assert made.spec.score is not None
        assert made.spec.score.ahead == 0
        for day in DAYS[:6]:
            made.run(day)
        profiles = Lake(made.runtime.lake).dataset("shop", "profiles")
        before = profiles.snapshot()
        made.run(DAYS[5])
        after = profiles.snapshot()
    notes = Ledger(made.runtime.ledger).find("shop", "note")
    assert [entry.reason for entry in notes if entry.outcome == "went on"] == []
    assert before is not None
    assert after is not None
    features = before.arrow().to_table(columns=["partition", "feature"]).to_pylist()
    assert {"partition": DAYS[5], "feature": "prediction"} in features
    assert after.version == before.version


def test_one_process_serves_many_populations_with_the_same_answers(yaml: Path, tmp_path: Path) -> None:
    def rows(home: Path) -> list[tuple[object, ...]]:
        snapshot = Lake(str(home / "lake")).dataset("shop", "predictions").snapshot()
        assert snapshot is not None
        table = snapshot.arrow().to_table(columns=["delivery_id", "probability", "model_version", "served_by"])
        return sorted(tuple(row.values()) for row in table.to_pylist())

    alone = Rehearsal(yaml, tmp_path / "alone", landing=str(tmp_path / "home" / "landing"))
    served = []
    with Rehearsal(yaml, tmp_path / "home") as kept:
        for day in DAYS[:6]:
            alone.run(day)
            if kept.run(day)["score"]["rows"]:
                served.append(dict(kept.runtime.hosts._kept))  # type: ignore[union-attr]
    assert len(served) == 2
    assert served[0] == served[1]
    # Version 1 was judged; version 2, the same model fitted on the whole window, was compared with it and serves.
    assert list(served[0]) == ["shop version 1", "shop version 2"]
    assert rows(tmp_path / "home") == rows(tmp_path / "alone")
    assert not any(host.lives for host, _ in served[0].values())


def test_a_partition_that_fails_ends_what_depends_on_it_and_nothing_else(tmp_path: Path) -> None:
    with Rehearsal(load_only(tmp_path), tmp_path / "home") as rehearsal:
        gone = tmp_path / "home" / "landing" / "shop" / "deliveries" / f"{DAYS[1]}.csv"
        gone.unlink()
        worked = {day: list(rehearsal.work_through(day)) for day in DAYS[:3]}
        assert [worked[day][0].outcome for day in DAYS[:3]] == ["done", "failed", "done"]
        assert "deliveries" in worked[DAYS[1]][0].reason
        assert isinstance(worked[DAYS[1]][0].error, MissingInput)
        ledger = Ledger(rehearsal.runtime.ledger)
        (incident,) = open_incidents(ledger, "shop")
        assert (incident.fingerprint, incident.partitions) == ("shop/etl/deliveries/MissingInput", (DAYS[1],))
        found = make_plan(Deployment(rehearsal.spec, rehearsal.home.runtime()), last=DAYS[2])
        # `other` does not read what failed.
        assert [i.name for i in found.items if i.partition == DAYS[1] and i.state == "current"] == ["other"]
        sample.deliver_sample(tmp_path / "home" / "landing" / "shop")
        assert outcomes(rehearsal.work_through(DAYS[1])) == {"etl": "done"}
        assert open_incidents(ledger, "shop") == []


def test_later_partitions_go_on_without_one_that_failed(rehearsal: Rehearsal, tmp_path: Path) -> None:
    """What Airflow does after `train.patience`: nobody else works here, so nothing is waited for."""
    (tmp_path / "home" / "landing" / "shop" / "deliveries" / f"{DAYS[0]}.csv").unlink()
    first = {one.stage: one.outcome for one in rehearsal.work_through(DAYS[0])}
    assert first == {
        "etl": "failed", "features": "not reached", "monitor": "not reached", "train": "not reached",
        "score": "not reached",
    }  # fmt: skip
    # `depot_day` looks back over three days.
    later = {day: outcomes(rehearsal.work_through(day)) for day in DAYS[1:4]}
    assert [later[day]["etl"] for day in DAYS[1:4]] == ["failed", "failed", "done"]
    assert set(later[DAYS[3]].values()) == {"done"}
    noted = Ledger(rehearsal.runtime.ledger).find("shop", "note", partition=DAYS[3])
    assert {entry.subject for entry in noted if entry.outcome == "went on"} == {"monitor", "train", "score"}


def test_a_partition_that_a_person_holds_is_skipped_with_the_reason(tmp_path: Path) -> None:
    rehearsal = Rehearsal(load_only(tmp_path), tmp_path / "home")
    holds.hold_pipeline(Ledger(rehearsal.runtime.ledger), "shop", reason="the price list is wrong", actor="ann")
    (worked,) = rehearsal.work_through(DAYS[0])
    assert worked.outcome == "skipped"
    assert "the price list is wrong" in worked.reason
    with pytest.raises(LeftOut, match="the price list is wrong"):
        rehearsal.run(DAYS[0])


@pytest.mark.parametrize(
    ("answer", "outcome", "approval"), [(True, "promoted", "approved"), (False, "not approved", "rejected")]
)
def test_an_approval_is_answered_as_it_was_asked_for(
    yaml: Path, tmp_path: Path, answer: bool, outcome: str, approval: str
) -> None:
    yaml.write_text(
        re.sub("^promotion: .*$", "promotion: {mode: approval, approvers: [ann]}", yaml.read_text(), flags=re.M)
    )
    with Rehearsal(yaml, tmp_path / "home", approve=answer) as rehearsal:
        made = [rehearsal.run(day)["train"] for day in DAYS[:4]]
        assert made[-1] == outcome
        ledger = Ledger(rehearsal.runtime.ledger)
        (entry,) = ledger.find("shop", "approval")
        assert (entry.outcome, entry.actor, entry.partition) == (approval, "rehearsal", DAYS[3])
        assert [change.actor for change in ledger.champions("shop")] == (["rehearsal"] if answer else [])
        # Answered once; what was promoted on this very verdict is not asked about again.
        rehearsal.run(DAYS[3])
        assert len(ledger.find("shop", "approval")) == 1
        found = make_plan(Deployment(rehearsal.spec, rehearsal.home.runtime()), last=DAYS[3])
        assert {item.state for item in found.items} == {"current"}


def test_two_rehearsals_do_not_share_a_home_at_a_time(tmp_path: Path) -> None:
    yaml = load_only(tmp_path)
    with Rehearsal(yaml, tmp_path / "home"), pytest.raises(Conflict, match="in use by another rehearsal"):
        Rehearsal(yaml, tmp_path / "home").__enter__()
    with Rehearsal(yaml, tmp_path / "home"):
        pass


def test_without_an_end_partitions_go_to_the_newest_that_is_over(tmp_path: Path) -> None:
    rehearsal = Rehearsal(load_only(tmp_path, end="# no end"), tmp_path / "home")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    keys = rehearsal.partitions()
    assert (keys[0], keys[-1]) == ("2024-01-01", yesterday)
    assert rehearsal.partitions("2024-01-03", "2024-01-04") == ["2024-01-03", "2024-01-04"]
    with pytest.raises(UsageError, match="is not over yet"):
        rehearsal.partitions(last=(datetime.now(UTC) + timedelta(days=1)).date().isoformat())


def test_whoever_opens_the_home_later_reads_the_same_landing_zone(tmp_path: Path) -> None:
    rehearsal = Rehearsal(load_only(tmp_path), tmp_path / "own", landing=str(tmp_path / "home" / "landing"))
    assert rehearsal.run(DAYS[0])["etl"]["deliveries"] == 300
    assert Home(root=tmp_path / "own", project=tmp_path).runtime().landing == str(tmp_path / "home" / "landing")
