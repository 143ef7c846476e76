"""Which rows a gate is about: those that count, by slice or group where it asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.core.gate_results import GateResult, Outcome, gate_result
from tradewind.metrics.judged_rows import CANDIDATE, CHAMPION, Groups, groups_of_column
from tradewind.spec.gate_kind import UNITS_OF_TIME

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.judged_rows import TestRows
    from tradewind.spec.gate_kind import PredictionGate

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class GateCase:
    """A gate and the rows that it judges.

    :param rows: those that count, and of these the slice's
    :param slice: ``column=value``; None for all rows
    :param groups: of these rows, where the gate compares groups with each other; each has enough rows
    """

    gate: PredictionGate
    rows: TestRows
    slice: str | None = None
    groups: Groups | None = None


def prepare_case(gate: PredictionGate, rows: TestRows) -> list[GateCase | GateResult]:
    """What a gate has to judge; a result instead where that cannot be judged, or need not."""
    if (opponent := _without_opponent(gate, rows)) is not None:
        return [gate_result(gate, *opponent)]
    if why := _missing(gate, rows):
        return [gate_result(gate, "insufficient", why)]
    counted = _unseen(gate, rows)
    seen = len(rows.y) - len(counted.y)
    if gate.condition is not None:
        counted = counted.where(_true(counted.masks[gate.condition]))
    if len(counted.y) < gate.min_rows:
        condition = f" where {gate.condition}" if gate.condition else ""
        after = f" after training ended ({seen} more were seen in training{_whose(gate, rows)})" if seen else ""
        reason = f"{len(counted.y)} rows{condition}{after}, fewer than {gate.min_rows}"
        return [gate_result(gate, "insufficient", reason, rows=len(counted.y))]
    column = gate.group_column
    return [GateCase(gate, counted)] if column is None else _by_value(gate, column, counted)


def _whose(gate: PredictionGate, rows: TestRows) -> str:
    """That it was the other's training which lasted longer, and until when."""
    versus = gate.opponent
    if versus is None or versus not in rows.fit_end or rows.fit_end[versus] <= rows.fit_end[CANDIDATE]:
        return ""
    return f": the {versus}'s lasted until {rows.fit_end[versus]:%Y-%m-%d %H:%M %Z}".rstrip()


def _true(mask: Floats) -> Floats:
    """Where a condition holds; NULL is not true, also where it comes as None or NaN."""
    import numpy as np

    return np.equal(mask, True).astype(bool)


def _without_opponent(gate: PredictionGate, rows: TestRows) -> tuple[Outcome, str] | None:
    versus = gate.opponent
    for name in (CANDIDATE, versus):
        if name is not None and name in rows.absent:
            return "insufficient", f"the {name} cannot be asked: {rows.absent[name]}"
    if versus is None:
        return None
    if versus not in rows.scores:
        if versus == CHAMPION:
            return "skipped", "there is no champion to compare with"
        return "insufficient", f"there are no predictions of {versus} to compare with"
    if versus == CHAMPION and CHAMPION not in rows.fit_end:
        return "insufficient", "it is not known when the champion's training ended, so which rows it has seen"
    return None


def _missing(gate: PredictionGate, rows: TestRows) -> str:
    """What the test rows lack, in words."""
    asked = [gate.group_column] + ([gate.by] if gate.by not in UNITS_OF_TIME else [])
    for column in asked:
        if column is not None and column not in rows.columns:
            return f"the test rows have no column {column}"
    return gate.find_obstacle(rows)


def _unseen(gate: PredictionGate, rows: TestRows) -> TestRows:
    if CANDIDATE not in rows.fit_end:
        raise ValueError("the test rows do not say when the candidate's training ended (fit_end)")
    compared = {CANDIDATE, gate.opponent} & set(rows.fit_end)
    return rows.since(max(rows.fit_end[name] for name in compared if name is not None))


def _by_value(gate: PredictionGate, column: str, rows: TestRows) -> list[GateCase | GateResult]:
    import numpy as np

    groups = groups_of_column(rows.columns[column])
    counts = groups.rows()
    large = [number for number, count in enumerate(counts) if count >= gate.min_rows]
    compared = gate.compares_groups
    if len(large) < (2 if compared else 1):
        found = f"only {len(large)}" if large else "no"
        plural = "s" if len(large) != 1 and compared else ""
        which = f"{found} value{plural} of {column} {'have' if plural else 'has'} {gate.min_rows} rows"
        return [
            gate_result(gate, "insufficient", f"{which}{', and 2 are needed' if compared else ''}", rows=len(rows.y))
        ]
    planned: list[GateCase | GateResult] = []
    if compared:
        kept = np.isin(groups.number, large)
        names = tuple(groups.names[number] for number in large)
        planned.append(
            GateCase(gate, rows.where(kept), groups=Groups(np.searchsorted(large, groups.number[kept]), names))
        )
    else:
        for number in large:
            named = f"{column}={groups.names[number]}"
            planned.append(GateCase(gate, rows.where(groups.number == number), slice=named))
    small = [f"{groups.names[number]} ({count})" for number, count in enumerate(counts) if number not in large]
    if small:
        reason = f"fewer than {gate.min_rows} rows: {', '.join(small[:_SHOWN])}{' …' if len(small) > _SHOWN else ''}"
        planned.append(gate_result(gate, "skipped", reason, slice_=f"{len(small)} other values of {column}"))
    return planned
