"""The registry finds versions by their cause, and shows the ledger's champion as an alias."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from tradewind.champion.alias_and_card import mark_abandoned_trainings
from tradewind.core.runtime import Runtime
from tradewind.errors import ModelError, StorageFault, Unavailable
from tradewind.registry import mlflow_run
from tradewind.registry.mlflow_run import TrainingRecord, shorten_tags
from tradewind.registry.model_registry import (
    ModelRegistry,
    RegisteredVersion,
    set_champion_alias,
    translate_mlflow_errors,
)
from tradewind.training.estimator import infer_model_signature


@pytest.fixture
def log(house, tmp_path) -> Callable[..., RegisteredVersion]:
    """Logs a model of no worth with the parameters that a search chose."""
    (tmp_path / "evidence").mkdir()

    def save(folder: Path, described: Model) -> None:
        folder.mkdir()
        (folder / "MLmodel").touch()
        described.signature = infer_model_signature(pa.table({"x": [1.0]}), classes=None)

    def log(params: str = "{}", *, cause: str = "c" * 32, runtime: Runtime = house.runtime) -> RegisteredVersion:
        tags = {"tradewind.params": params}
        record = TrainingRecord(save, "train", params={}, metrics={}, tags=tags, evidence=tmp_path / "evidence")
        return ModelRegistry(runtime, "delays").log(record, cause=cause)

    return log


def test_a_version_is_found_by_its_cause_only(house, log) -> None:
    logged = log()
    registry = ModelRegistry(house.runtime, "delays")
    found = registry.find("c" * 32)
    assert found is not None
    assert (found.version, found.mlflow_run_id) == (logged.version, logged.mlflow_run_id)
    assert registry.find("0" * 32) is None


def test_an_unknown_version_is_named(house) -> None:
    with pytest.raises(ModelError, match="delays version 7 is not in the model registry"):
        ModelRegistry(house.runtime, "delays").get("7")


@pytest.fixture
def away(house, monkeypatch) -> Callable[..., ModelRegistry]:
    """A registry for which some calls of MLflow's client find nobody."""

    def away(*calls: str, error: Exception | None = None) -> ModelRegistry:
        def unreachable(*_: object, **__: object) -> None:
            raise error or MlflowException("connection refused")

        for call in calls:
            monkeypatch.setattr(MlflowClient, call, unreachable)
        return ModelRegistry(house.runtime, "delays")

    return away


def logged(registry: ModelRegistry, folder: Path, save: Callable[..., None] = lambda *_: None) -> None:
    """Ask for a model to be logged."""
    record = TrainingRecord(save, "train 2013-03-04", params={}, metrics={}, tags={}, evidence=folder)
    registry.log(record, cause="c" * 32)


def test_a_registry_that_does_not_answer_is_away_and_not_without_the_version(away) -> None:
    with pytest.raises(Unavailable, match="connection refused"):
        away("get_model_version").get("1")


def test_a_search_that_nobody_answers_is_tried_again(away) -> None:
    with pytest.raises(Unavailable, match="versions of delays cannot be searched: connection refused"):
        away("search_model_versions").find("0" * 32)


def test_an_experiment_that_nobody_can_make_is_tried_again(away) -> None:
    with pytest.raises(Unavailable, match="experiment delays cannot be found or made"):
        away("create_experiment").experiment()


@pytest.mark.parametrize("call", ["search_logged_models", "create_run", "log_batch", "log_artifacts"])
def test_a_model_that_cannot_be_logged_now_is_tried_again(away, tmp_path, call) -> None:
    (tmp_path / "evidence").mkdir()
    registry = away(call, error=requests.ConnectionError("connection refused"))
    with pytest.raises(Unavailable, match="model of delays, train 2013-03-04, cannot be logged: connection refused"):
        logged(registry, tmp_path / "evidence")


def test_a_model_that_mlflow_cannot_save_is_not_tried_again(house, tmp_path) -> None:
    def save(*_: object) -> None:
        raise MlflowException("what is this")

    (tmp_path / "evidence").mkdir()
    with pytest.raises(ModelError, match="run train 2013-03-04 cannot be saved: what is this"):
        logged(ModelRegistry(house.runtime, "delays"), tmp_path / "evidence", save)


def test_a_version_says_how_its_own_model_was_fitted_and_not_another_attempt(log, monkeypatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "create_model_version", killed)
        with pytest.raises(KeyboardInterrupt):
            log('{"C": 0.1}')
    assert log('{"C": 10}').tags["tradewind.params"] == '{"C": 0.1}'


def test_of_two_that_log_the_same_at_once_one_registers(house, log, meanwhile) -> None:
    meanwhile(mlflow_run, "write_training_run", lambda: log("slower"))
    assert log("faster").version == "1"
    client = ModelRegistry(house.runtime, "delays").client
    assert len(client.search_model_versions("name = 'delays'")) == 1


