"""A population that has not come: what scoring does then, and what training does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.local_runtime import local_runtime

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import LeftOut, MissingInput, NotDelivered
from tradewind.spec.pipeline import Pipeline
from tradewind.training.model_frame import population_inputs

DAY = "2024-01-02"


@pytest.fixture
def spec() -> Pipeline:
    population = {
        "files": "{landing}/{day}.csv", "sql": "p.sql", "key": "id", "timestamp": "at", "missing": "wait",
        "wait_for": "1h", "late": "skip",
    }  # fmt: skip
    about = {"pipeline": "trips", "owner": "x", "description": "x", "schedule": "@daily"}
    time = {"partition": "day", "timezone": "UTC", "start": "2024-01-01"}
    datasets = {"trips": {"source": {"files": "{landing}/{day}.csv"}, "sql": "trips.sql"}}
    return Pipeline.model_validate({**about, **time, "datasets": datasets, "score": {"population": population}})


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return local_runtime(tmp_path, landing=str(tmp_path))


def test_scoring_waits_for_it_and_then_does_without(spec: Pipeline, runtime: Runtime) -> None:
    with pytest.raises(NotDelivered, match=rf"{DAY}\.csv"):
        population_inputs(Deployment(spec, runtime), DAY, waits=True)
    with pytest.raises(LeftOut, match=r"left out by `late: skip`"):
        population_inputs(Deployment(spec, replace(runtime, waited=timedelta(hours=1))), DAY, waits=True)


def test_training_does_not_wait(spec: Pipeline, runtime: Runtime) -> None:
    with pytest.raises(MissingInput, match=rf"{DAY}\.csv"):
        population_inputs(Deployment(spec, replace(runtime, waited=timedelta(hours=1))), DAY)


def test_what_was_copied_goes_with_who_reads_it(
    spec: Pipeline, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"{DAY}.csv").write_text("id,at\n1,2024-01-02\n")
    inputs = population_inputs(Deployment(spec, runtime), DAY)
    assert inputs.deliveries.keys() == {"source"}
    del inputs
    assert not list(tmp_path.glob("tradewind-population-*"))
