"""Builds the DAGs of many pipelines in three ways and prints the seconds: from our YAML, by hand, with dag-factory.

Run by ``test_dag_build.py`` in a process of its own. The ways take turns, file by file, as Airflow parses them, so that
whatever else the machine does slows all of them down.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

STAGES = {
    "etl": ["flights", "weather", "carrier_week", "route_week", "origin_week", "complete"],
    "features": ["materialise"],
    "monitor": ["profile", "judge"],
    "train": ["decide", "train", "verdict", "promote"],
    "score": ["score"],
    "rollback": ["rollback"],
}


def from_yaml(stub: Path) -> dict[str, Any]:
    """What the three lines of a stub do."""
    from tradewind.factory.dags import dags_of

    return dags_of(str(stub))


def by_hand(stub: Path) -> dict[str, Any]:
    """The same DAGs as somebody writes them who knows Airflow and these operators, and needs no YAML."""
    from airflow.sdk import DAG, Asset, IdentityMapper, Param, PartitionedAssetTimetable, chain
    from airflow.sdk.definitions.callback import AsyncCallback
    from airflow.sdk.definitions.deadline import DeadlineAlert
    from pendulum import datetime

    from tradewind.factory.deadline import NewPartitionQueued
    from tradewind.factory.timetable import PartitionTimetable
    from tradewind.notifiers.deadline import deadline_missed
    from tradewind.notifiers.incident import IncidentNotifier
    from tradewind.operators.etl import BuildDatasetOperator, CompleteEtlOperator
    from tradewind.operators.features import MaterialiseOperator
    from tradewind.operators.monitoring import JudgeOperator, ProfileOperator
    from tradewind.operators.scoring import ScoreOperator
    from tradewind.operators.training import (
        DecideOperator,
        PromoteOperator,
        RollbackOperator,
        TrainOperator,
        VerdictOperator,
    )
    from tradewind.spec.partitions import Partitioning

    name, owner, config = stub.stem, "ops-data@example.com", str(stub.with_suffix(".yaml"))
    zone, start, end = "America/New_York", "2013-01-28", "2013-07-29"

    def notifier() -> IncidentNotifier:
        return IncidentNotifier(pipeline=name, owner=owner, runbook=None, tradewind_conn_id="tradewind_default")

    def asset(stage: str) -> Asset:
        return Asset(name=f"{name}/{stage}", uri=f"tradewind://{name}/{stage}")

    def after(stage: str) -> PartitionedAssetTimetable:
        return PartitionedAssetTimetable(assets=asset(stage), default_partition_mapper=IdentityMapper())

    def deadline() -> DeadlineAlert:
        return DeadlineAlert(
            name=f"{name} deadline",
            reference=NewPartitionQueued(kind="week", timezone=zone, start=start, end=end),
            interval=timedelta(hours=2),
            callback=AsyncCallback(
                deadline_missed, kwargs={"pipeline": name, "owner": owner, "tradewind_conn_id": "tradewind_default"}
            ),
        )

    def dag(stage: str, **fields: Any) -> DAG:
        return DAG(
            dag_id=f"{name}__{stage}",
            description="Will this flight from New York arrive more than 15 minutes late?",
            doc_md=f"### {name}: {stage}\n\nWho owns it, what it reads and writes, what to do when it fails.",
            catchup=False,
            tags=[name, stage, "tradewind"],
            owner_links={owner: f"mailto:{owner}"},
            default_args={
                "owner": owner,
                "retries": 3,
                "retry_delay": timedelta(seconds=10),
                "retry_exponential_backoff": True,
                "max_retry_delay": timedelta(minutes=10),
                "execution_timeout": timedelta(hours=1),
                "on_failure_callback": notifier(),
            },
            on_failure_callback=notifier(),
            rerun_with_latest_version=True,
            **fields,
        )

    weekly = PartitionTimetable("0 6 * * 1", partitioning=Partitioning("week", zone, start, end))
    first, begin, last = datetime(2013, 2, 4, tz=zone), datetime(2013, 1, 28, tz=zone), datetime(2013, 8, 4, tz=zone)
    dags = []
    with dag("etl", schedule=weekly, start_date=first, end_date=last, max_active_runs=1, deadline=deadline()) as etl:
        flights = BuildDatasetOperator(task_id="flights", pipeline=config, dataset="flights", opens=True)
        weather = BuildDatasetOperator(task_id="weather", pipeline=config, dataset="weather")
        carrier = BuildDatasetOperator(task_id="carrier_week", pipeline=config, dataset="carrier_week")
        route = BuildDatasetOperator(task_id="route_week", pipeline=config, dataset="route_week")
        origin = BuildDatasetOperator(task_id="origin_week", pipeline=config, dataset="origin_week")
        complete = CompleteEtlOperator(task_id="complete", pipeline=config, outlets=[asset("etl")])
        flights >> [carrier, route, origin]
        weather >> origin
        [carrier, route, origin] >> complete
    dags.append(etl)
    with dag("features", schedule=after("etl"), start_date=begin, deadline=deadline()) as features:
        MaterialiseOperator(task_id="materialise", pipeline=config, opens=True, outlets=[asset("features")])
    dags.append(features)
    with dag("monitor", schedule=after("features"), start_date=begin, deadline=deadline()) as monitor:
        chain(
            ProfileOperator(task_id="profile", pipeline=config, opens=True),
            JudgeOperator(task_id="judge", pipeline=config, outlets=[asset("monitor")]),
        )
    dags.append(monitor)
    hand = Param(None, type=["null", "string"], title="Train by hand because", description="Empty: the policy decides.")
    with dag(
        "train", schedule=after("monitor"), start_date=begin, deadline=deadline(), params={"by_hand": hand}
    ) as train:
        chain(
            DecideOperator(task_id="decide", pipeline=config, opens=True),
            TrainOperator(task_id="train", pipeline=config),
            VerdictOperator(task_id="verdict", pipeline=config),
            PromoteOperator(task_id="promote", pipeline=config, outlets=[asset("model")]),
        )
    dags.append(train)
    with dag("score", schedule=after("features"), start_date=begin, deadline=deadline()) as score:
        ScoreOperator(task_id="score", pipeline=config, opens=True, outlets=[asset("predictions")])
    dags.append(score)
    form = {
        "to_version": Param(type="string", title="Version", description="The version that is to serve again."),
        "reason": Param(type="string", minLength=3, title="Reason", description="Goes to the ledger with your name."),
    }
    with dag("rollback", schedule=None, start_date=begin, params=form, is_paused_upon_creation=False) as rollback:
        RollbackOperator(
            task_id="rollback",
            pipeline=config,
            to_version="{{ params.to_version }}",
            reason="{{ params.reason }}",
            outlets=[asset("model")],
        )
    dags.append(rollback)
    return {one.dag_id: one for one in dags}


def with_dag_factory(stub: Path) -> dict[str, Any]:
    """dag-factory's own YAML for as many DAGs and tasks: plain crons, no events, callbacks, deadlines or forms."""
    from dagfactory import load_yaml_dags

    found: dict[str, Any] = {}
    file = str(stub.parent.parent / "factory" / f"{stub.stem}.yaml")
    load_yaml_dags(globals_dict=found, config_filepath=file)
    return {key: value for key, value in found.items() if type(value).__name__ == "DAG"}


