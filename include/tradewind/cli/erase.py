"""``tradewind erase``: remove the rows of one entity wherever a pipeline keeps rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tradewind.cli import deployments
from tradewind.cli.text_layout import format_quantity, wrap_paragraph
from tradewind.errors import UsageError

if TYPE_CHECKING:
    from tradewind.upkeep.erasure import ErasureReport


@click.command("erase", short_help="Remove one entity's rows everywhere: datasets, versions, predictions, online.")
@click.argument("name")
@click.option(
    "--entity",
    "given",
    multiple=True,
    required=True,
    metavar="[DATASET.]COLUMN=VALUE",
    help="Whose rows; several name it together. With DATASET: how the column is called there.",
)
@click.option("--reason", required=True, metavar="TEXT", help="Goes into the ledger with your name; without the value.")
@click.option("--not-online", is_flag=True, help="Leave the online store alone.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@deployments.by_option
def run_erasure(
    name: str, given: Sequence[str], reason: str, not_online: bool, dry_run: bool, as_json: bool, by: str
) -> None:
    """Remove every row of one entity from the pipeline NAME, for good.

    From all datasets that have the column, every old version, predictions, quarantine and the online store. The ledger
    says that it was done and what can no longer be reproduced, and not whose rows they were. Delivered files stay: have
    them cleaned first, or a partition that is run again brings the rows back. If it is killed, run it again.
    """
    from datetime import UTC, datetime

    from tradewind.upkeep import erasure

    deployment = deployments.find_deployment(name, actor=by)
    entity, renamed = parse_entity(given)
    done = erasure.erase_entity(
        deployment,
        entity,
        renamed=renamed,
        reason=reason,
        now=datetime.now(UTC),
        online=not not_online,
        dry_run=dry_run,
    )
    click.echo(json.dumps(erasure_as_json(done), indent=2) if as_json else "\n".join(_lines(done)))
    if done.staged:
        raise click.exceptions.Exit(1)


def parse_entity(given: Sequence[str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """``COLUMN=VALUE`` and ``DATASET.COLUMN=VALUE`` as values by column, and by dataset and column.

    :raises UsageError: something else
    """
    entity: dict[str, str] = {}
    renamed: dict[str, dict[str, str]] = {}
    for text in given:
        column, equals, value = text.partition("=")
        if not equals or not column or not value:
            raise UsageError(f"--entity {text}: write COLUMN=VALUE, or DATASET.COLUMN=VALUE")
        dataset, dot, inner = column.partition(".")
        (renamed.setdefault(dataset, {}) if dot else entity)[inner if dot else column] = value
    return entity, renamed


def erasure_as_json(done: ErasureReport) -> dict[str, object]:
    """The result as plain values."""
    return {
        "dry_run": done.dry_run,
        "datasets": {
            one.dataset: {
                "rows": one.rows,
                "partitions": list(one.partitions),
                "files": len(one.files),
                "quarantined": len(one.quarantined),
                "versions": one.versions,
                "staged": one.staged,
            }
            for one in done.datasets
        },
        "without_the_columns": list(done.without),
        "online": dict(done.online),
        "not_reproducible": {"models": list(done.models), "predictions": list(done.predictions)},
    }


def _lines(done: ErasureReport) -> list[str]:
    would = "would be removed" if done.dry_run else "removed"
    lines = []
    for one in done.datasets:
        lines.append(
            f"{one.dataset}: {format_quantity(one.rows, 'row')} of "
            f"{format_quantity(len(one.partitions), 'partition')}, "
            f"{format_quantity(len(one.files), 'file')} of old versions, {len(one.quarantined)} in quarantine {would}"
        )
    lines += [
        f"online, {view}: {format_quantity(number, 'key')} {would}" for view, number in done.online.items() if number
    ]
    if not done.found:
        lines.append("nothing of it is there")
    if done.without:
        lines.append(wrap_paragraph(f"without these columns, and not searched: {', '.join(done.without)}"))
    if done.models:
        lines.append(f"can no longer be trained again: {', '.join(f'version {one}' for one in done.models)}")
        lines.append("their test rows in MLflow are not touched: delete these runs if the entity is among them")
    if done.predictions:
        lines.append(f"can no longer be predicted again: {', '.join(done.predictions)}")
    if done.staged:
        lines.append(f"a run has rows of it staged in {', '.join(done.staged)}: run this again when it has ended")
    lines.append("delivered files are not Tradewind's and were not searched")
    return lines
