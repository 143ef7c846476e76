from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tradewind.core.runtime import Runtime
from tradewind.errors import Conflict, UsageError
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
from tradewind.ledger import holds
from tradewind.ledger.journal import Entry, Ledger
from tradewind.models.archive import ARCHIVED, archive, versions
from tradewind.models.promote import promote, reconcile, rollback
from tradewind.models.registry import ALIAS, Registry
from tradewind.spec.models import Pipeline

# MLflow's own SQL store, under the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

WEEKS = ["2013-01-28", "2013-02-04", "2013-02-11", "2013-02-18", "2013-02-25", "2013-03-04", "2013-03-11"]


@pytest.fixture(scope="module")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry with three versions, which tests share: only the alias changes."""
    folder = tmp_path_factory.mktemp("mlflow")
    runtime = _runtime(folder, f"sqlite:///{folder}/mlflow.db")
    registry = Registry(runtime, "flights")
    registry.client.create_registered_model("flights")
    for _ in range(3):
        run = registry.client.create_run(registry.experiment())
        registry.client.create_model_version("flights", f"{run.info.artifact_uri}/model", run.info.run_id)
    return runtime.mlflow


@pytest.fixture
def runtime(tmp_path: Path, mlflow_url: str) -> Iterator[Runtime]:
    runtime = _runtime(tmp_path, mlflow_url)
    yield runtime
    Registry(runtime, "flights").client.delete_registered_model_alias("flights", ALIAS)


def _runtime(folder: Path, mlflow: str) -> Runtime:
    return Runtime(
        project=folder,
        lake=str(folder / "lake"),
        landing=str(folder / "landing"),
        ledger=f"sqlite:///{folder}/ledger.db",
        mlflow=mlflow,
        feast_registry=f"sqlite:///{folder}/feast.db",
        feast_online={"type": "sqlite"},
        reports=folder / "reports",
        run_id="run 1",
    )


@pytest.fixture
def spec() -> Pipeline:
    files = {"files": "{landing}/{day}.csv", "format": "csv"}
    return Pipeline.model_validate(
        {
            "pipeline": "flights",
            "owner": "ops",
            "description": "late?",
            "partition": "week",
            "timezone": "America/New_York",
            "start": WEEKS[0],
            "schedule": "0 6 * * 1",
            "datasets": {"flown": {"source": files, "sql": "flown.sql"}},
            "score": {"population": {**files, "sql": "p.sql", "key": "id", "timestamp": "at"}, "ahead": 1},
        }
    )


def judge(runtime: Runtime, partition: str, version: str, *, expected_seq: int = 0, outcome: str = "passed") -> None:
    """Journal what train and verdict journal."""
    ledger = Ledger(runtime.ledger)
    trained = {"version": version, "train_partitions": [WEEKS[0]], "test_partitions": [WEEKS[1]], "mlflow_run_id": "m"}
    ledger.append(Entry("flights", "trained", version, partition, f"cause {version}", evidence=trained))
    evidence = {"version": version, "expected_seq": expected_seq}
    key = f"{partition}/{version}/{expected_seq}"
    entry = Entry("flights", "verdict", version, partition, key, outcome=outcome, reason="gates", evidence=evidence)
    ledger.append(entry)


def score(runtime: Runtime, population: str) -> None:
    dataset = Lake(runtime.lake).dataset("flights", "predictions")
    staged = dataset.stage(population, pa.table({"id": [population]}).to_reader())
    dataset.publish(staged, cause=Cause({}, population, "1"), run_id="r")


def alias(runtime: Runtime) -> str | None:
    aliases: dict[str, Any] = Registry(runtime, "flights").client.get_registered_model("flights").aliases
    return str(aliases[ALIAS]) if ALIAS in aliases else None


def test_a_promotion_holds_from_the_first_population_that_no_run_up_to_it_scores(
    spec: Pipeline, runtime: Runtime
) -> None:
    judge(runtime, WEEKS[1], "1")
    champion = promote(spec, WEEKS[1], runtime, actor="airflow", comment="looks good")
    assert (champion.seq, champion.model_version, champion.effective_from) == (1, "1", WEEKS[3])
    assert champion.decided_at == WEEKS[1]
    assert champion.evidence["train_partitions"] == [WEEKS[0]]
    assert champion.evidence["verdict_key"] == f"{WEEKS[1]}/1/0"
    assert champion.evidence["comment"] == "looks good"
    assert alias(runtime) == "1"


def test_a_late_promotion_leaves_what_is_scored_alone(spec: Pipeline, runtime: Runtime) -> None:
    judge(runtime, WEEKS[1], "1")
    for population in WEEKS[1:5]:
        score(runtime, population)
    assert promote(spec, WEEKS[1], runtime, actor="ada").effective_from == WEEKS[5]


def test_promoting_again_changes_nothing(spec: Pipeline, runtime: Runtime) -> None:
    judge(runtime, WEEKS[1], "1")
    first = promote(spec, WEEKS[1], runtime, actor="airflow")
    score(runtime, WEEKS[4])
    assert promote(spec, WEEKS[1], runtime, actor="airflow") == first
    assert len(Ledger(runtime.ledger).champions("flights")) == 1


def test_replaying_an_old_promotion_leaves_the_alias_with_the_newest_champion(spec: Pipeline, runtime: Runtime) -> None:
    judge(runtime, WEEKS[1], "1")
    promote(spec, WEEKS[1], runtime, actor="airflow")
    judge(runtime, WEEKS[3], "2", expected_seq=1)
    promote(spec, WEEKS[3], runtime, actor="airflow")
    assert promote(spec, WEEKS[1], runtime, actor="airflow").seq == 1
    assert alias(runtime) == "2"


def test_a_rejected_candidate_is_not_promoted(spec: Pipeline, runtime: Runtime) -> None:
    judge(runtime, WEEKS[1], "1", outcome="rejected")
    with pytest.raises(UsageError, match=f"the verdict at partition {WEEKS[1]} is rejected: gates"):
        promote(spec, WEEKS[1], runtime, actor="airflow")


def test_without_a_verdict_nothing_is_promoted(spec: Pipeline, runtime: Runtime) -> None:
    with pytest.raises(UsageError, match="no verdict"):
        promote(spec, WEEKS[1], runtime, actor="airflow")


def test_a_verdict_against_a_champion_that_was_replaced_since_is_a_conflict(spec: Pipeline, runtime: Runtime) -> None:
    judge(runtime, WEEKS[1], "1")
    judge(runtime, WEEKS[2], "2")
    promote(spec, WEEKS[1], runtime, actor="airflow")
    with pytest.raises(Conflict, match="make version 2 champion of flights: decided against change 0"):
        promote(spec, WEEKS[2], runtime, actor="airflow")
    assert alias(runtime) == "1"


CRASH = """
import sys, pickle
from tradewind.models.promote import promote
spec, runtime = pickle.loads(sys.stdin.buffer.read())
promote(spec, sys.argv[1], runtime, actor="airflow")
"""


@pytest.mark.slow
def test_a_crash_between_ledger_and_alias_heals_by_promoting_again(
    spec: Pipeline, runtime: Runtime, tmp_path: Path
) -> None:
    import pickle

    judge(runtime, WEEKS[1], "1")
    trigger = tmp_path / "fault"
    trigger.touch()
    fault = f"after-ledger-before-alias:{trigger}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TRADEWIND_FAULT": fault}
    command = [sys.executable, "-c", CRASH, WEEKS[1]]
    died = subprocess.run(command, input=pickle.dumps((spec, runtime)), env=environment, check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(Ledger(runtime.ledger).champions("flights")) == 1
    assert alias(runtime) is None
    promote(spec, WEEKS[1], runtime, actor="airflow")
    assert len(Ledger(runtime.ledger).champions("flights")) == 1
    assert alias(runtime) == "1"


def test_reconcile_makes_the_alias_say_what_the_ledger_says(spec: Pipeline, runtime: Runtime) -> None:
    assert reconcile(spec, runtime) is None
    judge(runtime, WEEKS[1], "2")
    promote(spec, WEEKS[1], runtime, actor="airflow")
    assert reconcile(spec, runtime) is None
    Registry(runtime, "flights").client.set_registered_model_alias("flights", ALIAS, "3")
    assert "moved from version 3 to version 2" in str(reconcile(spec, runtime))
    assert alias(runtime) == "2"


def test_a_rollback_brings_an_earlier_champion_back_from_the_next_population(spec: Pipeline, runtime: Runtime) -> None:
    judge(runtime, WEEKS[1], "1")
    promote(spec, WEEKS[1], runtime, actor="airflow")
    judge(runtime, WEEKS[3], "2", expected_seq=1)
    promote(spec, WEEKS[3], runtime, actor="airflow")
    score(runtime, WEEKS[5])
    champion = rollback(spec, to_version="1", reason="scores look wrong", actor="ada", runtime=runtime)
    assert (champion.seq, champion.model_version, champion.effective_from) == (3, "1", WEEKS[6])
    assert (champion.actor, champion.decided_at) == ("ada", None)
    assert champion.evidence["train_partitions"] == [WEEKS[0]]
    assert champion.evidence["replaces"] == "2"
    assert alias(runtime) == "1"
    served = Ledger(runtime.ledger).champion_for("flights", WEEKS[5])
    assert served is not None
    assert served.model_version == "2"


def test_rolling_back_again_adds_nothing(spec: Pipeline, runtime: Runtime) -> None:
    judge(runtime, WEEKS[1], "1")
    promote(spec, WEEKS[1], runtime, actor="airflow")
    first = Ledger(runtime.ledger).champions("flights")
    assert [rollback(spec, to_version="1", reason="again", actor="ada", runtime=runtime)] == first
    assert Ledger(runtime.ledger).champions("flights") == first


def test_only_a_version_that_was_champion_can_be_rolled_back_to(spec: Pipeline, runtime: Runtime) -> None:
    judge(runtime, WEEKS[1], "1")
    promote(spec, WEEKS[1], runtime, actor="airflow")
    with pytest.raises(UsageError, match="version 3 never was champion; versions that were: 1"):
        rollback(spec, to_version="3", reason="why not", actor="ada", runtime=runtime)


def test_a_rollback_needs_a_reason(spec: Pipeline, runtime: Runtime) -> None:
    with pytest.raises(UsageError, match="needs a reason"):
        rollback(spec, to_version="1", reason=" ", actor="ada", runtime=runtime)


def test_archived_models_stay_and_serve_nobody(spec: Pipeline, runtime: Runtime) -> None:
    judge(runtime, WEEKS[1], "2")
    promote(spec, WEEKS[1], runtime, actor="airflow")
    client = Registry(runtime, "flights").client
    assert archive("flights", runtime, reason="replaced") == ["1", "2", "3"] == versions("flights", runtime)
    assert alias(runtime) is None
    told = client.get_model_version("flights", "2").tags[ARCHIVED]
    assert told.endswith(": replaced")
    archive("flights", runtime, reason="again")
    assert client.get_model_version("flights", "2").tags[ARCHIVED] == told
    assert archive("nobody", runtime, reason="x") == []


def test_what_is_decommissioned_gets_no_champion_again(spec: Pipeline, runtime: Runtime) -> None:
    judge(runtime, WEEKS[1], "2")
    promote(spec, WEEKS[1], runtime, actor="airflow")
    holds.decommission(Ledger(runtime.ledger), "flights", reason="replaced", actor="ann")
    Registry(runtime, "flights").client.delete_registered_model_alias("flights", ALIAS)
    assert reconcile(spec, runtime) is None
    assert alias(runtime) is None
    with pytest.raises(UsageError, match="decommissioned by ann"):
        rollback(spec, to_version="2", reason="x", actor="ann", runtime=runtime)
