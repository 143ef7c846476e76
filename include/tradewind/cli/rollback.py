"""``tradewind rollback`` and ``unpin``: a person names the champion, and lets candidates take its place again."""

from __future__ import annotations

import json

import click

from tradewind.cli import deployments
from tradewind.cli.text_layout import wrap_paragraph

_REASON = click.option("--reason", required=True, metavar="TEXT", help="Goes into the ledger with your name.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command("rollback", short_help="Make an earlier model version champion, and pin it.")
@click.argument("name")
@click.option(
    "--to", "version", required=True, metavar="VERSION",
    help="Version in the model registry; `previous` for the champion before the present one.",
)  # fmt: skip
@_REASON
@deployments.by_option
@_JSON
def roll_back_champion(name: str, version: str, reason: str, by: str, as_json: bool) -> None:
    """Let VERSION of the pipeline NAME serve from the next population on that is not scored yet.

    The version is pinned: candidates are trained and judged, and none becomes champion until `tradewind unpin`. Going
    on to another version, back or forward, is another rollback. A version that cannot be loaded is refused.
    """
    from tradewind.champion.rollback import roll_back_to_version as roll_back

    deployment = deployments.find_deployment(name, actor=by)
    champion = roll_back(deployment, to_version=version, reason=reason, actor=by)
    if as_json:
        facts = {
            "pipeline": name,
            "version": champion.model_version,
            "effective_from": champion.effective_from,
            "change": champion.seq,
            "pinned_by": by,
        }
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(f"version {champion.model_version} of {name} is champion from population {champion.effective_from} on")
    click.echo(
        wrap_paragraph(f"It is pinned; candidates may take its place after: tradewind unpin {name} --reason TEXT")
    )


@click.command("unpin", short_help="Let candidates become champion again after a rollback.")
@click.argument("name")
@_REASON
@deployments.by_option
@_JSON
def unpin_champion(name: str, reason: str, by: str, as_json: bool) -> None:
    """Lift the pin that a rollback set on the champion of the pipeline NAME.

    The champion stays; the next candidate that passes its verdict takes its place.
    """
    from tradewind.ledger import pins
    from tradewind.ledger.journal import Ledger

    deployments.find_pipeline_file(name)
    held = pins.lift_pin(Ledger(deployments.find_runtime(actor=by).ledger), name, reason=reason, actor=by)
    if as_json:
        facts = {"pipeline": name, "version": held.subject, "pinned_by": held.actor, "reason": held.reason}
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    since = f"{held.at:%Y-%m-%d %H:%M} UTC"
    click.echo(wrap_paragraph(f"{name} is pinned no more; {held.actor} had pinned version {held.subject} on {since}: "
                         f"{held.reason}"))  # fmt: skip
