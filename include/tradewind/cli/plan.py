"""``tradewind plan``: what is missing, what is stale and why, before anything runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from textwrap import shorten
from typing import TYPE_CHECKING

import click

from tradewind.cli import deployments
from tradewind.cli.text_layout import format_quantity, join_partition_spans, shorten_list, wrap_paragraph
from tradewind.deployment import Deployment
from tradewind.planning.plan_item import RUN_AGAIN, ItemState, PlanItem
from tradewind.planning.runs_to_start import MISSING

if TYPE_CHECKING:
    from tradewind.planning.plan import PipelinePlan
    from tradewind.planning.training_status import TrainingStatus

_INDENT = 18
_ABOUT = 110  # characters; the whole text is in the JSON
_ORDER: tuple[ItemState, ...] = (
    "stale",
    "possibly stale",
    "missing",
    "failed",
    "waiting",
    "quarantined",
    "left out",
    "skipped",
    "outdated",
    "current",
)


@click.command("plan", short_help="What is missing or stale, why, and what to run.")
@click.argument("name")
@click.option("--from", "first", metavar="KEY", help="Look at no earlier partition.")
@click.option("--to", "last", metavar="KEY", help="Look at no later partition.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show_plan(name: str, first: str | None, last: str | None, as_json: bool) -> None:
    """Compare what is published of the pipeline NAME with what would be made now, and start nothing.

    YAML, SQL and expectations are those of the working tree: what a change would recompute is told before it is
    deployed.
    """
    from tradewind.planning.delivery_digests import DeliveryDigests
    from tradewind.planning.plan import make_plan

    spec = deployments.find_pipeline(name)
    found = make_plan(
        Deployment(spec, deployments.find_runtime()), first=first, last=last, deliveries=DeliveryDigests.of_user()
    )
    click.echo(_as_json(found) if as_json else "\n".join(plan_lines(found)))


def plan_lines(found: PipelinePlan) -> Iterator[str]:
    """The plan for people."""
    if not found.partitions:
        yield f"{found.pipeline}: no partition is over yet, so there is nothing to run"
        return
    first, last = found.partitions[0], found.partitions[-1]
    span = first if first == last else f"{first} … {last}"
    yield f"{found.pipeline}: {format_quantity(len(found.partitions), 'partition')}, {span}"
    if found.held:
        yield wrap_paragraph(found.held)
    yield ""
    names = dict.fromkeys(item.name for item in found.items)
    for name in names:
        yield from _item_lines(name, [item for item in found.items if item.name == name], found.partitions)
    yield ""
    yield from _next_step_lines(found)


def _item_lines(name: str, items: Sequence[PlanItem], order: Sequence[str]) -> Iterator[str]:
    counts = Counter(item.state for item in items)
    text = ", ".join(f"{counts[state]:,} {state}" for state in _ORDER if counts[state])
    yield f"{name.ljust(_INDENT - 1)} {text}"
    groups: dict[tuple[object, ...], list[PlanItem]] = {}
    for item in items:
        if item.state != "current" or item.why:
            groups.setdefault((item.state, *((why.kind, why.text) for why in item.why)), []).append(item)
    for state in _ORDER:
        for group in groups.values():
            if group[0].state == state:
                yield from _group_lines(group, order)


def _group_lines(group: Sequence[PlanItem], order: Sequence[str]) -> Iterator[str]:
    yield wrap_paragraph(
        join_partition_spans((item.partition for item in group), order), first=f"  {group[0].state}", indent=_INDENT
    )
    for number, why in enumerate(group[0].why):
        about = list(dict.fromkeys(shorten(about, _ABOUT, placeholder=" …") for about in _list_causes(group, number)))
        named = f" ({shorten_list(about)})" if about else ""
        yield wrap_paragraph(f"{why.text}{named}", first="", indent=_INDENT + 2)


def _list_causes(group: Iterable[PlanItem], number: int) -> Iterator[str]:
    for item in group:
        yield from item.why[number].about


def _next_step_lines(found: PipelinePlan) -> Iterator[str]:
    states = {item.state for item in found.items}
    if "quarantined" in states:
        release = f"tradewind release {found.pipeline} DATASET PARTITION --reason TEXT"
        yield f"To publish what is in quarantine after all: {release}"
    if found.training is not None:
        yield from _training_lines(found.pipeline, found.training)
    if not states & (RUN_AGAIN | MISSING):
        yield "Nothing is to be run."
        return
    yield "What comes after a stage follows by its event, and is computed only if its input really changes."
    if states & RUN_AGAIN:
        yield f"To run what is stale, or possibly is: tradewind backfill {found.pipeline} --stale"
    if states & MISSING:
        what = " or failed" if "failed" in states else ""
        yield f"To run what is missing{what}: tradewind backfill {found.pipeline} --missing"


def _training_lines(name: str, training: TrainingStatus) -> Iterator[str]:
    """What the policy does next, where a training failed, waits, or would make something else."""
    outdated = [one for one in training.versions if one.changes]
    if training.failed is not None:
        key = training.failed.partition
        yield wrap_paragraph(f"The training at {key} failed, and is not tried again by itself.")
        yield f"To try it again: tradewind train {name} {key} --reason TEXT"
    if training.waiting:
        yield wrap_paragraph(f"A training has a reason ({'; '.join(training.waiting)}) and waits for its window.")
    for one in outdated:
        yield wrap_paragraph(
            f"{one.name[0].upper()}{one.name[1:]} stays as it is: a change alone starts no training. A run of "
            f"{name}__train for {one.partition} would train anew; the next training uses what there is then."
        )
    if outdated or training.failed is not None or training.waiting:
        yield wrap_paragraph(f"The policy trains next: {training.next}.")
        yield f"To train now: tradewind train {name} --reason TEXT"


def _as_json(found: PipelinePlan) -> str:
    counts = Counter(item.state for item in found.items)
    answer = {
        "pipeline": found.pipeline,
        "partitions": list(found.partitions),
        "held": found.held,
        "counts": {state: counts[state] for state in _ORDER if counts[state]},
        "training": asdict(found.training) if found.training else None,
        "items": [asdict(item) for item in found.items if item.state != "current" or item.why],
    }
    return json.dumps(answer, indent=2, ensure_ascii=False)
