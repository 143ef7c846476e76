"""The tasks of the stages."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tradewind.factory.dags import dags_from, dags_of
from tradewind.spec.load import load_pipeline

DAGS = Path(__file__).parents[3] / "dags"


def test_etl_waits_for_no_earlier_partition_whose_run_would_be_queued_behind_it() -> None:
    dag = dags_of(DAGS / "flight_delay.py")["flight_delay__etl"]
    assert dag.max_active_runs == 1
    waits = {task_id: task.wait for task_id, task in dag.task_dict.items() if hasattr(task, "wait")}
    assert set(waits) >= {"flights", "carrier_week"}
    assert waits["carrier_week"] == timedelta(0)


def test_a_shadow_predicts_in_a_task_after_the_one_that_serves_and_sends_the_event() -> None:
    spec = load_pipeline(DAGS / "flight_delay.yaml")
    shadowed = spec.model_copy(update={"promotion": spec.promotion.model_copy(update={"shadow": 2})})
    assert set(dags_from(spec)["flight_delay__score"].task_dict) == {"score"}
    dag = dags_from(shadowed)["flight_delay__score"]
    assert dag.get_task("score").downstream_task_ids == {"shadow"}
    assert dag.get_task("score").outlets
    assert not dag.get_task("shadow").outlets


def test_the_form_of_a_rollback_goes_back_to_the_previous_champion_unless_something_else_is_chosen() -> None:
    dag = dags_of(DAGS / "flight_delay.py")["flight_delay__rollback"]
    assert (dag.params["action"], dag.params["to_version"]) == ("roll back", "previous")
    task = dag.get_task("rollback")
    chosen = {"action": "lift the pin", "to_version": None, "reason": "it was the data"}
    task.render_template_fields({"params": chosen})
    assert (task.action, task.to_version, task.reason) == ("lift the pin", "", "it was the data")


def test_callbacks_of_failures_and_deadlines_know_the_channels_of_the_yaml() -> None:
    spec = load_pipeline(DAGS / "flight_delay.yaml")
    alerts = spec.alerts.model_copy(update={"channels": ("log",), "deadline": timedelta(hours=2)})
    dag = dags_from(spec.model_copy(update={"alerts": alerts}))["flight_delay__train"]
    (of_run,) = dag.on_failure_callback if isinstance(dag.on_failure_callback, list) else [dag.on_failure_callback]
    assert of_run.channels == ("log",)
    assert [one.channels for task in dag.tasks for one in task.on_failure_callback] == [("log",)] * len(dag.tasks)
    (deadline,) = dag.deadline if isinstance(dag.deadline, list) else [dag.deadline]
    assert deadline.callback.kwargs["channels"] == ["log"]
