"""The one DAG that looks after all pipelines."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Param

from tradewind.errors import SpecError
from tradewind.factory import stage_tasks
from tradewind.factory.assets import stage_asset
from tradewind.ledger.completion import CHAIN
from tradewind.notifiers.incident import IncidentNotifier
from tradewind.operators.upkeep import (
    ArchiveOperator,
    HeartbeatOperator,
    ReconcileOperator,
    ResendOperator,
    VacuumOperator,
)
from tradewind.spec.load import load_pipeline
from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

DOC = """### Upkeep of all pipelines

- **heartbeat**: a stage of a partition should be complete and is not: an incident, also when nothing ever started.
- **resend**: a partition is complete and its next stage never started (a paused DAG loses its events): sent again.
- **reconcile**: MLflow's alias `champion` and the model card say what the ledger says; what a person edited in MLflow
  is put back and is an incident.
- **vacuum**: files of old versions that no model or prediction refers to go, and old quarantine (`retention`).
- **archive**: files of models that are no longer needed are packed (`retention.models`); their evidence stays.

**When it fails:** open the failed task; its log names the pipeline and what to do. It is safe to run at any time.
"""

GRACE = "Minutes that a complete partition may wait for its next stage to start; 0 looks at all of them."
LOOK_ONLY = "Say in the logs of vacuum and archive what they would remove or pack."


def upkeep_of(stub: str) -> dict[str, DAG]:
    """The upkeep DAG over every YAML in the stub's folder; a broken one is its own stub's error and left out here."""
    with DAG(
        dag_id="tradewind__upkeep",
        description="Heartbeats, lost events, agreement of ledger and alias, and what the lake no longer needs.",
        doc_md=DOC,
        schedule="@daily",
        start_date=datetime(2024, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        params={
            "grace_minutes": Param(10, type="integer", minimum=0, title="An event is lost after", description=GRACE),
            "look_only": Param(False, type="boolean", title="Only look", description=LOOK_ONLY),
        },
        tags=["tradewind", "upkeep"],
        owner_links={"tradewind": "mailto:tradewind"},
        default_args={
            "owner": "tradewind",
            "retries": 3,
            "retry_delay": timedelta(seconds=10),
            "retry_exponential_backoff": True,
            "execution_timeout": timedelta(minutes=30),
            "on_failure_callback": IncidentNotifier(pipeline="tradewind", owner="tradewind"),
        },
        on_failure_callback=IncidentNotifier(pipeline="tradewind", owner="tradewind"),
    ) as dag:
        for spec in _pipelines(Path(stub).parent):
            _make_upkeep_tasks(spec)
    return {dag.dag_id: dag}


def _pipelines(folder: Path) -> list[Pipeline]:
    found = []
    for stub in sorted(folder.glob("*.py")):
        path = stub.with_suffix(".yaml")
        if path.exists():
            try:
                found.append(load_pipeline(path))
            except SpecError:
                log.warning("%s is broken and gets no upkeep until it is mended", path.name)
    return found


def _make_upkeep_tasks(spec: Pipeline) -> None:
    HeartbeatOperator(task_id=f"{spec.pipeline}__heartbeat", pipeline=spec)
    present = stage_tasks.dag_stages(spec)
    for stage, following in CHAIN.items():
        followers = [name for name in following if name in present]
        if stage in present and followers:
            ResendOperator(
                task_id=f"{spec.pipeline}__resend_{stage}",
                pipeline=spec,
                stage=stage,
                followers=followers,
                asset=stage_asset(spec.pipeline, stage),
                grace_minutes="{{ params.grace_minutes }}",
            )
    if "train" in present:
        ReconcileOperator(task_id=f"{spec.pipeline}__reconcile", pipeline=spec)
        ArchiveOperator(task_id=f"{spec.pipeline}__archive", pipeline=spec, look_only="{{ params.look_only }}")
    VacuumOperator(task_id=f"{spec.pipeline}__vacuum", pipeline=spec, look_only="{{ params.look_only }}")
