"""``tradewind decommission``: end a pipeline for good; its evidence stays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from tradewind.cli import deployments
from tradewind.cli.text_layout import format_quantity, shorten_list, wrap_paragraph
from tradewind.deployment import Deployment
from tradewind.errors import TradewindError

if TYPE_CHECKING:
    from tradewind.planning.status import PipelineStatus
    from tradewind.spec.pipeline import Pipeline

_INDENT = 14


@dataclass(frozen=True, slots=True)
class DecommissionResult:
    """What a decommissioning does and leaves.

    :param dags: DAGs that are paused
    :param runs: runs that were on their way: a task at work ends what it does, no other begins
    :param versions: model versions that are archived
    :param stays: what stays, by its name
    """

    pipeline: str
    dry_run: bool
    dags: tuple[str, ...]
    runs: tuple[str, ...]
    versions: tuple[str, ...]
    stays: dict[str, str]


@click.command("decommission", short_help="End a pipeline for good.")
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Goes into the ledger with your name.")
@deployments.by_option
@click.option("--dry-run", is_flag=True, help="Say what would end and what stays, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def decommission_pipeline(name: str, reason: str, by: str, dry_run: bool, as_json: bool) -> None:
    """End the pipeline NAME for good: its DAGs are paused and refuse to run, its models are archived.

    Nothing is removed. It is written into the ledger first: if Airflow or MLflow is away, run it again later, and what
    is left is done.
    """
    from tradewind.ledger import holds
    from tradewind.planning.status import read_pipeline_status
    from tradewind.registry.archive import archive_registered_model, list_model_versions

    deployment = deployments.find_deployment(name, actor=by)
    spec = deployment.spec
    found = read_pipeline_status(deployment)
    dags, runs = _dag_ids(spec), list[str]()
    models = list_model_versions(spec.model_name, deployment.runtime) if spec.train else []
    if not dry_run:
        ledger = deployment.ledger
        entry = holds.record_decommission(ledger, name, reason=reason, actor=by)
        models = (
            archive_registered_model(spec.model_name, deployment.runtime, reason=entry.reason) if spec.train else []
        )
        dags, runs = _pause_dags(name, dags)
    ended = DecommissionResult(
        name,
        dry_run,
        tuple(dags),
        tuple(runs),
        tuple(models),
        _describe_what_stays(deployment, found, models),
    )
    click.echo(json.dumps(asdict(ended), indent=2, ensure_ascii=False) if as_json else "\n".join(_lines(ended)))


def _dag_ids(spec: Pipeline) -> list[str]:
    return [f"{spec.pipeline}__{stage}" for stage in (*spec.stages, *(["rollback"] if spec.train else []))]


def _pause_dags(name: str, dags: Sequence[str]) -> tuple[list[str], list[str]]:
    """The DAGs that are there, now paused, and their runs that are not over."""
    from tradewind.cli.airflow_client import connect_airflow

    try:
        with connect_airflow() as airflow:
            known = airflow.dags()
            there = [dag_id for dag_id in dags if dag_id in known]
            for dag_id in there:
                airflow.pause(dag_id)
            going = [run for run in airflow.runs(states=("queued", "running")) if run.dag_id in there]
            return there, [f"{run.dag_id} {run.partition or run.run_id}" for run in going]
    except TradewindError as exc:
        raise TradewindError(
            f"{name} is decommissioned in the ledger and refuses every run, its models are archived; but its DAGs "
            f"could not be paused, so do this again: {exc}"
        ) from exc


def _describe_what_stays(deployment: Deployment, found: PipelineStatus, models: Sequence[str]) -> dict[str, str]:
    tables = [table for table in found.tables if table.version is not None]
    rows = sum(table.rows for table in tables)
    root = found.tables[0].uri.rsplit("/", 1)[0]
    stays = {
        "tables": (
            f"{format_quantity(len(tables), 'dataset')} with {format_quantity(rows, 'row')} and all their versions, at "
            f"{root}"
        ),
        "reports": f"at {deployment.runtime.reports / found.state.pipeline}",
        "ledger": "every decision, champion, incident and hold; the journal is append-only and stays for ever",
    }
    if models:
        stays["models"] = (
            f"{format_quantity(len(models), 'version')} in MLflow with runs and evidence, tagged as archived"
        )
    if deployment.spec.features:
        stays["features"] = "rows in the online store, which nothing refreshes; remove them when nobody reads them"
    return stays


def _lines(ended: DecommissionResult) -> Iterator[str]:
    would = "would be " if ended.dry_run else ""
    done = "would be decommissioned" if ended.dry_run else "is decommissioned: no stage runs any more"
    yield f"{ended.pipeline} {done}"
    yield _titled_paragraph("paused", f"{would}paused: {', '.join(ended.dags) or 'no DAG is there'}")
    if ended.runs:
        text = f"{shorten_list(ended.runs)}: a task at work ends what it does, no other one begins"
        yield _titled_paragraph("on the way", text)
    archived = f"version {', '.join(ended.versions)}; the alias champion is taken away"
    yield _titled_paragraph("archived", f"{would}archived: {archived if ended.versions else 'there is no model'}")
    yield ""
    yield "What stays, for as long as nobody removes it by hand (upkeep leaves the pipeline alone from now on):"
    for name, text in ended.stays.items():
        yield _titled_paragraph(name, text)
    if not ended.dry_run:
        yield ""
        yield wrap_paragraph(
            f"Its YAML and stub may be deleted; the story is told without them by: tradewind history {ended.pipeline}"
        )


def _titled_paragraph(title: str, text: str) -> str:
    return wrap_paragraph(text, first=f"  {title}", indent=_INDENT)
