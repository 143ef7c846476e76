"""Gates: may a candidate serve? Test rows in, one result a gate out.

What a gate measures is said by its kind, in `spec`; here its value gets an interval and is held against the bound.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tradewind.core import bootstrap, gate_cases
from tradewind.core.gate_results import GateResult, Measurement, Outcome, finite_or_none, gate_result
from tradewind.core.power import GateResolution
from tradewind.errors import MetricError
from tradewind.metrics.judged_rows import TestRows, groups_of_column, local_blocks
from tradewind.spec.gate_kind import UNITS_OF_TIME, PredictionGate, ServingGate

if TYPE_CHECKING:
    from tradewind.core.bootstrap import Interval
    from tradewind.core.gate_cases import GateCase
    from tradewind.spec.gate_kind import Gate
    from tradewind.spec.gates import VerdictSpec

log = logging.getLogger(__name__)

_ROUNDING = 1e-12  # 0.61 - 0.60 is a little more than 0.01


def judge_gates(
    gates: Sequence[Gate],
    rows: TestRows,
    *,
    measurements: Mapping[int, Measurement],
    verdict: VerdictSpec,
    seed: int,
) -> tuple[GateResult, ...]:
    """Judge a candidate by every gate.

    Only rows at or after the end of training count: the candidate's, and for a comparison also the other's, because a
    model shines on rows that it has seen.

    With ``verdict.correction: bonferroni`` every interval has the confidence 1 - (1 - confidence) / m, where m counts
    the results that an end of an interval decides (``lower_bound``, ``upper_bound``): one for each such gate without
    slices, and one for each slice of such a gate that has enough rows. What is skipped, and what had too few rows to be
    judged at all, does not count.

    :param measurements: what was measured for each gate of serving, by its position in ``gates``
    :param verdict: the correction over gates and the number of resamples
    :param seed: of the resampling
    :return: one result a gate, for gates with a slice one for each value that has enough rows, and where values had
        not, one more, skipped, that names them
    :raises ValueError: the test rows do not say when the candidate's training ended, or are no labels and predictions
    """
    planned: list[gate_cases.GateCase | GateResult] = []
    for position, gate in enumerate(gates):
        if isinstance(gate, ServingGate):
            planned.append(judge_check(gate, measurements.get(position)))
        elif isinstance(gate, PredictionGate):
            planned.extend(gate_cases.prepare_case(gate, rows))
    decided = sum(isinstance(item, gate_cases.GateCase) and item.gate.needs_interval for item in planned)
    share = max(decided, 1) if verdict.correction == "bonferroni" else 1
    results = tuple(
        item if isinstance(item, GateResult) else judge_case(item, share=share, resamples=verdict.resamples, seed=seed)
        for item in planned
    )
    for result in results:
        named = f"{result.gate} [{result.slice}]" if result.slice else result.gate
        log.info("gate %s: %s, %s", named, result.outcome, result.reason)
    return results


def judge_check(gate: ServingGate, measured: Measurement | None) -> GateResult:
    """Judge a check by what was measured for it; what was not measured does not pass."""
    outcome, reason = _checked(gate, measured)
    value = measured.value if measured is not None and measured.value is not None else math.nan
    return GateResult(
        gate.describe(), gate.measured, outcome, finite_or_none(value), None, None, gate.largest,
        rows=measured.rows if measured else 0, blocks=0, reason=reason, relation="at_most",
    )  # fmt: skip


def _checked(gate: ServingGate, measured: Measurement | None) -> tuple[Outcome, str]:
    if measured is None:
        return "insufficient", f"{gate.measured} was not measured"
    if measured.passed is False:
        return "fail", measured.reason
    if gate.largest is None:
        return ("pass", measured.reason) if measured.passed else ("insufficient", measured.reason)
    if measured.value is None or math.isnan(measured.value):
        return "insufficient", measured.reason
    passed = measured.value <= gate.largest
    found = f"{measured.value:.4g} {'keeps to' if passed else 'exceeds'} {gate.largest:g}"
    return "pass" if passed else "fail", f"{found}: {measured.reason}"


def judge_case(case: GateCase, *, share: int, resamples: int, seed: int) -> GateResult:
    """Judge one case.

    :param share: among how many results the chance of a wrong interval is divided
    """
    gate, rows = case.gate, case.rows
    confidence = 1 - (1 - gate.confidence) / share
    block = groups_of_column(rows.columns[gate.by] if gate.by not in UNITS_OF_TIME else local_blocks(
        rows.timestamp, rows.timezone, by=gate.by  # type: ignore[arg-type]  # one of the four
    ))  # fmt: skip
    try:
        measured = gate.measure(rows, case.groups, block=block.number, blocks=len(block.names))
        interval = bootstrap.block_interval(
            measured.value, measured.statistic, blocks=len(block.names), rows=len(rows.y),
            confidence=confidence, seed=seed, resamples=resamples, min_blocks=gate.min_blocks,
        )  # fmt: skip
    except MetricError as exc:  # code of the project fails: nothing is known of the candidate
        return gate_result(gate, "insufficient", str(exc), rows=len(rows.y), slice_=case.slice)
    shown = _resolution(gate, interval, confidence)
    outcome, reason = _outcome(gate, interval, measured.words, confidence=confidence, shown=shown)
    judged = gate_result(
        gate, outcome, reason, interval=interval, rows=len(rows.y), slice_=case.slice, confidence=confidence
    )  # fmt: skip
    return replace(judged, detectable=_detectable(gate, shown), needed=_needed(gate, interval, shown, outcome))


def _outcome(
    gate: PredictionGate, interval: Interval, words: str, *, confidence: float, shown: GateResolution | None
) -> tuple[Outcome, str]:
    relation, bound = gate.bound
    if not math.isfinite(interval.value):
        return "insufficient", words
    end = {"lower_bound": interval.low, "upper_bound": interval.high}.get(relation)
    if end is not None and not math.isfinite(end):
        return "insufficient", f"{words}, but no honest interval by {gate.by}: {interval.missing}"
    judged = interval.value if end is None else end
    passed = _keeps(relation, judged, bound)
    if math.isfinite(interval.low):
        gain = gate.opponent is not None
        ends = f"{interval.low:+.4f} to {interval.high:+.4f}" if gain else f"{interval.low:.4f} to {interval.high:.4f}"
        of = " of the gain" if gain else ""
        words = f"{words} ({confidence * 100:.4g} % interval{of} {ends}, {interval.blocks} blocks by {gate.by})"
    if end is not None and not passed and _keeps(relation, interval.value, bound):
        return "not_shown", f"{words}; not shown to be {gate.describe_demand()}{_would_take(gate, interval, shown)}"
    return "pass" if passed else "fail", f"{words}; {_met(gate, judged, passed=passed)}"


def _met(gate: PredictionGate, judged: float, *, passed: bool) -> str:
    """How what was judged lies to its bound, in words."""
    relation, bound = gate.bound
    least = relation in ("at_least", "lower_bound")
    which = {"lower_bound": "its lower end ", "upper_bound": "its upper end "}.get(relation, "this ")
    met = ("reaches" if passed else "misses") if least else ("keeps to" if passed else "exceeds")
    suspicious = gate.opponent is not None and not least and not passed and bound > 0
    hint = "; so much is suspicious: look for a leak of the label" if suspicious else ""
    # Else it would say that 0.6000 misses 0.6.
    close = f" by {abs(judged - bound):.2g}" if not passed and f"{judged:.4f}" == f"{bound:.4f}" else ""
    return f"{which}{met} {bound:g}{close}{hint}"


def _keeps(relation: str, value: float, bound: float) -> bool:
    if relation in ("at_least", "lower_bound"):
        return value >= bound - _ROUNDING
    return value <= bound + _ROUNDING


def _resolution(gate: PredictionGate, interval: Interval, confidence: float) -> GateResolution | None:
    """What the blocks can show; None where no end of an interval decides, or there is none."""
    if not gate.needs_interval or not math.isfinite(interval.low):
        return None
    return GateResolution.of_interval(interval.low, interval.high, blocks=interval.blocks, confidence=confidence)


def _detectable(gate: PredictionGate, shown: GateResolution | None) -> float | None:
    """The true value nearest to the bound that passes as often as :data:`power.POWER` says."""
    if shown is None:
        return None
    relation, bound = gate.bound
    return bound + shown.margin() if relation == "lower_bound" else bound - shown.margin()


def _needed(gate: PredictionGate, interval: Interval, shown: GateResolution | None, outcome: Outcome) -> int | None:
    """Blocks that would show this value; None where it is shown, or does not keep to its bound."""
    if shown is None or outcome != "not_shown":
        return None
    return shown.blocks_for(abs(interval.value - gate.bound[1]))


def _would_take(gate: PredictionGate, interval: Interval, shown: GateResolution | None) -> str:
    least = _detectable(gate, shown)
    if least is None:
        return ""
    what, sign = ("a gain", "+") if gate.opponent is not None else ("a value", "")
    more = "more" if gate.bound[0] == "lower_bound" else "less"
    said = f": {interval.blocks} such blocks show {what} of {least:{sign}.3g} or {more} in 8 of 10 cases"
    needed = _needed(gate, interval, shown, "not_shown")
    return f"{said}; this one would take about {needed:,}" if needed is not None else said
