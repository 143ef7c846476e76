"""A model of the example works where nothing but its recorded requirements is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from tests.local_runtime import local_runtime

from tradewind.deployment import Deployment
from tradewind.etl.dataset_build import build_dataset
from tradewind.local_airflow.flight_landing import deliver_flights
from tradewind.registry.model_registry import ModelRegistry
from tradewind.spec.dataset_order import dataset_order
from tradewind.spec.load import load_pipeline
from tradewind.spec.pipeline import Pipeline
from tradewind.training.candidate import TrainedCandidate, train_candidate

pytestmark = pytest.mark.slow

# The logged example comes back as MLflow kept it; nothing of this checkout is on the path.
PREDICT = """
import json, sys
import mlflow.pyfunc
model = mlflow.pyfunc.load_model(sys.argv[1])
print(json.dumps(model.predict(model.input_example).tolist()))
"""


def short(spec: Pipeline) -> Pipeline:
    """The example with three weeks in its window: of the first week no feature is known, of the second all are."""
    assert spec.train is not None
    return spec.model_copy(update={"train": spec.train.model_copy(update={"window": 3, "test": 1})})


def test_a_model_predicts_in_an_empty_environment(project: Path, tmp_path: Path) -> None:
    spec = short(load_pipeline(project / "dags" / "flight_delay.yaml"))
    weeks = spec.partitioning.between(spec.start, spec.partitioning.shift(spec.start, 2))
    runtime = local_runtime(tmp_path, project=project)
    deliver_flights(Path(runtime.landing), [day for week in weeks for day in spec.partitioning.days(week)], schedule=[])
    for week in weeks:
        for name in dataset_order(spec.datasets):
            build_dataset(Deployment(spec, runtime), name, week)
    trained = train_candidate(Deployment(spec, runtime), weeks[-1])
    assert isinstance(trained, TrainedCandidate)

    registry = ModelRegistry(runtime, spec.model_name)
    version = registry.get(trained.version)
    with registry.folder(version) as folder, registry.evidence(version) as evidence:
        expected = json.loads((evidence / "example.json").read_text())["predictions"]
        python = _empty_environment(tmp_path / "empty", folder / "requirements.txt")
        found = json.loads(_run(str(python), "-I", "-c", PREDICT, str(folder), cwd=tmp_path).splitlines()[-1])
    assert found == expected


def _empty_environment(home: Path, requirements: Path) -> Path:
    """An environment of its own, filled from outside, without the byte code of what is never imported."""
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    if uv := shutil.which("uv"):
        _run(uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements))
    else:
        pip = (sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--python", str(python))
        _run(*pip, "install", "--quiet", "--no-compile", "-r", str(requirements))
    return python


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=1200)
    assert done.returncode == 0, f"{' '.join(command)[:200]}\n{done.stdout}\n{done.stderr}"
    return done.stdout
