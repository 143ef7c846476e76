"""``tradewind backfill``: start exactly the partitions that need it, by their keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from tradewind.cli import deployments
from tradewind.cli.run_starts import StartedRun, explain_paused_dags
from tradewind.cli.text_layout import align_columns, format_quantity, join_partition_spans, shorten_list, wrap_paragraph
from tradewind.errors import Held, TradewindError, Unavailable

if TYPE_CHECKING:
    from tradewind.cli.run_watch import WatchResult
    from tradewind.hooks.airflow_api import AirflowApi
    from tradewind.ledger.journal import Ledger
    from tradewind.planning.plan import PipelinePlan
    from tradewind.planning.runs_to_start import PlannedRun
    from tradewind.spec.pipeline import Pipeline


PATIENCE = 120.0
"""Seconds for which each request is tried again: a backfill of many partitions is what makes an Airflow busy."""


@dataclass(frozen=True, slots=True)
class BackfillResult:
    """What a backfill did.

    :param wanted: what is to run
    :param started: what became of each
    :param paused: DAGs that are paused, so that what is to run waits for a person
    """

    wanted: tuple[PlannedRun, ...]
    started: tuple[StartedRun, ...] = ()
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
def start_backfill(
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
    from tradewind.cli.airflow_client import connect_airflow
    from tradewind.cli.run_starts import find_paused_dags
    from tradewind.planning import runs_to_start
    from tradewind.planning.delivery_digests import DeliveryDigests
    from tradewind.planning.plan import make_plan

    if not (stale or missing or first or last):
        raise click.UsageError("say what: --stale, --missing, or a range with --from and --to")
    deployment = deployments.find_deployment(name)
    plan = make_plan(deployment, first=first, last=last, deliveries=DeliveryDigests.of_user())
    chosen = [option for option, given in (("stale", stale), ("missing", missing)) if given]
    states = frozenset().union(*(runs_to_start.STATES_BY_OPTION[option] for option in chosen))
    wanted = runs_to_start.select_runs(plan, states) if states else runs_to_start.select_every_run(plan)
    if plan.held and wanted and not dry_run:
        raise Held(f"nothing is started: {plan.held}")
    done = BackfillResult(tuple(wanted), dry_run=dry_run)
    if wanted and not dry_run:
        with connect_airflow(patience=PATIENCE) as airflow:
            paused = find_paused_dags(airflow, name, wanted)
            for dag_id in paused if unpause else ():
                airflow.unpause(dag_id)
            started = _start_runs(
                airflow, deployment.spec, wanted, again=partial(_command_text, name, chosen, last=last)
            )
            done = BackfillResult(tuple(wanted), tuple(started), () if unpause else tuple(paused))
    ended: WatchResult | None = None
    if not as_json:
        click.echo("\n".join(_lines(plan, done, chosen)))
    if wait and done.started:
        ended = watch_runs(deployment.spec, done.started, deployment.ledger)
    elif done.started and not as_json:
        click.echo(f"To watch them: {_command_text(name, chosen, last=last, first=first)} --wait")
    if as_json:
        click.echo(_as_json(done, ended))
    if ended is not None and not ended.well:
        click.get_current_context().exit(1)


def watch_runs(spec: Pipeline, started: Sequence[StartedRun], ledger: Ledger) -> WatchResult:
    """Show how far runs are until they are over; what is shown goes to standard error.

    :raises Unavailable: Airflow does not answer any more
    """
    from tradewind.cli.airflow_client import connect_airflow
    from tradewind.cli.run_watch import RunWatch, StageBars

    with connect_airflow(patience=PATIENCE) as airflow:
        watching = RunWatch(airflow, spec.pipeline, spec.stages, started, ledger)
        try:
            with StageBars(watching.totals) as bars:
                ended = watching.run(bars)
        except KeyboardInterrupt:
            click.echo("\nThe runs go on; the same command with --wait watches them again.", err=True)
            sys.exit(130)
    for line in _ending_lines(spec.pipeline, ended):
        click.echo(line, err=True)
    return ended


def _ending_lines(name: str, ended: WatchResult) -> Iterator[str]:
    if ended.left_out:
        yield wrap_paragraph(f"left out: {shorten_list(ended.left_out)}")
    for title, steps in (("failed", ended.failed), ("did not start", ended.missing)):
        if steps:
            yield wrap_paragraph(f"{title}: {shorten_list([f'{stage} {key}' for stage, key in steps], most=10)}")
    yield "everything is through" if ended.well else f"What is missing now, and what to do: tradewind plan {name}"


def _command_text(name: str, chosen: Sequence[str], *, first: str | None, last: str | None) -> str:
    """The command with these options."""
    keys = [f"{option} {key}" for option, key in (("--from", first), ("--to", last)) if key]
    return f"tradewind backfill {name} {' '.join([*(f'--{option}' for option in chosen), *keys])}"


def _start_runs(
    airflow: AirflowApi, spec: Pipeline, wanted: Sequence[PlannedRun], *, again: Callable[..., str]
) -> list[StartedRun]:
    from tradewind.cli.run_starts import start_runs

    done: list[StartedRun] = []
    try:
        for one in start_runs(airflow, spec.pipeline, wanted, partitioning=spec.partitioning):
            done.append(one)
    except TradewindError as exc:
        first = wanted[len(done)].partition
        so_far = f"{len(done)} of {format_quantity(len(wanted), 'run')} are started or were on their way, and go on"
        raise Unavailable(f"{so_far}; to start the others: {again(first=first)}\n{exc}") from exc
    return done


def _lines(plan: PipelinePlan, done: BackfillResult, chosen: Sequence[str]) -> Iterator[str]:
    wanted = done.wanted
    if not wanted:
        yield f"{plan.pipeline}: nothing to start"
    elif done.dry_run:
        yield f"{plan.pipeline}: would start {format_quantity(len(wanted), 'run')}"
        yield align_columns([(f"{plan.pipeline}__{order.stage}", order.partition, order.why) for order in wanted])
    else:
        new = [one for one in done.started if one.outcome == "started"]
        message = f"started {format_quantity(len(new), 'run')}" if new else "nothing new to start"
        yield f"{plan.pipeline}: {message}" + ("" if done.paused or not new else "; they go on by themselves")
        yield align_columns([(one.dag_id, one.order.partition, _describe_outcome(one)) for one in done.started])
    if done.paused:
        yield wrap_paragraph(explain_paused_dags(done.paused, "the same with --unpause"))
    named = {order.partition for order in wanted}
    for state, text in (
        ("quarantined", "not started, because rows failed their audit and would again"),
        ("waiting", "not started, because what it is made from is not there"),
    ):
        kept = {item.partition for item in plan.items if item.state == state} - named
        named |= kept
        # Who asks for what is stale only has not asked for what is not there.
        if kept and not (state == "waiting" and chosen == ["stale"]):
            yield wrap_paragraph(f"{text}: {join_partition_spans(kept, plan.partitions)}")


def _describe_outcome(one: StartedRun) -> str:
    return one.order.why if one.outcome == "started" else f"is on its way already ({one.run_id})"


def _as_json(done: BackfillResult, ended: WatchResult | None) -> str:
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
