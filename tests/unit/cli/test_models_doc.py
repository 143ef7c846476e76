"""What docs/models.md shows works: the YAML loads, the code fits, every command is one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
import yaml

from tradewind.cli.main import command_line
from tradewind.isolation.project_metric import open_metric
from tradewind.local_airflow.home import Home
from tradewind.scaffold.new_pipeline import create_pipeline
from tradewind.spec.load import load_pipeline
from tradewind.spec.metrics import MetricDeclaration

BASE = """
pipeline: parcels
owner: ops@example.com
description: Late?
partition: day
timezone: Europe/Berlin
start: 2024-01-01
schedule: "@daily"
datasets: {parcels: {source: {files: "{landing}/{day}.csv"}, sql: include/parcels/parcels.sql}}
features: {definitions: include/parcels/features.py}
score:
  population: {files: "{landing}/{day}.csv", sql: include/parcels/population.sql, key: id, timestamp: at}
monitor: {performance: {metric: roc_auc, at_least: 0.6}}
"""


@pytest.fixture(scope="module")
def text(project: Path) -> str:
    return (project / "docs" / "models.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def code(text: str) -> dict[str, ModuleType]:
    """The modules that the page shows, by the name of their file."""
    found = {}
    for block in blocks(text, "python"):
        name = Path(block.splitlines()[0].removeprefix("# ")).stem
        found[name] = ModuleType(name)
        exec(block, found[name].__dict__)
    return found


@pytest.fixture
def rows() -> pd.DataFrame:
    random = np.random.default_rng(0)
    numbers = {name: random.uniform(0, 100, 400) for name in ("distance_km", "weight_kg", "depot_late_share")}
    return pd.DataFrame({"depot": ["north", "harbour"] * 200, **numbers})


def test_the_yaml_loads(text: str, tmp_path: Path) -> None:
    shown = [yaml.safe_load(block) for block in blocks(text, "yaml")]
    assert {name for part in shown for name in part} == {"gates", "metrics", "promotion", "retrain", "train", "verdict"}
    path = tmp_path / "dags" / "parcels.yaml"
    for name in re.findall(r"include/[\w/]+\.\w+", BASE + text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    path.parent.mkdir()
    whole = yaml.safe_load(BASE)
    for part in shown:  # a later block adds to what an earlier one says
        for name, value in part.items():
            whole[name] = (
                {**whole.get(name, {}), **value} if isinstance(value, dict) else [*whole.get(name, []), *value]
            )
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    spec = load_pipeline(path)
    assert len(spec.gates) == 17
    assert spec.train is not None


def test_the_stages_run_without_airflow(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    create_pipeline(tmp_path, "parcels", landing=Home.at(tmp_path).landing)
    path = tmp_path / "dags" / "parcels.yaml"
    path.write_text(path.read_text().replace("end: 2024-01-11", "end: 2024-01-03"))
    monkeypatch.chdir(tmp_path)
    (shown,) = blocks(text, "pycon")
    there: dict[str, Any] = {}
    exec("\n".join(line[4:] for line in shown.splitlines()), there)
    assert capsys.readouterr().out.splitlines()[-2:] == ["2024-01-01 skip", "2024-01-02 skip"]
    # Where the command line looks.
    seen, made = Home.of(tmp_path).runtime(), there["here"].runtime
    assert all(
        getattr(made, place) == getattr(seen, place) for place in ("lake", "landing", "ledger", "mlflow", "reports")
    )


def test_the_model_fits_with_what_the_space_suggests(code: dict[str, ModuleType], rows: pd.DataFrame) -> None:
    optuna = pytest.importorskip("optuna")
    trial: Any = optuna.trial.FixedTrial({"max_leaf_nodes": 8, "learning_rate": 0.1})
    model = code["model"].build_model({"max_iter": 5, **code["model"].space(trial)})
    late = rows["distance_km"] > 60
    assert model.fit(rows, late).predict_proba(rows).shape == (400, 2)


def test_the_rule_answers_with_probabilities(code: dict[str, ModuleType], rows: pd.DataFrame) -> None:
    answer = code["rules"].by_distance(rows)
    assert answer.between(0, 1).all()
    assert len(answer) == len(rows)


def test_the_metric_of_the_project_is_what_it_says(code: dict[str, ModuleType], tmp_path: Path, text: str) -> None:
    late, said = np.array([1, 1, 0, 0]), np.array([0.9, 0.1, 0.8, 0.2])
    assert code["metrics"].profit(late, said) == 100 * (10 - 3) / 4
    (source,) = [block for block in blocks(text, "python") if "metrics.py" in block]
    path = tmp_path / "include" / "parcels" / "metrics.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    name = "include/parcels/metrics.py:profit"
    declared = {name: MetricDeclaration(greater_is_better=True)}
    assert open_metric(name, declared, task="binary", project=tmp_path).compute(late, said) == 175


def test_every_command_can_be_read(text: str) -> None:
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    shown = {shlex.split(line)[1] for line in lines}
    assert shown >= {"show", "history", "rollback", "unpin", "reproduce"}
    for line in lines:
        program, name, *arguments = shlex.split(line)
        assert program == "tradewind"
        command = command_line.get_command(click.Context(command_line), name)
        assert command is not None, line
        command.make_context(name, list(arguments))
