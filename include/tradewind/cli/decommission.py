"""``tradewind decommission``: end a pipeline for good; its evidence stays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from tradewind.cli import runtime as deployment
from tradewind.cli.tables import count, paragraph, some
from tradewind.errors import TradewindError

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.planning.standing import Standing
    from tradewind.spec.models import Pipeline

_INDENT = 14


@dataclass(frozen=True, slots=True)
class Ended:
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
@deployment.by_option
@click.option("--dry-run", is_flag=True, help="Say what would end and what stays, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def decommission(name: str, reason: str, by: str, dry_run: bool, as_json: bool) -> None:
    """End the pipeline NAME for good: its DAGs are paused and refuse to run, its models are archived.

    Nothing is removed. It is written into the ledger first: if Airflow or MLflow is away, run it again later, and what
    is left is done.
    """
    from tradewind.ledger import holds
    from tradewind.ledger.journal import Ledger
    from tradewind.models.archive import archive, versions
    from tradewind.planning.standing import standing

    spec, runtime = deployment.pipeline(name), deployment.runtime(actor=by)
    found = standing(spec, runtime)
    dags, runs = _dags(spec), list[str]()
    models = versions(spec.model_name, runtime) if spec.train else []
    if not dry_run:
        ledger = Ledger(runtime.ledger)
        entry = holds.decommission(ledger, name, reason=reason, actor=by)
        models = archive(spec.model_name, runtime, reason=entry.reason) if spec.train else []
        dags, runs = _paused(name, dags)
    ended = Ended(name, dry_run, tuple(dags), tuple(runs), tuple(models), _stays(spec, found, runtime, models))
    click.echo(json.dumps(asdict(ended), indent=2, ensure_ascii=False) if as_json else "\n".join(_lines(ended)))


def _dags(spec: Pipeline) -> list[str]:
    return [f"{spec.pipeline}__{stage}" for stage in (*spec.stages, *(["rollback"] if spec.train else []))]


def _paused(name: str, dags: Sequence[str]) -> tuple[list[str], list[str]]:
    """The DAGs that are there, now paused, and their runs that are not over."""
    from tradewind.cli.api import api

    try:
        with api() as airflow:
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


def _stays(spec: Pipeline, found: Standing, runtime: Runtime, models: Sequence[str]) -> dict[str, str]:
    tables = [table for table in found.tables if table.version is not None]
    rows = sum(table.rows for table in tables)
    root = found.tables[0].uri.rsplit("/", 1)[0]
    stays = {
        "tables": f"{count(len(tables), 'dataset')} with {count(rows, 'row')} and all their versions, at {root}",
        "reports": f"at {runtime.reports / found.state.pipeline}",
        "ledger": "every decision, champion, incident and hold; the journal is append-only and stays for ever",
    }
    if models:
        stays["models"] = f"{count(len(models), 'version')} in MLflow with runs and evidence, tagged as archived"
    if spec.features:
        stays["features"] = "rows in the online store, which nothing refreshes; remove them when nobody reads them"
    return stays


def _lines(ended: Ended) -> Iterator[str]:
    would = "would be " if ended.dry_run else ""
    done = "would be decommissioned" if ended.dry_run else "is decommissioned: no stage runs any more"
    yield f"{ended.pipeline} {done}"
    yield _about("paused", f"{would}paused: {', '.join(ended.dags) or 'no DAG is there'}")
    if ended.runs:
        text = f"{some(ended.runs)}: a task at work ends what it does, no other one begins"
        yield _about("on the way", text)
    archived = f"version {', '.join(ended.versions)}; the alias champion is taken away"
    yield _about("archived", f"{would}archived: {archived if ended.versions else 'there is no model'}")
    yield ""
    yield "What stays, for as long as nobody removes it by hand (upkeep leaves the pipeline alone from now on):"
    for name, text in ended.stays.items():
        yield _about(name, text)
    if not ended.dry_run:
        yield ""
        yield paragraph(
            f"Its YAML and stub may be deleted; the story is told without them by: tradewind history {ended.pipeline}"
        )


def _about(title: str, text: str) -> str:
    return paragraph(text, first=f"  {title}", indent=_INDENT)
