"""Starting runs by partition key: each once, also when two people start the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from tradewind.errors import Conflict

if TYPE_CHECKING:
    from tradewind.hooks.airflow_api import AirflowApi, DagRun
    from tradewind.planning.runs_to_start import PlannedRun
    from tradewind.spec.partitions import Partitioning


@dataclass(frozen=True, slots=True)
class StartedRun:
    """What became of one order.

    :param outcome: ``running``: a run of this key was on its way already
    """

    order: PlannedRun
    dag_id: str
    outcome: Literal["started", "running"]
    run_id: str


def start_runs(
    api: AirflowApi,
    pipeline: str,
    orders: Iterable[PlannedRun],
    *,
    partitioning: Partitioning,
    conf: Mapping[str, Any] | None = None,
) -> Iterator[StartedRun]:
    """Start a run for each order, in the order given, and wait for none; tells of each when it is started.

    A run of the same DAG and key that is queued or running is left alone. The name of a new run counts the runs of its
    key, so that of two people who start one at once only one does. Of the runs that are queued the one of the earliest
    partition goes first, also if it was started last: what follows may read it.

    :param partitioning: of the pipeline
    :param conf: what the form of the runs would say
    :raises UsageError: Airflow does not know a DAG that is asked for
    :raises Unavailable: Airflow does not answer; what has been started is not started again by the next attempt
    """
    for order in orders:
        after = partitioning.bounds(order.partition).end
        yield _start_run(api, f"{pipeline}__{order.stage}", order, after=after, conf=conf)


def find_paused_dags(api: AirflowApi, pipeline: str, orders: Sequence[PlannedRun]) -> list[str]:
    """The paused DAGs among those that the orders start and those that follow by their events.

    A run of a paused DAG stays queued, and an event that comes meanwhile is lost for it.
    """
    from tradewind.planning.runs_to_start import following_stages

    stages = {stage for order in orders for stage in (order.stage, *following_stages(order.stage))}
    return sorted(api.paused() & {f"{pipeline}__{stage}" for stage in stages})


def explain_paused_dags(paused: Sequence[str], way_out: str) -> str:
    """What it means that DAGs are paused, in words.

    :param paused: their ids
    :param way_out: a command that unpauses them
    """
    verb, they = ("is", "it is") if len(paused) == 1 else ("are", "they are")
    return (
        f"{', '.join(paused)} {verb} paused: runs stay queued, and events that come meanwhile are lost, until {they} "
        f"unpaused: in Airflow, or by {way_out}"
    )


def _start_run(
    api: AirflowApi, dag_id: str, order: PlannedRun, *, after: datetime, conf: Mapping[str, Any] | None
) -> StartedRun:
    # One look says both what is on its way and which name is next: between two looks another person could start one.
    before = [run for run in api.runs(partition=order.partition) if run.dag_id == dag_id]
    if underway := [run for run in before if not run.over]:
        return StartedRun(order, dag_id, "running", underway[-1].run_id)
    run_id = f"tradewind__{order.partition}__{_last_number(before) + 1}"
    try:
        api.start(dag_id, order.partition, run_id=run_id, run_after=after, conf=conf)
    except Conflict:
        return StartedRun(order, dag_id, "running", run_id)
    return StartedRun(order, dag_id, "started", run_id)


def _last_number(runs: Sequence[DagRun]) -> int:
    """Number of the last run; some of those before it may have been deleted, and others have other names."""
    named = (re.fullmatch(r"tradewind__.+__(\d+)", run.run_id) for run in runs)
    return max([len(runs), *(int(match[1]) for match in named if match)])