WAYS = {"yaml": from_yaml, "hand": by_hand, "dag-factory": with_dag_factory}


def prepare(folder: Path, project: Path, *, pipelines: int) -> None:
    """A project with so many copies of the example, for every way."""
    for name in ("dags", "factory"):
        (folder / name).mkdir()
    shutil.copytree(project / "include" / "flight_delay", folder / "include" / "flight_delay")
    text = (project / "dags" / "flight_delay.yaml").read_text(encoding="utf-8")
    for number in range(pipelines):
        name = f"flights_{number}"
        shutil.copy(project / "dags" / "flight_delay.py", folder / "dags" / f"{name}.py")
        own = text.replace("pipeline: flight_delay", f"pipeline: {name}")
        (folder / "dags" / f"{name}.yaml").write_text(own, encoding="utf-8")
        (folder / "factory" / f"{name}.yaml").write_text(_factory_yaml(name), encoding="utf-8")


def _factory_yaml(name: str) -> str:
    operator = "airflow.providers.standard.operators.empty.EmptyOperator"
    dags: dict[str, Any] = {}
    for stage, tasks in STAGES.items():
        chained = [{"task_id": task, "operator": operator} for task in tasks]
        for before, task in zip(tasks, chained[1:], strict=False):
            task["dependencies"] = [before]
        dags[f"{name}__{stage}"] = {
            "description": "Will this flight from New York arrive more than 15 minutes late?",
            "schedule": "0 6 * * 1",
            "catchup": False,
            "tags": [name, stage],
            "default_args": {"owner": "ops-data", "retries": 3, "start_date": "2013-01-28"},
            "tasks": chained,
        }
    return json.dumps(dags)


def main() -> None:
    """``build_dags.py FOLDER ROUNDS``: print what was built and the CPU seconds of each round, as JSON."""
    stubs = sorted((Path(sys.argv[1]) / "dags").glob("*.py"))
    ways = {name: way for name, way in WAYS.items() if name != "dag-factory" or importlib.util.find_spec("dagfactory")}
    shapes = {name: [_shape(dag) for dag in way(stubs[0]).values()] for name, way in ways.items()}  # imports all
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    gc.freeze()  # so that cleaning up looks only at what was built
    for _ in range(int(sys.argv[2])):
        spent = dict.fromkeys(ways, 0.0)
        for stub in stubs:
            for name, way in ways.items():
                begin = time.process_time()
                built = way(stub)
                spent[name] += time.process_time() - begin
                assert len(built) == len(STAGES)
                # DAGs are garbage in circles: nobody pays for that of the way before. (Airflow has a process a file.)
                del built
                gc.collect()
        for name, time_ in spent.items():
            seconds[name].append(time_)
    print(json.dumps({"seconds": seconds, "shapes": shapes}))


def _shape(dag: Any) -> list[Any]:
    tasks = {task.task_id: [type(task).__name__, sorted(task.downstream_task_ids)] for task in dag.tasks}
    return [dag.dag_id, type(dag.timetable).__name__, dict(sorted(tasks.items()))]


if __name__ == "__main__":
    main()
