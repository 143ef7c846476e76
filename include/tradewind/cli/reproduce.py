"""``tradewind reproduce``: a model version, made again from what was recorded of it, and compared with itself."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING

import click

from tradewind.cli import runtime as deployment
from tradewind.cli.tables import paragraph

if TYPE_CHECKING:
    from tradewind.models.reproduce import Reproduction


@click.command("reproduce", short_help="Make a model version again, and compare.")
@click.argument("model", metavar="NAME[/VERSION]")
@deployment.by_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def reproduce(model: str, by: str, as_json: bool) -> None:
    """Train VERSION of the pipeline NAME (without it: the champion) again, and say whether it comes out the same.

    Data, code, parameters and seed are those that were recorded with the version, not today's. Nothing is registered.
    Exit code 0: identical, or equal within the tolerance; 1: something differs, or it cannot be made again.
    """
    from tradewind.models.reproduce import reproduce as make_again

    name, _, version = model.partition("/")
    spec, runtime = deployment.pipeline(name), deployment.runtime(actor=by)
    signal.signal(signal.SIGTERM, _leave)
    result = make_again(spec, version or None, runtime)
    if as_json:
        click.echo(json.dumps(asdict(result), indent=2, ensure_ascii=False))
    else:
        _tell(result)
    sys.exit(0 if result.outcome in ("identical", "equal within tolerance") else 1)


def _leave(number: int, frame: FrameType | None) -> None:
    """End as if by Ctrl-C, so that nothing is left behind."""
    raise KeyboardInterrupt


def _tell(result: Reproduction) -> None:
    at = f", trained at {result.partition}" if result.partition else ""
    click.echo(f"{result.pipeline} version {result.version}{at}: {result.outcome}")
    if not result.differences:
        click.echo(paragraph(result.reason))
    for difference in result.differences:
        click.echo(paragraph(f"{difference.about}: {difference.text}"))
    for note in result.notes:
        click.echo(paragraph(f"made with other versions, to the same result: {note}"))
