"""Gates: may a candidate serve? Test rows in, one result a gate out, and the decision over all of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from tradewind.core import bootstrap
from tradewind.core.blocks import local_blocks
from tradewind.spec.gates import FairnessGate, MetricGate

if TYPE_CHECKING:
    from tradewind.core.bootstrap import Interval
    from tradewind.core.metrics import Floats
    from tradewind.spec.gates import Gate, Verdict
    from tradewind.spec.metrics import Task

log = logging.getLogger(__name__)
Outcome = Literal["pass", "fail", "insufficient", "skipped"]
CANDIDATE, CHAMPION, MAJORITY = "candidate", "champion", "majority"


@dataclass(frozen=True, slots=True)
class TestRows:
    """The rows that judge, with what the candidate and everybody it is compared with predict for them.

    :param task: ``binary``, ``multiclass`` or ``regression``
    :param y: labels, shape (rows,): 0 or 1; the number of the class, -1 for one that nobody knows; or the value itself
    :param scores: predictions by whose they are (``candidate``, ``champion``, ``majority``, a heuristic's name):
        probability of 1, shape (rows,); class probabilities, shape (rows, classes); or values, shape (rows,)
    :param timestamp: each row's time in UTC, ``datetime64[us]``, shape (rows,)
    :param timezone: IANA zone whose days and hours are the blocks
    :param columns: columns that gates slice, group or resample by, each of shape (rows,)
    :param masks: for each condition of a gate's `where`, which rows fulfil it; bool, shape (rows,)
    :param fit_end: end (aware) of the time slices that a model was fitted on, by whose it is; rows before count neither
        for it nor in a comparison with it. A rule that was not fitted has none
    """

    __test__ = False  # pytest would take the name for a test class

    task: Task
    y: Floats
    scores: Mapping[str, Floats]
    timestamp: Floats
    timezone: str
    columns: Mapping[str, Floats] = field(default_factory=dict)
    masks: Mapping[str, Floats] = field(default_factory=dict)
    fit_end: Mapping[str, datetime] = field(default_factory=dict)

    def where(self, mask: Floats) -> TestRows:
        """The rows for which ``mask`` is true."""
        return replace(
            self,
            y=self.y[mask],
            scores={name: values[mask] for name, values in self.scores.items()},
            timestamp=self.timestamp[mask],
            columns={name: values[mask] for name, values in self.columns.items()},
            masks={name: values[mask] for name, values in self.masks.items()},
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a check of the candidate's serving found; see ``CheckGate``.

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
    :param versus: whom it was compared with; None for nobody
    :param confidence: of the interval, after the correction; None if there is none
    :param slice: ``column=value``, None for all rows
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


def judge(
    gates: Sequence[Gate],
    rows: TestRows,
    *,
    measurements: Mapping[int, Measurement],
    verdict: Verdict,
    seed: int,
) -> tuple[GateResult, ...]:
    """Judge a candidate by every gate.

    Only rows at or after the end of training count: the candidate's for absolute gates, of both models for
    relative ones, because a model shines on rows that it has seen.

    :param measurements: what was measured for each gate that is a check, by its position in ``gates``
    :param verdict: the correction over gates and the number of resamples
    :param seed: of the resampling
    :return: one result a gate, and for gates with a slice one result for each value that has enough rows
    """
    unseen = rows.where(rows.timestamp >= _instant(rows.fit_end[CANDIDATE]))
    paired = unseen
    if CHAMPION in rows.scores:
        paired = unseen.where(unseen.timestamp >= _instant(rows.fit_end[CHAMPION]))
    results: list[GateResult] = []
    for gate in gates:
        if not isinstance(gate, MetricGate):
            continue
        results.extend(_judge_gate(gate, unseen if gate.versus is None else paired, rows, seed))
    for result in results:
        log.info(
            "gate %s%s: %s, %s",
            result.gate,
            f" [{result.slice}]" if result.slice else "",
            result.outcome,
            result.reason,
        )
    return tuple(results)


def decision(results: Sequence[GateResult]) -> tuple[Literal["passed", "rejected"], str]:
    """The decision over all results: every gate that is not skipped must pass, and one must have been judged."""
    failed = [r for r in results if r.outcome in ("fail", "insufficient")]
    if failed:
        return "rejected", "; ".join(f"{r.gate}{f' [{r.slice}]' if r.slice else ''}: {r.reason}" for r in failed)
    passed = sum(r.outcome == "pass" for r in results)
    if not results:
        return "rejected", "there are no gates, so nothing speaks for the candidate"
    if not passed:
        return (
            "rejected",
            "every gate was skipped, so nothing speaks for the candidate; give at least one absolute gate",
        )
    skipped = [r for r in results if r.outcome == "skipped"]
    note = f", {len(skipped)} skipped ({skipped[0].reason})" if skipped else ""
    return "passed", f"{passed} of {len(results)} gate results pass{note}"


def describe(gate: Gate) -> str:
    """The gate in words, for example ``roc_auc at least 0.6``."""
    if not isinstance(gate, MetricGate):
        return gate.fairness if isinstance(gate, FairnessGate) else gate.check
    where = f", for each {gate.slice}" if gate.slice else ""
    if gate.versus is not None:
        level = f"{gate.confidence * 100:g} % interval by {gate.by}"
        return f"{gate.metric} against the champion, lower bound at least {gate.lower_bound:g} ({level}){where}"
    if gate.at_least is not None:
        return f"{gate.metric} at least {gate.at_least:g}{where}"
    return f"{gate.metric} at most {gate.at_most:g}{where}"


def _judge_gate(gate: MetricGate, rows: TestRows, given: TestRows, seed: int) -> list[GateResult]:
    if gate.versus is not None and CHAMPION not in rows.scores:
        return [_result(gate, "skipped", "there is no champion to compare with")]
    if len(rows.y) < gate.min_rows:
        seen = len(given.y) - len(rows.y)
        why = f" after training ended ({seen} more were seen in training)" if seen else ""
        return [_result(gate, "insufficient", f"{len(rows.y)} rows{why}, fewer than {gate.min_rows}", rows=len(rows.y))]
    if gate.slice is None:
        return [_judge_rows(gate, rows, seed, None)]
    return _judge_slices(gate, gate.slice, rows, seed)


def _judge_slices(gate: MetricGate, column: str, rows: TestRows, seed: int) -> list[GateResult]:
    import numpy as np

    if column not in rows.columns:
        return [_result(gate, "insufficient", f"the test rows have no column {column}", rows=len(rows.y))]
    text = np.array([_text(value) for value in rows.columns[column].tolist()])
    values, counts = np.unique(text, return_counts=True)
    large = [str(value) for value, count in zip(values, counts, strict=True) if count >= gate.min_rows]
    if not large:
        return [_result(gate, "insufficient", f"no value of {column} has {gate.min_rows} rows", rows=len(rows.y))]
    results = [_judge_rows(gate, rows.where(text == value), seed, f"{column}={value}") for value in large]
    if small := [f"{value} ({count})" for value, count in zip(values, counts, strict=True) if count < gate.min_rows]:
        reason = f"fewer than {gate.min_rows} rows: {', '.join(small[:5])}{' …' if len(small) > 5 else ''}"
        results.append(_result(gate, "skipped", reason, slice_=f"{len(small)} other values of {column}"))
    return results


def _text(value: object) -> str:
    return "NULL" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _judge_rows(gate: MetricGate, rows: TestRows, seed: int, slice_: str | None) -> GateResult:
    blocks = local_blocks(rows.timestamp, rows.timezone, by=gate.by)  # type: ignore[arg-type]  # columns come with the next change
    if gate.versus is None or CHAMPION not in rows.scores:
        interval = bootstrap.level(
            rows.y, rows.scores[CANDIDATE], blocks, metric=gate.metric, confidence=gate.confidence, seed=seed
        )
        outcome, reason = _absolute(gate, interval)
    else:
        interval = bootstrap.difference(
            rows.y,
            rows.scores[CANDIDATE],
            rows.scores[CHAMPION],
            blocks,
            metric=gate.metric,
            confidence=gate.confidence,
            seed=seed,
        )
        outcome, reason = _relative(gate, interval)
    return _result(gate, outcome, reason, interval=interval, rows=interval.rows, slice_=slice_)


def _absolute(gate: MetricGate, interval: Interval) -> tuple[Outcome, str]:
    bound, value = _bound(gate), interval.value
    if not math.isfinite(value):
        return "insufficient", _impossible(gate, interval)
    passed = value >= bound if gate.at_least is not None else value <= bound
    relation = "reaches" if passed else "misses"
    return "pass" if passed else "fail", f"{gate.metric} {value:.4f} {relation} {bound:g} on {interval.rows} rows"


def _relative(gate: MetricGate, interval: Interval) -> tuple[Outcome, str]:
    bound, blocks = _bound(gate), f"{interval.blocks} blocks by {gate.by}"
    if not math.isfinite(interval.value):
        return "insufficient", _impossible(gate, interval)
    if not math.isfinite(interval.low):
        return "insufficient", f"no honest interval from {blocks}: {bootstrap.MIN_BLOCKS} with both classes are needed"
    passed = interval.low >= bound
    found = f"difference {interval.value:+.4f}, interval {interval.low:+.4f} to {interval.high:+.4f}, {blocks}"
    return "pass" if passed else "fail", f"{found}: lower bound {'reaches' if passed else 'misses'} {bound:+g}"


def _impossible(gate: MetricGate, interval: Interval) -> str:
    return f"{gate.metric} has no value on these {interval.rows} rows: one class only, or a prediction is missing"


def _result(
    gate: MetricGate,
    outcome: Outcome,
    reason: str,
    *,
    interval: Interval | None = None,
    rows: int = 0,
    slice_: str | None = None,
) -> GateResult:
    value, low, high = (interval.value, interval.low, interval.high) if interval else (math.nan,) * 3
    return GateResult(
        gate=describe(gate),
        metric=gate.metric,
        outcome=outcome,
        value=_finite(value),
        low=_finite(low),
        high=_finite(high),
        bound=_bound(gate),
        rows=rows,
        blocks=interval.blocks if interval else 0,
        reason=reason,
        slice=slice_,
    )


def _bound(gate: MetricGate) -> float:
    return next(bound for bound in (gate.lower_bound, gate.at_least, gate.at_most) if bound is not None)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _instant(moment: datetime) -> Floats:
    import numpy as np

    instant: Floats = np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")  # type: ignore[assignment]  # a scalar that compares like an array
    return instant
