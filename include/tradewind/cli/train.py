"""``tradewind train``: a person asks for a training now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tradewind.cli import deployments
from tradewind.cli.text_layout import shorten_list, wrap_paragraph
from tradewind.deployment import Deployment
from tradewind.errors import Conflict, Held, UsageError

if TYPE_CHECKING:
    from tradewind.cli.run_starts import StartedRun
    from tradewind.ledger.journal import Ledger
    from tradewind.spec.pipeline import Pipeline


@click.command("train", short_help="Train a candidate now, by a person's word.")
@click.argument("name")
@click.argument("partition", required=False)
@click.option("--reason", required=True, metavar="TEXT", help="Goes into the ledger with your name.")
@click.option("--unpause", is_flag=True, help="Unpause NAME__train first if it is paused.")
@click.option("--wait", is_flag=True, help="Watch the run until it is over; exits with 1 if it failed.")
@deployments.by_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def start_training(
    name: str, partition: str | None, reason: str, unpause: bool, wait: bool, by: str, as_json: bool
) -> None:
    """Train a candidate of the pipeline NAME on the window that ends with PARTITION: what the form of NAME__train does.

    Without PARTITION it is the newest one whose stage before is complete. Cooldown, budget and a shadow do not hold a
    person back, an incomplete window does. What is trained is judged and promoted as any candidate.
    """
    from tradewind.cli.backfill import watch_runs

    deployment = deployments.find_deployment(name, actor=by)
    spec = deployment.spec
    if spec.train is None:
        raise UsageError(f"pipeline {name} has no `train` in its YAML: there is nothing to train")
    if len(reason.strip()) < 3:
        raise UsageError("--reason: say why, in at least three characters; it goes into the ledger")
    ledger = deployment.ledger
    key = _find_partition(spec, ledger, partition)
    _refuse_useless_run(deployment, key)
    started = _start_run(spec, key, reason=reason.strip(), by=by, unpause=unpause)
    if not as_json:
        click.echo(f"started {started.dag_id} {key} ({started.run_id})")
    ended = watch_runs(spec, [started], ledger) if wait else None
    if as_json:
        facts = {"pipeline": name, "dag": started.dag_id, "partition": key, "run_id": started.run_id, "by": by}
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        click.echo(f"What comes of it: tradewind show {name}, or tradewind history {name} --last 10")
    if ended is not None and not ended.well:
        click.get_current_context().exit(1)


def _find_partition(spec: Pipeline, ledger: Ledger, given: str | None) -> str:
    """The key to train at: the one that is given, else the newest for which the stage before is complete."""
    from tradewind.ledger import completion

    before = completion.upstream_stage("train", spec.stages)
    assert before is not None
    complete = {str(entry.partition) for entry in ledger.find(spec.pipeline, "complete", subject=before)}
    if given is None:
        if not complete:
            raise UsageError(f"{spec.pipeline}: no partition is through {before}, so there is nothing to train on yet")
        return max(complete)
    key = spec.partitioning.check(given)
    if key not in complete:
        newest = f"; the newest that is: {max(complete)}" if complete else ""
        raise UsageError(f"{spec.pipeline}: {before} of partition {key} is not complete, so train would wait{newest}")
    return key


def _refuse_useless_run(deployment: Deployment, key: str) -> None:
    """Stop before a run is started that would train nothing."""
    from tradewind.ledger import holds
    from tradewind.training import window

    if (held := holds.describe_stop(deployment.ledger, deployment.spec.pipeline, key)) is not None:
        raise Held(f"nothing is started: {held}")
    missing = window.find_training_window(deployment, key).missing
    if missing:
        raise UsageError(
            f"{deployment.spec.pipeline}: the training window of {key} is not complete: {shorten_list(missing, most=5)}"
        )


def _start_run(spec: Pipeline, key: str, *, reason: str, by: str, unpause: bool) -> StartedRun:
    from tradewind.cli.airflow_client import connect_airflow
    from tradewind.cli.run_starts import find_paused_dags, start_runs
    from tradewind.planning.runs_to_start import PlannedRun

    order = PlannedRun("train", key, reason)
    with connect_airflow() as airflow:
        paused = find_paused_dags(airflow, spec.pipeline, [order])
        if paused and not unpause:
            again = f"tradewind train {spec.pipeline} {key} --reason {json.dumps(reason, ensure_ascii=False)} --unpause"
            raise UsageError(f"{', '.join(paused)} is paused: a run would stay queued. To let it run: {again}")
        for dag_id in paused:
            airflow.unpause(dag_id)
        conf = {"by_hand": reason, "by": by}
        (started,) = start_runs(airflow, spec.pipeline, [order], partitioning=spec.partitioning, conf=conf)
    if started.outcome == "running":
        raise Conflict(
            wrap_paragraph(
                f"{started.dag_id} {key} is on its way already ({started.run_id}), without your reason; "
                "say it again when that run is over"
            )
        )
    return started
