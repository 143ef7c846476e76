"""``tradewind backfill``: start exactly the partitions that need it, by their keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from tradewind.cli import runtime as deployment
from tradewind.cli.starting import Started, waiting
from tradewind.cli.tables import count, paragraph, rows, some, spans
from tradewind.errors import Held, TradewindError, Unavailable

if TYPE_CHECKING:
    from tradewind.cli.watching import Ended
    from tradewind.embedded.api import AirflowApi
    from tradewind.ledger.journal import Ledger
    from tradewind.planning.orders import Order
    from tradewind.planning.plan import Plan
    from tradewind.spec.models import Pipeline


PATIENCE = 120.0
"""Seconds for which each request is tried again: a backfill of many partitions is what makes an Airflow busy."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a backfill did.

    :param wanted: what is to run
    :param started: what became of each
    :param paused: DAGs that are paused, so that what is to run waits for a person
    """

    wanted: tuple[Order, ...]
    started: tuple[Started, ...] = ()
    paused: tuple[str, ...] = ()
    dry_run: bool = False


@click.command("backfill", short_help="Start runs for what is stale, missing, or named by key, and watch them.")
@click.argument("name")
@click.option("--stale", is_flag=True, help="What is stale, and what reads it and possibly is too.")
@click.option(
    "--missing", is_flag=True, help="What is not there and could be made, and the newest training if it failed."
)
@click.option("--from", "first", metavar="KEY", help="No earlier partition; alone or with --to: every one, as it is.")
@click.option("--to", "last", metavar="KEY", help="No later partition.")
@click.option("--unpause", is_flag=True, help="Unpause first the DAGs that are to run.")
@click.option("--wait", is_flag=True, help="Watch the runs until they are over; exits with 1 if something failed.")
@click.option("--dry-run", is_flag=True, help="Say what would be started, and start nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def backfill(
    name: str,
    *,
    stale: bool,
    missing: bool,
    first: str | None,
    last: str | None,
    unpause: bool,
    wait: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Start runs of the pipeline NAME by partition key, oldest first.

    With --wait a bar for each stage shows how far they are, with failures as they happen; Ctrl-C leaves it and not
    the runs, and the same command watches them again.

    Of each partition the first stage that needs it is started; the stages after it follow by their events. A run that
    is queued or running already is not started again. What a paused DAG is to run stays queued, and is said. Needs
    --stale, --missing, or a range of keys.
    """
    from tradewind.cli.api import api
    from tradewind.cli.starting import asleep
    from tradewind.ledger.journal import Ledger
    from tradewind.planning import orders
    from tradewind.planning.deliveries import Deliveries
    from tradewind.planning.plan import make

    if not (stale or missing or first or last):
        raise click.UsageError("say what: --stale, --missing, or a range with --from and --to")
    spec, runtime = deployment.pipeline(name), deployment.runtime()
    plan = make(spec, runtime, first=first, last=last, deliveries=Deliveries.of_user())
    chosen = [option for option, given in (("stale", stale), ("missing", missing)) if given]
    states = frozenset().union(*(orders.ALL[option] for option in chosen))
    wanted = orders.orders(plan, states) if states else orders.every(plan)
    if plan.held and wanted and not dry_run:
        raise Held(f"nothing is started: {plan.held}")
    done = Done(tuple(wanted), dry_run=dry_run)
    if wanted and not dry_run:
        with api(patience=PATIENCE) as airflow:
            paused = asleep(airflow, name, wanted)
            for dag_id in paused if unpause else ():
                airflow.unpause(dag_id)
            started = _started(airflow, spec, wanted, again=partial(_command, name, chosen, last=last))
            done = Done(tuple(wanted), tuple(started), () if unpause else tuple(paused))
    ended: Ended | None = None
    if not as_json:
        click.echo("\n".join(_lines(plan, done, chosen)))
    if wait and done.started:
        ended = watch(spec, done.started, Ledger(runtime.ledger))
    elif done.started and not as_json:
        click.echo(f"To watch them: {_command(name, chosen, last=last, first=first)} --wait")
    if as_json:
        click.echo(_as_json(done, ended))
    if ended is not None and not ended.well:
        click.get_current_context().exit(1)


