"""``tradewind reproduce``: a model version, made again from what was recorded of it, and compared with itself."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING

import click

from tradewind.cli import deployments
from tradewind.cli.text_layout import wrap_paragraph

if TYPE_CHECKING:
    from tradewind.training.reproduction import Reproduction


@click.command("reproduce", short_help="Make a model version again, and compare.")
@click.argument("model", metavar="NAME[/VERSION]")
@deployments.by_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def reproduce_model(model: str, by: str, as_json: bool) -> None:
    """Train VERSION of the pipeline NAME (without it: the champion) again, and say whether it comes out the same.

    Data, code, parameters and seed are those that were recorded with the version, not today's. Nothing is registered.
    Exit code 0: identical, or equal within the tolerance; 1: something differs, or it cannot be made again.
    """
    from tradewind.training.reproduction import reproduce_version as make_again

    name, _, version = model.partition("/")
    deployment = deployments.find_deployment(name, actor=by)
    signal.signal(signal.SIGTERM, _interrupt)
    result = make_again(deployment, version or None)
    if as_json:
        click.echo(json.dumps(asdict(result), indent=2, ensure_ascii=False))
    else:
        _print_result(result)
    sys.exit(0 if result.outcome in ("identical", "equal within tolerance") else 1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End as if by Ctrl-C, so that nothing is left behind."""
    raise KeyboardInterrupt


def _print_result(result: Reproduction) -> None:
    at = f", trained at {result.partition}" if result.partition else ""
    click.echo(f"{result.pipeline} version {result.version}{at}: {result.outcome}")
    if not result.differences:
        click.echo(wrap_paragraph(result.reason))
    for difference in result.differences:
        click.echo(wrap_paragraph(f"{difference.about}: {difference.text}"))
    for note in result.notes:
        click.echo(wrap_paragraph(f"made with other versions, to the same result: {note}"))
