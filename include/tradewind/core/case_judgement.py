"""What the rows of a gate say: the value, its interval, whether that is enough, and all of it in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tradewind.core import bootstrap, fairness, metrics
from tradewind.core.gate_results import (
    GateResult,
    Measurement,
    Outcome,
    describe_demand,
    describe_gate,
    finite_or_none,
    gate_bound,
    gate_result,
)
from tradewind.core.judged_rows import CANDIDATE, groups_of_column, local_blocks
from tradewind.core.power import GateResolution
from tradewind.spec.gates import UNITS_OF_TIME, CheckGate, FairnessGate, MetricGate
from tradewind.spec.metrics import MEASURES

if TYPE_CHECKING:
    from tradewind.core.arrays import Floats
    from tradewind.core.bootstrap import Interval, Statistic
    from tradewind.core.gate_cases import GateCase
    from tradewind.core.judged_rows import TestRows

_ROUNDING = 1e-12  # 0.61 - 0.60 is a little more than 0.01


def judge_check(gate: CheckGate, measured: Measurement | None) -> GateResult:
    """Judge a check by what was measured for it; what was not measured does not pass."""
    outcome, reason = _checked(gate, measured)
    value = measured.value if measured is not None and measured.value is not None else math.nan
    return GateResult(
        describe_gate(gate), gate.check, outcome, finite_or_none(value), None, None, gate.at_most,
        rows=measured.rows if measured else 0, blocks=0, reason=reason, relation="at_most",
    )  # fmt: skip


def _checked(gate: CheckGate, measured: Measurement | None) -> tuple[Outcome, str]:
    if measured is None:
        return "insufficient", f"{gate.check} was not measured"
    if measured.passed is False:
        return "fail", measured.reason
    if gate.at_most is None:
        return ("pass", measured.reason) if measured.passed else ("insufficient", measured.reason)
    if measured.value is None or math.isnan(measured.value):
        return "insufficient", measured.reason
    passed = measured.value <= gate.at_most
    found = f"{measured.value:.4g} {'keeps to' if passed else 'exceeds'} {gate.at_most:g}"
    return "pass" if passed else "fail", f"{found}: {measured.reason}"


@dataclass(frozen=True, slots=True)
class _Measured:
    """A value, how resamples compute it, and what is to be said of it.

    :param value: NaN if there is none
    :param statistic: see ``bootstrap.interval``
    :param words: what was found; why nothing was, if there is no value
    """

    value: float
    statistic: Callable[[], Statistic]
    words: str


def judge_case(case: GateCase, *, share: int, resamples: int, seed: int) -> GateResult:
    """Judge one case.

    :param share: among how many results the chance of a wrong interval is divided
    """
    gate, rows = case.gate, case.rows
    confidence = 1 - (1 - gate.confidence) / share
    block = groups_of_column(rows.columns[gate.by] if gate.by not in UNITS_OF_TIME else local_blocks(
        rows.timestamp, rows.timezone, by=gate.by  # type: ignore[arg-type]  # one of the four
    ))  # fmt: skip
    measured = _measure(case, block.number, len(block.names))
    interval = bootstrap.block_interval(
        measured.value, measured.statistic, blocks=len(block.names), rows=len(rows.y),
        confidence=confidence, seed=seed, resamples=resamples, min_blocks=gate.min_blocks,
    )  # fmt: skip
    shown = _resolution(gate, interval, confidence)
    outcome, reason = _outcome(gate, interval, measured.words, confidence=confidence, shown=shown)
    judged = gate_result(
        gate, outcome, reason, interval=interval, rows=len(rows.y), slice_=case.slice, confidence=confidence
    )  # fmt: skip
    return replace(judged, detectable=_detectable(gate, shown), needed=_needed(gate, interval, shown, outcome))


def _outcome(
    gate: MetricGate | FairnessGate, interval: Interval, words: str, *, confidence: float, shown: GateResolution | None
) -> tuple[Outcome, str]:
    relation, bound = gate_bound(gate)
    if not math.isfinite(interval.value):
        return "insufficient", words
    end = {"lower_bound": interval.low, "upper_bound": interval.high}.get(relation)
    if end is not None and not math.isfinite(end):
        return "insufficient", f"{words}, but no honest interval by {gate.by}: {interval.missing}"
    judged = interval.value if end is None else end
    passed = _keeps(relation, judged, bound)
    if math.isfinite(interval.low):
        gain = _is_gain(gate)
        ends = f"{interval.low:+.4f} to {interval.high:+.4f}" if gain else f"{interval.low:.4f} to {interval.high:.4f}"
        of = " of the gain" if gain else ""
        words = f"{words} ({confidence * 100:.4g} % interval{of} {ends}, {interval.blocks} blocks by {gate.by})"
    if end is not None and not passed and _keeps(relation, interval.value, bound):
        return "not_shown", f"{words}; not shown to be {describe_demand(gate)}{_would_take(gate, interval, shown)}"
    return "pass" if passed else "fail", f"{words}; {_met(gate, judged, passed=passed)}"


def _met(gate: MetricGate | FairnessGate, judged: float, *, passed: bool) -> str:
    """How what was judged lies to its bound, in words."""
    relation, bound = gate_bound(gate)
    least = relation in ("at_least", "lower_bound")
    which = {"lower_bound": "its lower end ", "upper_bound": "its upper end "}.get(relation, "this ")
    met = ("reaches" if passed else "misses") if least else ("keeps to" if passed else "exceeds")
    suspicious = _is_gain(gate) and not least and not passed and bound > 0
    hint = "; so much is suspicious: look for a leak of the label" if suspicious else ""
    # Else it would say that 0.6000 misses 0.6.
    close = f" by {abs(judged - bound):.2g}" if not passed and f"{judged:.4f}" == f"{bound:.4f}" else ""
    return f"{which}{met} {bound:g}{close}{hint}"


def _keeps(relation: str, value: float, bound: float) -> bool:
    if relation in ("at_least", "lower_bound"):
        return value >= bound - _ROUNDING
    return value <= bound + _ROUNDING


def _is_gain(gate: MetricGate | FairnessGate) -> bool:
    return isinstance(gate, MetricGate) and gate.versus is not None


def _resolution(gate: MetricGate | FairnessGate, interval: Interval, confidence: float) -> GateResolution | None:
    """What the blocks can show; None where no end of an interval decides, or there is none."""
    if gate_bound(gate)[0] not in ("lower_bound", "upper_bound") or not math.isfinite(interval.low):
        return None
    return GateResolution.of_interval(interval.low, interval.high, blocks=interval.blocks, confidence=confidence)


def _detectable(gate: MetricGate | FairnessGate, shown: GateResolution | None) -> float | None:
    """The true value nearest to the bound that passes as often as :data:`power.POWER` says."""
    if shown is None:
        return None
    relation, bound = gate_bound(gate)
    return bound + shown.margin() if relation == "lower_bound" else bound - shown.margin()


def _needed(
    gate: MetricGate | FairnessGate, interval: Interval, shown: GateResolution | None, outcome: Outcome
) -> int | None:
    """Blocks that would show this value; None where it is shown, or does not keep to its bound."""
    if shown is None or outcome != "not_shown":
        return None
    return shown.blocks_for(abs(interval.value - gate_bound(gate)[1]))


def _would_take(gate: MetricGate | FairnessGate, interval: Interval, shown: GateResolution | None) -> str:
    least = _detectable(gate, shown)
    if least is None:
        return ""
    what, sign = ("a gain", "+") if _is_gain(gate) else ("a value", "")
    more = "more" if gate_bound(gate)[0] == "lower_bound" else "less"
    said = f": {interval.blocks} such blocks show {what} of {least:{sign}.3g} or {more} in 8 of 10 cases"
    needed = _needed(gate, interval, shown, "not_shown")
    return f"{said}; this one would take about {needed:,}" if needed is not None else said


def _measure(case: GateCase, block: Floats, blocks: int) -> _Measured:
    if isinstance(case.gate, FairnessGate):
        return _fairness(case, case.gate, block, blocks)
    if case.gate.gap_at_most is not None:
        return _gap(case, case.gate, block, blocks)
    return _metric(case, case.gate, block, blocks)


def _metric(case: GateCase, gate: MetricGate, block: Floats, blocks: int) -> _Measured:
    rows, metric = case.rows, gate.metric
    names = [CANDIDATE] if gate.versus is None else [CANDIDATE, gate.versus]
    values = [metrics.compute_metric(metric, rows.y, rows.scores[name]) for name in names]
    if not all(math.isfinite(value) for value in values):
        return _Measured(math.nan, _nothing, _impossible(metric, rows, names))

    def of(name: str) -> Statistic:
        return bootstrap.metric_statistic(metric, rows.y, rows.scores[name], block=block, blocks=blocks)

    if gate.versus is None:
        return _Measured(values[0], lambda: of(CANDIDATE), f"{metric} {values[0]:.4f} on {len(rows.y)} rows")
    sign = 1.0 if MEASURES[metric].higher_is_better else -1.0
    better = sign * (values[0] - values[1])
    found = f"{metric} {values[0]:.4f}, {gate.versus} {values[1]:.4f}"
    words = f"{found}: {'better' if better >= 0 else 'worse'} by {abs(better):.4f} on {len(rows.y)} rows"
    return _Measured(
        better, lambda: bootstrap.difference_statistic(of(CANDIDATE), of(gate.versus or ""), sign=sign), words
    )


def _gap(case: GateCase, gate: MetricGate, block: Floats, blocks: int) -> _Measured:
    import numpy as np

    assert case.groups is not None
    groups, rows = case.groups, case.rows
    parts = [groups.number == number for number in range(len(groups.names))]
    values = [metrics.compute_metric(gate.metric, rows.y[part], rows.scores[CANDIDATE][part]) for part in parts]
    for name, part, value in zip(groups.names, parts, values, strict=True):
        if not math.isfinite(value):
            why = _impossible(gate.metric, rows.where(part), [CANDIDATE])
            return _Measured(math.nan, _nothing, f"{gate.slice}={name}: {why}")

    def statistic() -> Statistic:
        y, score = rows.y, rows.scores[CANDIDATE]
        of = [
            bootstrap.metric_statistic(gate.metric, y[part], score[part], block=block[part], blocks=blocks)
            for part in parts
        ]
        return lambda draws: np.ptp(np.stack([one(draws) for one in of]), axis=0)

    words = f"{gate.metric} {_extremes(groups.names, values)}"
    return _Measured(max(values) - min(values), statistic, words)


def _fairness(case: GateCase, gate: FairnessGate, block: Floats, blocks: int) -> _Measured:
    import numpy as np

    assert case.groups is not None
    groups, rows, score = case.groups, case.rows, case.rows.scores[CANDIDATE]
    if without := int((~metrics.usable_rows("brier", score)).sum()):
        return _Measured(math.nan, _nothing, _unpredicted(CANDIDATE, without, len(rows.y)))

    def table(block: Floats, blocks: int) -> Floats:
        return fairness.fairness_sums_by_block(
            rows.y, score, groups.number,
            threshold=gate.threshold, groups=len(groups.names), block=block, blocks=blocks,
        )  # fmt: skip

    whole = table(np.zeros_like(block), 1)[0]
    rates = fairness.group_rates(gate.fairness, whole).tolist()
    rate = "true positive rate" if gate.fairness == "equal_opportunity_difference" else "selection rate"
    value = float(fairness.fairness_from_sums(gate.fairness, whole))
    if missing := [name for name, one in zip(groups.names, rates, strict=True) if math.isnan(one)]:
        return _Measured(value, _nothing, f"no positive label where {gate.group} is {', '.join(missing)}")
    if not whole[1].any():  # no difference either: that would be fair by saying no to everybody
        return _Measured(math.nan, _nothing, f"nobody's probability is above {gate.threshold:g}: nothing is compared")
    words = f"{gate.fairness} {value:.4f}: {rate} {_extremes(groups.names, rates)} on {len(rows.y)} rows"
    return _Measured(
        value,
        lambda: bootstrap.table_statistic(
            table(block, blocks), lambda sums: fairness.fairness_from_sums(gate.fairness, sums)
        ),
        words,
    )


def _extremes(names: Sequence[str], values: Sequence[float]) -> str:
    low, high = values.index(min(values)), values.index(max(values))
    return f"from {values[low]:.4f} ({names[low]}) to {values[high]:.4f} ({names[high]})"


def _impossible(metric: str, rows: TestRows, names: Sequence[str]) -> str:
    """Why a metric has no value on these rows, in words."""
    import numpy as np

    for name in names:
        if without := int((~metrics.usable_rows(metric, rows.scores[name])).sum()):
            return _unpredicted(name, without, len(rows.y))
    if len(np.unique(rows.y)) == 1:
        return f"{metric} has no value: all {len(rows.y)} rows have the label {rows.y[0]:g}"
    return f"{metric} has no value on these {len(rows.y)} rows"


def _unpredicted(name: str, without: int, rows: int) -> str:
    return f"{name} has no usable prediction for {without} of {rows} rows"


def _nothing() -> Statistic:
    raise AssertionError("what has no value is not resampled")
