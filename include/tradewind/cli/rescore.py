"""``tradewind rescore``: score one population again; if a person accepts that, by a fallback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tradewind.cli import deployments
from tradewind.cli.text_layout import wrap_paragraph
from tradewind.deployment import Deployment
from tradewind.errors import TradewindError, UsageError

if TYPE_CHECKING:
    from tradewind.scoring.fallbacks import PublishedBy
    from tradewind.spec.pipeline import Pipeline


@click.command("rescore", short_help="Score one population again; if a person accepts that, by a fallback.")
@click.argument("name")
@click.argument("population")
@click.option("--accept-fallback", is_flag=True, help="Let a fallback replace better answers that are published.")
@click.option("--reason", metavar="TEXT", help="Needed with --accept-fallback: goes into the ledger with your name.")
@click.option("--no-start", is_flag=True, help="Start no run: the next one of this population looks again.")
@deployments.by_option
def rescore_population(
    name: str, population: str, accept_fallback: bool, reason: str | None, no_start: bool, by: str
) -> None:
    """Start the run that scores POPULATION of the pipeline NAME, for example after the champion's files were restored.

    Where only a fallback can answer, what the champion (or a model before the fallback) scored stays published, unless
    you say --accept-fallback. That holds once: after the population was scored again, it is over.
    """
    from tradewind.training.model_inputs import score_config

    deployment = deployments.find_deployment(name, actor=by)
    spec = deployment.spec
    if spec.score is None:
        raise UsageError(f"{name} scores nothing: its YAML has no `score`")
    key = spec.partitioning.shift(population, 0)
    partition = spec.partitioning.check(spec.partitioning.shift(key, -score_config(spec).ahead))
    if accept_fallback != bool(reason and reason.strip()):
        raise UsageError("--accept-fallback and --reason go together: the reason goes into the ledger")
    if accept_fallback:
        _accept_fallback(deployment, key, reason=str(reason), by=by)
    if no_start:
        click.echo(f"The next run of {name}__score with the key {partition} scores population {key}.")
    else:
        _start_run(spec, key, partition)


def _accept_fallback(deployment: Deployment, population: str, *, reason: str, by: str) -> None:
    from tradewind.ledger.rescores import accept_fallback

    published = _published(deployment, population)
    if published is None:
        raise UsageError(
            f"{deployment.spec.pipeline}: nothing is published of population {population}, so there is nothing that a "
            "fallback would replace; it serves where `score.fallback` names it"
        )
    accepted = accept_fallback(
        deployment.ledger, deployment.spec.pipeline, population,
        cause=published.cause, replaces=str(published), reason=reason, actor=by,
    )  # fmt: skip
    click.echo(
        wrap_paragraph(
            f"population {population} was scored by {published}; if only a fallback can answer now, it replaces "
            f"these {published.rows:,} rows, accepted by {accepted.actor}: {accepted.reason}"
        )
    )


def _published(deployment: Deployment, population: str) -> PublishedBy | None:
    from tradewind.scoring.batch_scoring import DATASET
    from tradewind.scoring.fallbacks import published_by

    dataset = deployment.lake.dataset(deployment.spec.pipeline, DATASET)
    return published_by(dataset.snapshot(), population)


def _start_run(spec: Pipeline, population: str, partition: str) -> None:
    from tradewind.cli.airflow_client import connect_airflow
    from tradewind.cli.run_starts import explain_paused_dags, find_paused_dags, start_runs
    from tradewind.planning.runs_to_start import PlannedRun

    name = spec.pipeline
    try:
        with connect_airflow() as airflow:
            order = PlannedRun("score", partition, f"population {population} is scored again")
            (started,) = start_runs(airflow, name, [order], partitioning=spec.partitioning)
            paused = find_paused_dags(airflow, name, [order])
    except TradewindError as exc:
        raise TradewindError(
            f"the next run of {name}__score with the key {partition} scores population {population}; but none could be "
            f"started: {exc}"
        ) from exc
    how = "started" if started.outcome == "started" else "is on its way already:"
    click.echo(f"{how} {started.dag_id} {partition} ({started.run_id})")
    if paused:
        click.echo(
            wrap_paragraph(
                explain_paused_dags(paused, f"tradewind backfill {name} --from {partition} --to {partition} --unpause")
            )
        )
