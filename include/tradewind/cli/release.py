"""``tradewind release``: a person lets a partition go that failed its audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tradewind.cli import deployments
from tradewind.cli.text_layout import format_quantity, shorten_list, wrap_paragraph
from tradewind.deployment import Deployment
from tradewind.errors import TradewindError, UsageError

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.etl.quarantine_release import Quarantined
    from tradewind.ledger.journal import Entry
    from tradewind.spec.pipeline import Pipeline


@click.command("release", short_help="Publish a partition that failed its audit, by a person's word.")
@click.argument("name")
@click.argument("dataset")
@click.argument("partition")
@click.option("--reason", required=True, metavar="TEXT", help="Goes into the ledger with your name.")
@click.option("--drop-bad-rows", is_flag=True, help="Without the rows that fail what is expected of every row.")
@click.option("--no-start", is_flag=True, help="Start no run: the next one of this partition publishes it.")
@deployments.by_option
def release_quarantined(
    name: str, dataset: str, partition: str, reason: str, drop_bad_rows: bool, no_start: bool, by: str
) -> None:
    """Publish what is in quarantine of PARTITION of DATASET, of the pipeline NAME.

    It holds for exactly these rows: if input, SQL or YAML change, the partition is audited anew. With --drop-bad-rows
    what remains is audited again. A run of etl then publishes it, and what comes after follows.
    """
    from tradewind.etl.quarantine_release import MALFORMED
    from tradewind.ledger import holds, releases

    deployment = deployments.find_deployment(name, actor=by)
    spec = deployment.spec
    if dataset not in spec.datasets:
        raise UsageError(f"{name}: there is no dataset {dataset}; there are {', '.join(spec.datasets)}")
    key = spec.partitioning.check(partition)
    held = _find_quarantined(name, dataset, key, _list_quarantine(name, dataset, deployment.runtime))
    _refuse_current(deployment, dataset, key)
    if held.digest == MALFORMED and not drop_bad_rows:
        raise UsageError(
            f"{name}: {format_quantity(held.rows, 'row')} of {dataset}, partition {key}, could not be read, so they "
            "cannot be published as they are; repair the delivery, or say --drop-bad-rows"
        )
    click.echo(f"{dataset} {key}: {format_quantity(held.rows, 'row')} in quarantine at {held.folder}")
    for why in held.reasons:
        click.echo(wrap_paragraph(why, first="  -", indent=4))
    entry = releases.record_release(
        deployment.ledger, name, dataset, key,
        digest=held.digest, cause=held.cause, drop_bad_rows=drop_bad_rows, reason=reason, actor=by,
    )  # fmt: skip
    click.echo(f"released {entry.outcome} by {entry.actor}: {entry.reason}")
    stopped = holds.describe_stop(deployment.ledger, name, key)
    if stopped is not None:
        click.echo(wrap_paragraph(f"No run is started, since it would do nothing: {stopped}"))
    if stopped is not None or no_start:
        click.echo(f"The next run of {name}__etl with the key {key} publishes it.")
    else:
        _start_run(spec, key, entry)


def _list_quarantine(name: str, dataset: str, runtime: Runtime) -> list[Quarantined]:
    from tradewind.etl.quarantine_release import list_quarantined
    from tradewind.lake.dataset import Lake

    return list_quarantined(Lake(runtime.lake, storage_options=runtime.storage_options).dataset(name, dataset))


def _find_quarantined(name: str, dataset: str, key: str, found: Sequence[Quarantined]) -> Quarantined:
    """The newest rows of the partition."""
    held = [one for one in found if one.partition == key]
    if not held:
        others = sorted({one.partition for one in found})
        there = f"; of these partitions there is: {shorten_list(others, most=10)}" if others else ""
        raise UsageError(f"{name}: nothing of {dataset}, partition {key}, is in quarantine{there}")
    if not held[-1].cause:
        raise UsageError(
            f"{name}: an older Tradewind put {dataset}, partition {key}, into quarantine and did not write down what "
            f"it was made from; run {name}__etl with this key once more, then release it"
        )
    return held[-1]


def _refuse_current(deployment: Deployment, dataset: str, key: str) -> None:
    """Failed and repaired since: no release is needed, as the rows in quarantine are not those that would be made."""
    from tradewind.planning.dataset_items import examine_datasets
    from tradewind.planning.delivery_digests import DeliveryDigests

    items = examine_datasets(deployment, [key], deliveries=DeliveryDigests.of_user(), left_out={}, skipped={})
    if any(item.name == dataset and item.state == "current" and not item.why for item in items):
        raise UsageError(
            f"{deployment.spec.pipeline}: {dataset}, partition {key}, is published and is what would be made now; what "
            "is in quarantine of it is older"
        )


def _start_run(spec: Pipeline, key: str, entry: Entry) -> None:
    from tradewind.cli.airflow_client import connect_airflow
    from tradewind.cli.run_starts import explain_paused_dags, find_paused_dags, start_runs
    from tradewind.planning.runs_to_start import PlannedRun

    name = spec.pipeline
    try:
        with connect_airflow() as airflow:
            order = PlannedRun("etl", key, f"released by {entry.actor}")
            (started,) = start_runs(airflow, name, [order], partitioning=spec.partitioning)
            paused = find_paused_dags(airflow, name, [order])
    except TradewindError as exc:
        raise TradewindError(
            f"it is released, and the next run of {name}__etl with the key {key} publishes it; but none could be "
            f"started: {exc}"
        ) from exc
    text = "started" if started.outcome == "started" else "is on its way already:"
    click.echo(f"{text} {started.dag_id} {key} ({started.run_id})")
    if paused:
        click.echo(
            wrap_paragraph(explain_paused_dags(paused, f"tradewind backfill {name} --from {key} --to {key} --unpause"))
        )