@pytest.mark.parametrize("at", ["log_batch", "finalize_logged_model", "create_model_version"])
def test_upkeep_marks_what_a_killed_training_left_and_nothing_else(house, log, monkeypatch, at) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    log("whole")
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, at, killed)
        with pytest.raises(KeyboardInterrupt):
            log("killed", cause="d" * 32)
    now = datetime.now(UTC)
    assert mark_abandoned_trainings(house.deployment, now=now) == []  # it may still go on
    marked = mark_abandoned_trainings(house.deployment, now=now + timedelta(days=2))
    assert [one.split()[0] for one in marked] == {"log_batch": ["run", "model"]}.get(at, ["model"])
    assert mark_abandoned_trainings(house.deployment, now=now + timedelta(days=2)) == []
    client, experiment = (
        ModelRegistry(house.runtime, "delays").client,
        ModelRegistry(house.runtime, "delays").experiment(),
    )
    whole, *others = client.search_runs([experiment], order_by=["attributes.start_time ASC"])
    assert mlflow_run.SUPERSEDED not in whole.data.tags
    assert [run.info.status for run in others] == ["KILLED" if at == "log_batch" else "FINISHED"]
    assert log("again", cause="d" * 32).version == "2"  # a retry that comes late all the same
    assert mark_abandoned_trainings(house.deployment, now=now + timedelta(days=2)) == []


def test_evidence_that_nobody_gives_now_is_tried_again(house, away) -> None:
    version = RegisteredVersion("delays", "1", "0" * 32, "1", "file:///nowhere")
    with pytest.raises(Unavailable, match="run of delays version 1 cannot be found"), away("get_run").evidence(version):
        pass


def test_an_alias_that_nobody_can_set_now_is_tried_again(house, log, away) -> None:
    log()
    away("set_registered_model_alias")
    with pytest.raises(Unavailable, match="alias champion of delays cannot be set"):
        set_champion_alias(house.runtime, "delays", "1")


def test_the_alias_moves_once_and_comes_back(house, log) -> None:
    log()
    log(cause="d" * 32)
    done = [set_champion_alias(house.runtime, "delays", version) for version in ("1", "1", "2")]
    assert done == [
        "alias champion of delays moved from nothing to version 1",
        None,
        "alias champion of delays moved from version 1 to version 2",
    ]
    client = ModelRegistry(house.runtime, "delays").client
    client.set_registered_model_alias("delays", "champion", "1")  # somebody else's edit
    assert set_champion_alias(house.runtime, "delays", "2") is not None
    assert str(client.get_model_version_by_alias("delays", "champion").version) == "2"


def test_an_alias_for_a_version_that_is_not_there_is_refused(house) -> None:
    with pytest.raises(ModelError, match="version 3 is not in the model registry"):
        set_champion_alias(house.runtime, "delays", "3")


def test_artifacts_lie_beside_the_tracking_database(house, log, tmp_path) -> None:
    log()
    registry = ModelRegistry(house.runtime, "delays")
    with registry.folder(registry.get("1")) as folder:
        assert folder.is_relative_to(tmp_path / "artifacts" / "delays")


def test_tags_of_a_run_fit_into_every_database() -> None:
    long = ",".join(f"2013-02-{day:02d}T{hour:02d}" for day in range(1, 29) for hour in range(24))
    found = shorten_tags({"tradewind.train_partitions": long, "tradewind.task": "binary"})
    assert len(found["tradewind.train_partitions"]) == 8000 < len(long)
    assert found["tradewind.task"] == "binary"


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("RESOURCE_DOES_NOT_EXIST", ModelError, "is not in the model registry"),
        ("TEMPORARILY_UNAVAILABLE", Unavailable, "cannot be looked up: "),
        ("PERMISSION_DENIED", Unavailable, r"cannot be looked up: MLflow refuses the login \(PERMISSION_DENIED\)"),
    ],
)
def test_a_registry_that_is_away_or_refuses_is_not_told_as_a_missing_version(
    code: str, error: type[Exception], message: str
) -> None:
    from mlflow.exceptions import RestException

    with (
        pytest.raises(error, match=f"delays version 1 {message}"),
        translate_mlflow_errors(
            "delays version 1 cannot be looked up", absent="delays version 1 is not in the model registry"
        ),
    ):
        raise RestException({"error_code": code, "message": "no"})


@pytest.mark.parametrize("free", [0, 4, 16, 40])
def test_a_full_disk_of_mlflow_is_named_and_room_heals_it(house, log, small_disk, free: int) -> None:
    """With so many kB free it is another thing that finds no room: database, evidence, model."""
    home = small_disk.folder / "mlflow"
    home.mkdir()
    small_disk.remount("size=4m")
    runtime = replace(house.runtime, mlflow=f"sqlite:///{home}/mlflow.db")
    ModelRegistry(runtime, "delays").find("0" * 32)
    (small_disk.folder / "room").write_bytes(b"x" * free * 1024)
    small_disk.fill()
    (small_disk.folder / "room").unlink()
    problem = ""
    try:
        log(runtime=runtime)
    except StorageFault as exc:
        problem = str(exc)
    assert problem or free
    assert not problem or "is full: " in problem
    small_disk.empty()
    assert log(runtime=runtime).version


def test_the_first_client_of_a_deployment_prints_nothing(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from tradewind.core.runtime import Runtime
from tradewind.registry.model_registry import create_mlflow_client

root = Path(sys.argv[1])
create_mlflow_client(Runtime(
    project=root, lake="-", landing="-", ledger="-", mlflow=f"sqlite:///{root}/mlflow.db", feast_registry="-",
    feast_online={}, reports=root)).search_registered_models()
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
