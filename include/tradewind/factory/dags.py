"""From a pipeline's YAML to its DAGs."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, get_parsing_context
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert

from tradewind.factory import stage_tasks
from tradewind.factory.dag_docs import doc_md
from tradewind.factory.deadline import NewPartitionQueued
from tradewind.notifiers.deadline import deadline_missed
from tradewind.notifiers.incident import IncidentNotifier
from tradewind.spec.effective import as_yaml
from tradewind.spec.load import examine_pipeline

if TYPE_CHECKING:
    from tradewind.spec.document import Document
    from tradewind.spec.partitions import Bounds
    from tradewind.spec.pipeline import Pipeline

CONNECTION = "tradewind_default"


def dags_of(stub: str) -> dict[str, DAG]:
    """The DAGs of the YAML that lies beside ``stub``; on a worker only the one that is asked for.

    :param stub: ``__file__`` of the stub
    :raises SpecError: the YAML is wrong; Airflow shows the text as the stub's import error
    """
    found = examine_pipeline(Path(stub).with_suffix(".yaml"))
    return dags_from(found.checked(), found.document)


def dags_from(spec: Pipeline, document: Document | None = None) -> dict[str, DAG]:
    """The DAGs of a pipeline, by id; on a worker only the one that is asked for.

    :param spec: the pipeline
    :param document: the text that it comes from; without it no DAG's documentation shows the configuration
    """
    wanted = get_parsing_context().dag_id
    # The documentation is not read on a worker.
    text = as_yaml(spec, document, width=48) if document and wanted is None else None
    first = spec.partitioning.bounds(spec.start)
    dags = {}
    for stage in stage_tasks.dag_stages(spec):
        dag_id = f"{spec.pipeline}__{stage}"
        if wanted in (None, dag_id):
            dags[dag_id] = _dag(spec, stage, first=first, configuration=text)
    return dags


def _dag(spec: Pipeline, stage: str, *, first: Bounds, configuration: str | None) -> DAG:
    etl, notifier = stage == "etl", _notifier(spec)
    dag = DAG(
        dag_id=f"{spec.pipeline}__{stage}",
        description=spec.description,
        doc_md=doc_md(spec, stage, configuration=configuration),
        schedule=stage_tasks.dag_schedule(spec, stage),
        # The first run is keyed with the partition that ended last, so it is not due before the first one has ended.
        start_date=first.end if etl else first.start,
        end_date=_last(spec) if etl else None,
        catchup=False,
        # Order comes from the ledger, not from this number: see docs/adr/0005.
        max_active_runs=1 if etl else 16,
        tags=[spec.pipeline, stage, "tradewind"],
        owner_links={spec.owner: _owner_link(spec.owner)},
        default_args=_default_args(spec, notifier),
        on_failure_callback=notifier,
        deadline=_deadline(spec) if stage not in ("rollback",) else None,
        params=stage_tasks.dag_params(spec, stage),
        rerun_with_latest_version=True,
        # It starts only by hand, so there is nothing that a pause would hold back.
        is_paused_upon_creation=False if stage == "rollback" else None,
    )
    with dag:
        stage_tasks.make_tasks(spec, stage)
    return dag


def _last(spec: Pipeline) -> datetime | None:
    """The last moment at which a run of ``etl`` may be due."""
    return spec.partitioning.bounds(spec.end).end - timedelta(microseconds=1) if spec.end else None


def _default_args(spec: Pipeline, notifier: IncidentNotifier) -> dict[str, Any]:
    return {
        "owner": spec.owner,
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(hours=1),
        "on_failure_callback": notifier,
    }


def _notifier(spec: Pipeline) -> IncidentNotifier:
    return IncidentNotifier(
        pipeline=spec.pipeline,
        owner=spec.owner,
        runbook=spec.runbook,
        channels=spec.alerts.channels,
        tradewind_conn_id=CONNECTION,
    )


def _deadline(spec: Pipeline) -> DeadlineAlert | None:
    if spec.alerts.deadline is None:
        return None
    kwargs = {
        "pipeline": spec.pipeline,
        "owner": spec.owner,
        "channels": list(spec.alerts.channels),
        "tradewind_conn_id": CONNECTION,
    }
    return DeadlineAlert(
        name=f"{spec.pipeline} deadline",
        reference=NewPartitionQueued(spec.partition, spec.timezone, spec.start, spec.end),
        interval=spec.alerts.deadline,
        callback=AsyncCallback(deadline_missed, kwargs=kwargs),
    )


def _owner_link(owner: str) -> str:
    return owner if "://" in owner else f"mailto:{owner}"
