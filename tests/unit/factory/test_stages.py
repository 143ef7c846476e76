"""The tasks of the stages."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tradewind.factory.dags import dags_of

DAGS = Path(__file__).parents[3] / "dags"


def test_etl_waits_for_no_earlier_partition_whose_run_would_be_queued_behind_it() -> None:
    dag = dags_of(DAGS / "flight_delay.py")["flight_delay__etl"]
    assert dag.max_active_runs == 1
    waits = {task_id: task.wait for task_id, task in dag.task_dict.items() if hasattr(task, "wait")}
    assert set(waits) >= {"flights", "carrier_week"}
    assert waits["carrier_week"] == timedelta(0)
