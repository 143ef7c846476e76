"""Starting runs by partition key: each once, also when two people start the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tradewind.errors import Conflict

if TYPE_CHECKING:
    from tradewind.embedded.api import AirflowApi
    from tradewind.planning.orders import Order


@dataclass(frozen=True, slots=True)
class Started:
    """What became of one order.

    :param outcome: ``running``: a run of this key was on its way already
    """

    order: Order
    dag_id: str
    outcome: Literal["started", "running"]
    run_id: str


def start(api: AirflowApi, pipeline: str, orders: Sequence[Order]) -> list[Started]:
    """Start a run for each order, in the order given, and wait for none.

    A run of the same DAG and key that is queued or running is left alone. The name of a new run counts the runs of its
    key, so that of two people who start one at once only one does.

    :raises UsageError: Airflow does not know a DAG that is asked for
    :raises Unavailable: Airflow does not answer; what has been started is not started again by the next attempt
    """
    return [_start(api, f"{pipeline}__{order.stage}", order) for order in orders]


def _start(api: AirflowApi, dag_id: str, order: Order) -> Started:
    # One look says both what is on its way and which name is next: between two looks somebody could start one.
    before = [run for run in api.runs(partition=order.partition) if run.dag_id == dag_id]
    if underway := [run for run in before if not run.over]:
        return Started(order, dag_id, "running", underway[-1].run_id)
    run_id = f"tradewind__{order.partition}__{len(before) + 1}"
    try:
        api.start(dag_id, order.partition, run_id=run_id)
    except Conflict:
        return Started(order, dag_id, "running", run_id)
    return Started(order, dag_id, "started", run_id)
