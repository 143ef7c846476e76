"""From a plan to the runs that it asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.ledger.progress import CHAIN
from tradewind.planning.item import RUN_AGAIN, Item, State

if TYPE_CHECKING:
    from tradewind.planning.plan import Plan

MISSING: frozenset[State] = frozenset({"missing", "failed"})
NEVER: frozenset[State] = frozenset({"skipped"})


@dataclass(frozen=True, slots=True)
class Order:
    """One run to start: a stage of a partition. The stages after it follow by their events.

    :param why: what asks for it, in words
    """

    stage: str
    partition: str
    why: str


def orders(plan: Plan, states: Collection[State]) -> list[Order]:
    """The runs that bring everything in ``states`` up to date, oldest partition first.

    Of each partition only the first stages are started: what comes after a stage is started by its event.

    :param states: :data:`MISSING`, :data:`~tradewind.planning.item.RUN_AGAIN`, or both
    """
    wanted: dict[str, dict[str, list[Item]]] = {}
    for item in plan.items:
        if item.state in states:
            wanted.setdefault(item.partition, {}).setdefault(item.stage, []).append(item)
    found = []
    for key in sorted(wanted):
        for stage in _first(wanted[key]):
            found.append(Order(stage, key, _why(wanted[key][stage])))
    return found


def every(plan: Plan) -> list[Order]:
    """A run of ``etl`` for each partition that was looked at, but for those that a person keeps out."""
    out = {item.partition for item in plan.items if item.state in NEVER}
    return [Order("etl", key, "asked for by its key") for key in plan.partitions if key not in out]


def _first(stages: Mapping[str, Sequence[Item]]) -> list[str]:
    """The stages that no other one of them starts, in the order of the chain."""
    after = {stage: following(stage) for stage in stages}
    return [stage for stage in stages if not any(stage in follow for follow in after.values())]


def following(stage: str) -> set[str]:
    """The stages that start, one after another, by the event of ``stage``."""
    found: set[str] = set()
    for next_one in CHAIN.get(stage, ()):
        found |= {next_one, *following(next_one)}
    return found


def _why(items: Sequence[Item]) -> str:
    return ", ".join(f"{item.name} {item.state}" for item in items)


ALL: Mapping[str, frozenset[State]] = {"stale": RUN_AGAIN, "missing": MISSING}
"""What the options of `backfill` stand for."""
