"""``tradewind release``: a person lets a partition go that failed its audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tradewind.cli import runtime as deployment
from tradewind.cli.tables import count, paragraph, some
from tradewind.errors import TradewindError, UsageError

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.etl.release import Quarantined
    from tradewind.ledger.journal import Entry
    from tradewind.spec.models import Pipeline


@click.command("release", short_help="Publish a partition that failed its audit, by a person's word.")
@click.argument("name")
@click.argument("dataset")
@click.argument("partition")
@click.option("--reason", required=True, metavar="TEXT", help="Goes into the ledger with your name.")
@click.option("--drop-bad-rows", is_flag=True, help="Without the rows that fail what is expected of every row.")
@click.option("--no-start", is_flag=True, help="Start no run: the next one of this partition publishes it.")
@deployment.by_option
def release(name: str, dataset: str, partition: str, reason: str, drop_bad_rows: bool, no_start: bool, by: str) -> None:
    """Publish what is in quarantine of PARTITION of DATASET, of the pipeline NAME.

    It holds for exactly these rows: if input, SQL or YAML change, the partition is audited anew. With --drop-bad-rows
    what remains is audited again. A run of etl then publishes it, and what comes after follows.
    """
    from tradewind.etl.release import MALFORMED
    from tradewind.ledger import holds, releases
    from tradewind.ledger.journal import Ledger

    spec, runtime = deployment.pipeline(name), deployment.runtime(actor=by)
    if dataset not in spec.datasets:
        raise UsageError(f"{name}: there is no dataset {dataset}; there are {', '.join(spec.datasets)}")
    key = spec.partitioning.check(partition)
    held = _held(name, dataset, key, _quarantine(name, dataset, runtime))
    _refuse_current(spec, dataset, key, runtime)
    if held.digest == MALFORMED and not drop_bad_rows:
        raise UsageError(
            f"{name}: {count(held.rows, 'row')} of {dataset}, partition {key}, could not be read, so they cannot be "
            "published as they are; repair the delivery, or say --drop-bad-rows"
        )
    click.echo(f"{dataset} {key}: {count(held.rows, 'row')} in quarantine at {held.folder}")
    for why in held.reasons:
        click.echo(paragraph(why, first="  -", indent=4))
    entry = releases.release(
        Ledger(runtime.ledger), name, dataset, key,
        digest=held.digest, cause=held.cause, drop_bad_rows=drop_bad_rows, reason=reason, actor=by,
    )  # fmt: skip
    click.echo(f"released {entry.outcome} by {entry.actor}: {entry.reason}")
    stopped = holds.told(Ledger(runtime.ledger), name, key)
    if stopped is not None:
        click.echo(paragraph(f"No run is started, since it would do nothing: {stopped}"))
    if stopped is not None or no_start:
        click.echo(f"The next run of {name}__etl with the key {key} publishes it.")
    else:
        _start(spec, key, entry)


def _quarantine(name: str, dataset: str, runtime: Runtime) -> list[Quarantined]:
    from tradewind.etl.release import quarantined
    from tradewind.lake.dataset import Lake

    return quarantined(Lake(runtime.lake, storage_options=runtime.storage_options).dataset(name, dataset))


def _held(name: str, dataset: str, key: str, found: Sequence[Quarantined]) -> Quarantined:
    """The newest rows of the partition."""
    held = [one for one in found if one.partition == key]
    if not held:
        others = sorted({one.partition for one in found})
        there = f"; of these partitions there is: {some(others, most=10)}" if others else ""
        raise UsageError(f"{name}: nothing of {dataset}, partition {key}, is in quarantine{there}")
    if not held[-1].cause:
        raise UsageError(
            f"{name}: an older Tradewind put {dataset}, partition {key}, into quarantine and did not write down what "
            f"it was made from; run {name}__etl with this key once more, then release it"
        )
    return held[-1]


def _refuse_current(spec: Pipeline, dataset: str, key: str, runtime: Runtime) -> None:
    """What had failed and was repaired needs nobody's word: the rows in quarantine are not those that would be made."""
    from tradewind.planning.datasets import examine
    from tradewind.planning.deliveries import Deliveries

    items = examine(spec, runtime, [key], deliveries=Deliveries.of_user(), left_out={}, skipped={})
    if any(item.name == dataset and item.state == "current" and not item.why for item in items):
        raise UsageError(
            f"{spec.pipeline}: {dataset}, partition {key}, is published and is what would be made now; what is in "
            "quarantine of it is older"
        )


def _start(spec: Pipeline, key: str, entry: Entry) -> None:
    from tradewind.cli.api import api
    from tradewind.cli.starting import asleep, start, waiting
    from tradewind.planning.orders import Order

    name = spec.pipeline
    try:
        with api() as airflow:
            order = Order("etl", key, f"released by {entry.actor}")
            (started,) = start(airflow, name, [order], partitioning=spec.partitioning)
            paused = asleep(airflow, name, [order])
    except TradewindError as exc:
        raise TradewindError(
            f"it is released, and the next run of {name}__etl with the key {key} publishes it; but none could be "
            f"started: {exc}"
        ) from exc
    told = "started" if started.outcome == "started" else "is on its way already:"
    click.echo(f"{told} {started.dag_id} {key} ({started.run_id})")
    if paused:
        click.echo(paragraph(waiting(paused, f"tradewind backfill {name} --from {key} --to {key} --unpause")))
