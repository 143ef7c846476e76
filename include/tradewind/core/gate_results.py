"""What gates found, and the decision over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tradewind.spec.gates import SERVING_MEASURES

if TYPE_CHECKING:
    from tradewind.core.bootstrap import Interval
    from tradewind.spec.gate_kind import PredictionGate

Outcome = Literal["pass", "fail", "not_shown", "insufficient", "skipped"]
"""`not_shown`: the value keeps to its bound and the end of its interval does not, so the rows are too few to be sure.
It does not pass, and it is not worse."""
NOT_PASSED = ("fail", "not_shown", "insufficient")
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a check of the candidate's serving found; see ``ServingGate``.

    :param value: in the unit of the check; None if it could not be measured, which is no pass
    :param rows: rows that were predicted for it
    :param reason: how it was measured, or why it could not be, in words
    :param passed: for checks without a bound; None where the bound decides
    """

    value: float | None
    rows: int
    reason: str
    passed: bool | None = None


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one gate says, about all rows or one slice of them.

    :param gate: the gate in words
    :param metric: metric, fairness measure or check
    :param value: what was measured, or candidate minus other with the sign in which more is better; None if nothing was
    :param low: lower end of the interval, None if there is none
    :param high: upper end, likewise
    :param bound: what the value, or the end of the interval, has to reach or must not exceed; None for no bound
    :param relation: which bound: ``at_least``, ``at_most``, ``lower_bound``, ``upper_bound`` or ``gap_at_most``
    :param rows: how many rows were judged
    :param blocks: in how many blocks they lie; 0 where nothing was resampled
    :param versus: what it was compared with; None without a comparison
    :param confidence: of the interval, after the correction; None if there is none
    :param slice: ``column=value``, None for all rows
    :param detectable: the true value nearest to the bound that such rows show in 8 of 10 cases; None where no end of an
        interval decides
    :param needed: blocks that would show this value in 8 of 10 cases, where it is not shown; else None
    """

    gate: str
    metric: str
    outcome: Outcome
    value: float | None
    low: float | None
    high: float | None
    bound: float | None
    rows: int
    blocks: int
    reason: str
    slice: str | None = None
    relation: str = "at_least"
    versus: str | None = None
    confidence: float | None = None
    detectable: float | None = None
    needed: int | None = None


def gate_result(
    gate: PredictionGate, outcome: Outcome, reason: str, *,
    rows: int = 0, interval: Interval | None = None, confidence: float | None = None, slice_: str | None = None,
) -> GateResult:  # fmt: skip
    """The result of a gate that judges predictions; ``confidence`` counts only where there is an interval."""
    relation, bound = gate.bound
    value, low, high = (interval.value, interval.low, interval.high) if interval else (math.nan,) * 3
    return GateResult(
        gate=gate.describe(),
        metric=gate.measured,
        outcome=outcome,
        value=finite_or_none(value),
        low=finite_or_none(low),
        high=finite_or_none(high),
        bound=bound,
        rows=rows,
        blocks=interval.blocks if interval else 0,
        reason=reason,
        slice=slice_,
        relation=relation,
        versus=gate.opponent,
        confidence=None if finite_or_none(low) is None else confidence,
    )


def finite_or_none(value: float) -> float | None:
    """The value, or None for what JSON cannot say."""
    return value if math.isfinite(value) else None


def decide_verdict(results: Sequence[GateResult]) -> tuple[Literal["passed", "rejected"], str]:
    """The decision over all results: every gate that is not skipped must pass, and one of them
    must have judged what the candidate predicts."""
    if not results:
        return "rejected", "there are no gates, so nothing speaks for the candidate"
    failed = [result for result in results if result.outcome in NOT_PASSED]
    skipped = [result for result in results if result.outcome == "skipped"]
    judged = len(results) - len(skipped)
    if failed:
        named = "; ".join(f"{_name(result)}: {result.reason}" for result in failed[:_NAMED])
        more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        unsure = all(result.outcome == "not_shown" for result in failed)
        how = "did not pass, not shown rather than worse" if unsure else "did not pass"
        return "rejected", f"{len(failed)} of {judged} gate results {how}: {named}{more}"
    if judged and not any(result.outcome == "pass" and result.metric not in SERVING_MEASURES for result in results):
        why = "only checks of serving passed: no metric and no fairness was judged, so nothing speaks for the candidate"
        return "rejected", f"{why}{f' ({skipped[0].reason})' if skipped else ''}"
    if not judged:
        why = "every gate was skipped, so nothing speaks for the candidate; give at least one absolute gate"
        return "rejected", f"{why} ({skipped[0].reason})"
    note = f"; skipped: {'; '.join(_skipped(skipped))}" if skipped else ""
    return "passed", f"{judged} of {judged} gate results pass{note}"


def _name(result: GateResult) -> str:
    return f"{result.gate} [{result.slice}]" if result.slice else result.gate


def _skipped(skipped: Sequence[GateResult]) -> list[str]:
    """Reasons, each once, with how many results it speaks for."""
    reasons = [f"{result.slice}, {result.reason}" if result.slice else result.reason for result in skipped]
    counted = {reason: reasons.count(reason) for reason in reasons}
    return [f"{count} × {reason}" if count > 1 else reason for reason, count in counted.items()]
