"""The DAG written by hand: it parses, names every public operator, and runs on real flights, task after task."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from tradewind.ledger.journal import Ledger
from tradewind.local_airflow.flight_landing import deliver_flights
from tradewind.spec.load import load_pipeline

pytestmark = pytest.mark.slow
OPERATORS = ["approval", "etl", "features", "monitoring", "scoring", "training", "upkeep"]


class Instance:
    """As much of a task instance as operators use: XCom of this run."""

    map_index = -1

    def __init__(self, returned: dict[str, Any]) -> None:
        self.returned = returned
        self.id = "instance"

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.returned.get(task_ids if key == "return_value" else f"{self.id}/{key}")

    def xcom_push(self, key: str, value: Any) -> None:
        self.returned[f"{self.id}/{key}"] = value


@pytest.fixture(scope="module")
def example(project: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location("by_hand", project / "docs" / "examples" / "by_hand.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def ledger(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    extra = {
        "project": str(project),
        "lake": str(tmp_path / "lake"),
        "landing": str(tmp_path / "landing"),
        "ledger": f"sqlite:///{tmp_path}/ledger.db",
        "feast_registry": f"sqlite:///{tmp_path}/feast.db",
        "feast_online": {"type": "sqlite", "path": str(tmp_path / "online.db")},
        "reports": str(tmp_path / "reports"),
    }
    monkeypatch.setenv("AIRFLOW_CONN_TRADEWIND_DEFAULT", json.dumps({"conn_type": "tradewind", "extra": extra}))
    mlflow = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db", "ui_url": "http://mlflow"}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "extra": mlflow}))
    return Ledger(extra["ledger"])


def run(dag: Any, partition: str, *, params: dict[str, Any] | None = None) -> dict[str, str]:
    """Execute every task once, upstream first, as Airflow would; return the state of each."""
    returned: dict[str, Any] = {}
    states: dict[str, str] = {}
    outlets: Any = SimpleNamespace(__getitem__=None)
    for task in dag.topological_sort():
        if any(states.get(before) in ("skipped", "upstream_skipped") for before in task.upstream_task_ids):
            states[task.task_id] = "upstream_skipped"
            continue
        run_ = SimpleNamespace(partition_key=partition, run_id=f"by-hand-{partition}", dag_id=dag.dag_id)
        form = {"roll_back_to": None, "reason": "", **(params or {})}
        context = {"dag_run": run_, "ti": Instance(returned), "task": task, "params": form, "outlet_events": outlets}
        states[task.task_id] = _execute(task, context, returned)
    return states


def _execute(task: Any, context: dict[str, Any], returned: dict[str, Any]) -> str:
    try:
        if task.task_id == "approve":
            answer = {"chosen_options": ["Approve"], "params_input": {"comment": "looks right"}, "timedout": False}
            from datetime import UTC, datetime

            event = answer | {"responded_at": datetime.now(UTC), "responded_by_user": {"id": "ann", "name": "Ann"}}
            task.params = {}
            returned["approve"] = task.execute_complete(context, event)
        elif task.task_id == "asked":
            return "success" if context["params"]["roll_back_to"] else "skipped"
        else:
            for field in task.template_fields:
                value = getattr(task, field)
                if isinstance(value, str) and "{{" in value:
                    setattr(task, field, str(context["params"][value.strip("{} ").removeprefix("params.")]))
            returned[task.task_id] = task.execute(context)
    except AirflowSkipException:
        return "skipped"
    except DownstreamTasksSkipped:
        return "skipped"
    return "success"


def test_it_uses_every_public_operator(example, project):
    public = set()
    for name in OPERATORS:
        text = (project / "include" / "tradewind" / "operators" / f"{name}.py").read_text()
        public |= {line.split("(")[0].removeprefix("class ") for line in text.splitlines() if line.startswith("class ")}
    public -= {"TrainStageOperator", "UpkeepOperator"}
    assert public <= {type(task).__name__ for task in example.dag.tasks}


def test_eight_weeks_give_a_champion_and_a_rollback_keeps_it(example, ledger, tmp_path):
    spec = load_pipeline(Path(example.PROJECT) / "dags" / "flight_delay.yaml")
    slicing = spec.partitioning
    weeks = slicing.between("2013-01-28", "2013-03-18")
    days = [day for week in weeks for day in slicing.days(week)]
    deliver_flights(tmp_path / "landing", days, schedule=days + slicing.days("2013-03-25"))
    for week in weeks[:-1]:
        states = run(example.dag, week)
        assert states["complete"] == states["judge"] == "success"
        assert states["decide"] == states["score"] == states["train"].removeprefix("upstream_") == "skipped"
    states = run(example.dag, weeks[-1])
    assert [states[name] for name in ("decide", "train", "verdict", "refit", "approve", "promote")] == ["success"] * 6
    (champion,) = ledger.champions("flight_delay")
    assert (champion.model_version, champion.effective_from) == ("2", "2013-04-01")  # the refit of version 1
    (approval,) = ledger.find("flight_delay", "approval")
    assert (approval.actor, approval.outcome, approval.reason) == ("Ann", "approved", "looks right")
    again = run(example.dag, weeks[-1], params={"roll_back_to": "2", "reason": "it was fine before"})
    assert again["rollback"] == "success"
    assert len(ledger.champions("flight_delay")) == 1
