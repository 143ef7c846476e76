"""From a plan to the runs that it asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.ledger.completion import CHAIN
from tradewind.planning.plan_item import RUN_AGAIN, ItemState, PlanItem

if TYPE_CHECKING:
    from tradewind.planning.plan import PipelinePlan

MISSING: frozenset[ItemState] = frozenset({"missing", "failed"})
NEVER: frozenset[ItemState] = frozenset({"skipped"})


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run to start: a stage of a partition. The stages after it follow by their events.

    :param why: what asks for it, in words
    """

    stage: str
    partition: str
    why: str


def select_runs(plan: PipelinePlan, states: Collection[ItemState]) -> list[PlannedRun]:
    """The runs that bring everything in ``states`` up to date, oldest partition first.

    Of each partition only the first stages are started: what comes after a stage is started by its event.

    :param states: :data:`MISSING`, :data:`~tradewind.planning.plan_item.RUN_AGAIN`, or both
    """
    wanted: dict[str, dict[str, list[PlanItem]]] = {}
    for item in plan.items:
        if item.state in states:
            wanted.setdefault(item.partition, {}).setdefault(item.stage, []).append(item)
    found = []
    for key in sorted(wanted):
        for stage in _first_stages(wanted[key]):
            found.append(PlannedRun(stage, key, _describe_items(wanted[key][stage])))
    return found


def select_every_run(plan: PipelinePlan) -> list[PlannedRun]:
    """A run of ``etl`` for each partition that was looked at, but for those that a person keeps out."""
    out = {item.partition for item in plan.items if item.state in NEVER}
    return [PlannedRun("etl", key, "asked for by its key") for key in plan.partitions if key not in out]


def _first_stages(stages: Mapping[str, Sequence[PlanItem]]) -> list[str]:
    """The stages that no other one of them starts, in the order of the chain."""
    after = {stage: following_stages(stage) for stage in stages}
    return [stage for stage in stages if not any(stage in follow for follow in after.values())]


def following_stages(stage: str) -> set[str]:
    """The stages that start, one after another, by the event of ``stage``."""
    found: set[str] = set()
    for next_one in CHAIN.get(stage, ()):
        found |= {next_one, *following_stages(next_one)}
    return found


def _describe_items(items: Sequence[PlanItem]) -> str:
    return ", ".join(f"{item.name} {item.state}" for item in items)


STATES_BY_OPTION: Mapping[str, frozenset[ItemState]] = {"stale": RUN_AGAIN, "missing": MISSING}
"""What the options of `backfill` stand for."""
