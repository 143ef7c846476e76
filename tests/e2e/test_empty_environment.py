"""A model of the example works where nothing but its recorded requirements is installed."""

from __future__ import annotations

import json
import subprocess
import venv
from pathlib import Path

import pytest

from tradewind.core.runtime import Runtime
from tradewind.embedded.landing import deliver
from tradewind.etl.dataset import build_dataset
from tradewind.models.registry import Registry
from tradewind.models.train import train
from tradewind.spec.load import load
from tradewind.spec.order import in_order

pytestmark = pytest.mark.slow

# The logged example comes back as MLflow kept it; nothing of this checkout is on the path.
PREDICT = """
import json, sys
import mlflow.pyfunc
model = mlflow.pyfunc.load_model(sys.argv[1])
print(json.dumps(model.predict(model.input_example).tolist()))
"""


def test_a_model_predicts_in_an_empty_environment(project: Path, tmp_path: Path) -> None:
    spec = load(project / "dags" / "flight_delay.yaml")
    assert spec.train is not None
    weeks = spec.partitioning.between(spec.start, spec.partitioning.shift(spec.start, spec.train.window - 1))
    runtime = Runtime(
        project=project,
        lake=str(tmp_path / "lake"),
        landing=str(tmp_path / "landing"),
        ledger=f"sqlite:///{tmp_path}/ledger.db",
        mlflow=f"sqlite:///{tmp_path}/mlflow.db",
        feast_registry=f"sqlite:///{tmp_path}/feast.db",
        feast_online={"type": "sqlite", "path": str(tmp_path / "online.db")},
        reports=tmp_path / "reports",
    )
    deliver(Path(runtime.landing), [day for week in weeks for day in spec.partitioning.days(week)], schedule=[])
    for week in weeks:
        for name in in_order(spec.datasets):
            build_dataset(spec, name, week, runtime)
    trained = train(spec, weeks[-1], runtime)

    registry = Registry(runtime, spec.model_name)
    version = registry.get(trained.version)
    with registry.folder(version) as folder, registry.evidence(version) as evidence:
        expected = json.loads((evidence / "example.json").read_text())["predictions"]
        python = _empty_environment(tmp_path / "empty", folder / "requirements.txt")
        found = json.loads(_run(python, "-I", "-c", PREDICT, str(folder), cwd=tmp_path).splitlines()[-1])
    assert found == expected


def _empty_environment(home: Path, requirements: Path) -> Path:
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    _run(python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements))
    return python


def _run(python: Path, *arguments: str, cwd: Path | None = None) -> str:
    done = subprocess.run([str(python), *arguments], capture_output=True, text=True, cwd=cwd, check=False, timeout=1200)
    assert done.returncode == 0, f"{python} {' '.join(arguments)[:200]}\n{done.stdout}\n{done.stderr}"
    return done.stdout
