"""Every stub in dags/ loads, and every DAG carries what DESIGN's "Every DAG carries…" names."""

from __future__ import annotations

import runpy
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from airflow.sdk import DAG

DAGS = Path(__file__).resolve().parents[2] / "dags"
STUBS = sorted(DAGS.glob("*.py"))


@cache
def dags_of(stub: Path) -> dict[str, DAG]:
    """The DAGs that a stub makes, by id."""
    return {value.dag_id: value for value in runpy.run_path(str(stub)).values() if isinstance(value, DAG)}


def every_dag() -> dict[str, DAG]:
    """All DAGs; empty when a stub does not load, which a test of its own reports."""
    found: dict[str, DAG] = {}
    for stub in STUBS:
        try:
            found.update(dags_of(stub))
        except Exception:
            continue
    return found


ALL = every_dag()
by_id = pytest.mark.parametrize("dag", ALL.values(), ids=ALL.keys())
by_stub = pytest.mark.parametrize("stub", STUBS, ids=[stub.stem for stub in STUBS])


def test_there_are_dags_to_check() -> None:
    assert STUBS
    assert {"flight_delay__etl", "tradewind__upkeep"} <= set(ALL)


@by_stub
def test_a_stub_loads_and_makes_dags(stub: Path) -> None:
    assert dags_of(stub)


@by_stub
def test_a_stub_is_three_lines_that_airflow_finds(stub: Path) -> None:
    """Airflow's safe mode reads only files that hold the words "dag" and "airflow"."""
    text = stub.read_text()

    assert len([line for line in text.splitlines() if line.strip()]) == 3
    assert "dag" in text.lower()
    assert "airflow" in text.lower()


def test_every_yaml_has_a_stub_of_its_name() -> None:
    yamls = {path.stem for path in DAGS.glob("*.yaml") if "." not in path.stem and not path.stem.startswith("_")}

    assert yamls <= {stub.stem for stub in STUBS}


def test_no_two_stubs_make_the_same_dag() -> None:
    made = [dag_id for stub in STUBS for dag_id in dags_of(stub)]

    assert len(made) == len(set(made))


def test_a_pipeline_has_its_stages() -> None:
    stages = {dag_id.partition("__")[2] for dag_id in ALL if dag_id.startswith("flight_delay__")}

    assert stages == {"etl", "features", "monitor", "train", "score", "rollback"}


@by_id
def test_a_dag_documents_itself(dag: DAG) -> None:
    assert dag.doc_md
    assert "when it fails" in dag.doc_md.lower()
    assert dag.description


@by_id
def test_a_dag_has_tags_and_owners_with_links(dag: DAG) -> None:
    assert "tradewind" in dag.tags
    assert dag.owner_links
    assert {task.owner for task in dag.tasks} <= set(dag.owner_links)


@by_id
def test_a_dag_bounds_its_runs_and_never_catches_up_by_itself(dag: DAG) -> None:
    assert 1 <= dag.max_active_runs <= 16
    assert dag.catchup is False


@by_id
def test_failures_are_reported_at_dag_and_task_level(dag: DAG) -> None:
    """A task killed with SIGKILL calls no task callback: only the DAG's."""
    assert dag.on_failure_callback
    assert [task.task_id for task in dag.tasks if not task.on_failure_callback] == []


@by_id
def test_tasks_retry_with_backoff_within_a_time_limit(dag: DAG) -> None:
    """A task that waits for a person is neither retried (it would ask twice) nor ended by a time limit."""
    working = [task for task in dag.tasks if not hasattr(task, "response_timeout")]

    assert [task.task_id for task in working if not task.retries] == []
    assert [task.task_id for task in working if not task.retry_exponential_backoff] == []
    assert [task.task_id for task in working if not isinstance(task.execution_timeout, timedelta)] == []


def test_only_the_first_stage_of_a_pipeline_has_a_clock() -> None:
    kinds = {"etl": "PartitionTimetable", "rollback": "NullTimetable"}
    made = {dag_id.partition("__")[2]: dag for dag_id, dag in ALL.items() if not dag_id.startswith("tradewind__")}

    for stage, dag in made.items():
        assert type(dag.timetable).__name__ == kinds.get(stage, "PartitionedAssetTimetable"), dag.dag_id


@by_id
def test_a_dag_can_be_stored_by_airflow(dag: DAG) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    stored = DagSerialization.to_dict(dag)

    assert DagSerialization.from_dict(stored).dag_id == dag.dag_id