def watch(spec: Pipeline, started: Sequence[Started], ledger: Ledger) -> Ended:
    """Show how far runs are until they are over; what is shown goes to standard error.

    :raises Unavailable: Airflow does not answer any more
    """
    from tradewind.cli.api import api
    from tradewind.cli.watching import Bars, Watch

    with api(patience=PATIENCE) as airflow:
        watching = Watch(airflow, spec.pipeline, spec.stages, started, ledger)
        try:
            with Bars(watching.totals) as bars:
                ended = watching.run(bars)
        except KeyboardInterrupt:
            click.echo("\nThe runs go on; the same command with --wait watches them again.", err=True)
            sys.exit(130)
    for line in _endings(spec.pipeline, ended):
        click.echo(line, err=True)
    return ended


def _endings(name: str, ended: Ended) -> Iterator[str]:
    if ended.left_out:
        yield paragraph(f"left out: {some(ended.left_out)}")
    for title, steps in (("failed", ended.failed), ("did not start", ended.missing)):
        if steps:
            yield paragraph(f"{title}: {some([f'{stage} {key}' for stage, key in steps], most=10)}")
    yield "everything is through" if ended.well else f"What is missing now, and what to do: tradewind plan {name}"


def _command(name: str, chosen: Sequence[str], *, first: str | None, last: str | None) -> str:
    """The command with these options."""
    keys = [f"{option} {key}" for option, key in (("--from", first), ("--to", last)) if key]
    return f"tradewind backfill {name} {' '.join([*(f'--{option}' for option in chosen), *keys])}"


def _started(
    airflow: AirflowApi, spec: Pipeline, wanted: Sequence[Order], *, again: Callable[..., str]
) -> list[Started]:
    from tradewind.cli.starting import start

    done: list[Started] = []
    try:
        for one in start(airflow, spec.pipeline, wanted, partitioning=spec.partitioning):
            done.append(one)
    except TradewindError as exc:
        first = wanted[len(done)].partition
        so_far = f"{len(done)} of {count(len(wanted), 'run')} are started or were on their way, and go on"
        raise Unavailable(f"{so_far}; to start the others: {again(first=first)}\n{exc}") from exc
    return done


def _lines(plan: Plan, done: Done, chosen: Sequence[str]) -> Iterator[str]:
    wanted = done.wanted
    if not wanted:
        yield f"{plan.pipeline}: nothing to start"
    elif done.dry_run:
        yield f"{plan.pipeline}: would start {count(len(wanted), 'run')}"
        yield rows([(f"{plan.pipeline}__{order.stage}", order.partition, order.why) for order in wanted])
    else:
        new = [one for one in done.started if one.outcome == "started"]
        told = f"started {count(len(new), 'run')}" if new else "nothing new to start"
        yield f"{plan.pipeline}: {told}" + ("" if done.paused or not new else "; they go on by themselves")
        yield rows([(one.dag_id, one.order.partition, _outcome(one)) for one in done.started])
    if done.paused:
        yield paragraph(waiting(done.paused, "the same with --unpause"))
    named = {order.partition for order in wanted}
    for state, text in (
        ("quarantined", "not started, because rows failed their audit and would again"),
        ("waiting", "not started, because what it is made from is not there"),
    ):
        kept = {item.partition for item in plan.items if item.state == state} - named
        named |= kept
        # Who asks for what is stale only has not asked for what is not there.
        if kept and not (state == "waiting" and chosen == ["stale"]):
            yield paragraph(f"{text}: {spans(kept, plan.partitions)}")


def _outcome(one: Started) -> str:
    return one.order.why if one.outcome == "started" else f"is on its way already ({one.run_id})"


def _as_json(done: Done, ended: Ended | None) -> str:
    outcomes = {(one.order.stage, one.order.partition): one for one in done.started}
    runs = []
    for order in done.wanted:
        one = outcomes.get((order.stage, order.partition))
        outcome = {"outcome": one.outcome, "run_id": one.run_id} if one else {"outcome": "would start"}
        runs.append({"stage": order.stage, "partition": order.partition, "why": order.why, **outcome})
    answer: dict[str, object] = {"dry_run": done.dry_run, "paused": done.paused, "runs": runs}
    if ended is not None:
        answer["ended"] = asdict(ended)
    return json.dumps(answer, indent=2, ensure_ascii=False)
