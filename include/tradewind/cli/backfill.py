"""``tradewind backfill``: start exactly the partitions that need it, by their keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from tradewind.cli import runtime as deployment
from tradewind.cli.tables import count, paragraph, rows, spans
from tradewind.errors import Held

if TYPE_CHECKING:
    from tradewind.cli.starting import Started
    from tradewind.planning.orders import Order
    from tradewind.planning.plan import Plan


@click.command(short_help="Start runs for what is stale, missing, or named by key.")
@click.argument("name")
@click.option("--stale", is_flag=True, help="What is stale, and what reads it and perhaps is too.")
@click.option("--missing", is_flag=True, help="What is not there and could be made.")
@click.option("--from", "first", metavar="KEY", help="No earlier partition; alone or with --to: every one, as it is.")
@click.option("--to", "last", metavar="KEY", help="No later partition.")
@click.option("--dry-run", is_flag=True, help="Say what would be started, and start nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def backfill(
    name: str, stale: bool, missing: bool, first: str | None, last: str | None, dry_run: bool, as_json: bool
) -> None:
    """Start runs of the pipeline NAME by partition key, oldest first, and wait for none.

    Of each partition the first stage that needs it is started; the stages after it follow by their events. A run that
    is queued or running already is not started again. Needs --stale, --missing, or a range of keys.
    """
    from tradewind.cli.api import api
    from tradewind.cli.starting import start
    from tradewind.planning import orders
    from tradewind.planning.deliveries import Deliveries
    from tradewind.planning.plan import make

    if not (stale or missing or first or last):
        raise click.UsageError("say what: --stale, --missing, or a range with --from and --to")
    spec = deployment.pipeline(name)
    plan = make(spec, deployment.runtime(), first=first, last=last, deliveries=Deliveries.of_user())
    chosen = [option for option, given in (("stale", stale), ("missing", missing)) if given]
    states = frozenset().union(*(orders.ALL[option] for option in chosen))
    wanted = orders.orders(plan, states) if states else orders.every(plan)
    if plan.held and wanted and not dry_run:
        raise Held(f"nothing is started: {plan.held}")
    started: list[Started] = []
    if wanted and not dry_run:
        with api() as airflow:
            started = start(airflow, name, wanted)
    click.echo(_as_json(wanted, started, dry_run) if as_json else "\n".join(_lines(plan, wanted, started, dry_run)))


def _lines(plan: Plan, wanted: Sequence[Order], started: Sequence[Started], dry_run: bool) -> Iterator[str]:
    if not wanted:
        yield f"{plan.pipeline}: nothing to start"
    elif dry_run:
        yield f"{plan.pipeline}: would start {count(len(wanted), 'run')}"
        yield rows([(f"{plan.pipeline}__{order.stage}", order.partition, order.why) for order in wanted])
    else:
        new = [one for one in started if one.outcome == "started"]
        told = f"started {count(len(new), 'run')}; they go on by themselves" if new else "nothing new to start"
        yield f"{plan.pipeline}: {told}"
        yield rows([(one.dag_id, one.order.partition, _outcome(one)) for one in started])
    named = {order.partition for order in wanted}
    for state, text in (
        ("quarantined", "not started, because rows failed their audit and would again"),
        ("waiting", "not started, because what it is made from is not there"),
    ):
        kept = {item.partition for item in plan.items if item.state == state} - named
        named |= kept
        if kept:
            yield paragraph(f"{text}: {spans(kept, plan.partitions)}")


def _outcome(one: Started) -> str:
    return one.order.why if one.outcome == "started" else f"is on its way already ({one.run_id})"


def _as_json(wanted: Sequence[Order], started: Sequence[Started], dry_run: bool) -> str:
    outcomes = {(one.order.stage, one.order.partition): one for one in started}
    runs = []
    for order in wanted:
        one = outcomes.get((order.stage, order.partition))
        outcome = {"outcome": one.outcome, "run_id": one.run_id} if one else {"outcome": "would start"}
        runs.append({"stage": order.stage, "partition": order.partition, "why": order.why, **outcome})
    return json.dumps({"dry_run": dry_run, "runs": runs}, indent=2, ensure_ascii=False)
