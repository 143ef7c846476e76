"""``tradewind hold``, ``resume`` and ``skip``: a person stops a pipeline, lets it go on, or keeps a partition out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tradewind.cli import deployments
from tradewind.cli.text_layout import wrap_paragraph

if TYPE_CHECKING:
    from tradewind.ledger.journal import Entry

_REASON = click.option("--reason", required=True, metavar="TEXT", help="Goes into the ledger with your name.")


@click.command("hold", short_help="Stop a pipeline until somebody resumes it.")
@click.argument("name")
@_REASON
@deployments.by_option
def hold_running_pipeline(name: str, reason: str, by: str) -> None:
    """Let nothing of the pipeline NAME run until a person resumes it.

    A task that is at work ends what it does; every task that begins later ends as skipped, with the reason, and
    publishes nothing. Nothing is overdue meanwhile.
    """
    from tradewind.ledger import holds
    from tradewind.ledger.journal import Ledger

    deployments.find_pipeline_file(name)  # which need not be right: what is wrong can be stopped too
    entry = holds.hold_pipeline(Ledger(deployments.find_runtime(actor=by).ledger), name, reason=reason, actor=by)
    if (entry.actor, entry.reason) == (by, reason):
        click.echo(f"{name} is held; it goes on with: tradewind resume {name}")
    else:
        click.echo(wrap_paragraph(f"{name} is held already, by {entry.actor} since {_when(entry)}: {entry.reason}"))


@click.command("resume", short_help="Let a held pipeline run again.")
@click.argument("name")
@click.option("--reason", default="", metavar="TEXT", help="Goes into the ledger with your name.")
@deployments.by_option
def resume_held_pipeline(name: str, reason: str, by: str) -> None:
    """Let the held pipeline NAME run again.

    Stages whose event came while it was held are started by the next upkeep; partitions whose etl was due meanwhile
    are started by a backfill.
    """
    from tradewind.ledger import holds
    from tradewind.ledger.journal import Ledger

    deployments.find_pipeline_file(name)
    over = holds.resume_pipeline(Ledger(deployments.find_runtime(actor=by).ledger), name, reason=reason, actor=by)
    click.echo(wrap_paragraph(f"{name} runs again; {over.actor} held it since {_when(over)}: {over.reason}"))
    click.echo(f"To run what came due meanwhile: tradewind backfill {name} --missing")


@click.command("skip", short_help="Keep one partition out, or take that back.")
@click.argument("name")
@click.argument("partition")
@_REASON
@click.option("--take-back", is_flag=True, help="It shall be run after all.")
@deployments.by_option
def keep_partition_out(name: str, partition: str, reason: str, take_back: bool, by: str) -> None:
    """Keep PARTITION of the pipeline NAME out: no stage of it runs, and later partitions go on without it.

    What is published of it already stays published.
    """
    from tradewind.alerting import incidents
    from tradewind.ledger import skipped_partitions
    from tradewind.ledger.journal import Ledger

    spec = deployments.find_pipeline(name)
    key = spec.partitioning.check(partition)
    ledger = Ledger(deployments.find_runtime(actor=by).ledger)
    if take_back:
        skipped_partitions.take_back(ledger, name, key, reason=reason, actor=by)
        click.echo(f"{key} of {name} may run again; start it with:")
        click.echo(f"  tradewind backfill {name} --from {key} --to {key}")
        return
    entry = skipped_partitions.skip_partition(ledger, name, key, reason=reason, actor=by)
    for stage in spec.stages:
        incidents.close_stage_incidents(
            ledger, name, stage, key, because=f"{key} is skipped by {entry.actor}: {entry.reason}"
        )
    if (entry.actor, entry.reason) != (by, reason):
        click.echo(wrap_paragraph(f"{key} is skipped already, by {entry.actor} since {_when(entry)}: {entry.reason}"))
        return
    there = ledger.has(name, "complete", subject="etl", partition=key)
    kept = "What is published of it stays; no stage of it runs." if there else "Later partitions go on without it."
    click.echo(f"{key} of {name} is skipped. {kept}")


def _when(entry: Entry) -> str:
    return f"{entry.at:%Y-%m-%d %H:%M} UTC"
