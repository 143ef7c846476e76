"""``tradewind close``: a person closes an incident."""

from __future__ import annotations

import click

from tradewind.cli import deployments
from tradewind.cli.text_layout import format_quantity, shorten_list


@click.command("close", short_help="Close an incident by a person's word.")
@click.argument("name")
@click.argument("fingerprint")
@click.option("--partition", metavar="KEY", help="Only what this partition has of it.")
@click.option("--reason", required=True, metavar="TEXT", help="Goes into the ledger with your name.")
@deployments.by_option
def close_open_incident(name: str, fingerprint: str, partition: str | None, reason: str, by: str) -> None:
    """Close the incident FINGERPRINT of the pipeline NAME; `tradewind show NAME` lists those that are open.

    Nothing is run or mended: a failure that comes again, or a condition that still holds at the next run, opens it
    again and alerts.
    """
    from tradewind.alerting import incidents
    from tradewind.ledger.journal import Ledger

    ledger = Ledger(deployments.find_runtime(actor=by).ledger)
    if name not in ledger.pipelines():
        deployments.find_pipeline_file(name)  # which says the nearest name
    keys = incidents.close_incident_by_hand(ledger, name, fingerprint, partition=partition, reason=reason, actor=by)
    what = (
        f" for {format_quantity(len(keys), 'partition')}: {shorten_list(keys)}"
        if keys != (incidents.NO_PARTITION,)
        else ""
    )
    click.echo(f"{fingerprint} is closed{what}")
    left = [one.partitions for one in incidents.open_incidents(ledger, name) if one.fingerprint == fingerprint]
    if left:
        click.echo(f"it stays open for {shorten_list(left[0])}")
