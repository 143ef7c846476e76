"""Whatever gates and rows are given, nothing passes that does not meet its bound, and nothing that is not known."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core import gates
from tradewind.core.gate_results import decide_verdict
from tradewind.metrics.judged_rows import TestRows
from tradewind.metrics.metric_list import task_metrics
from tradewind.spec.fairness_gate import FairnessGate
from tradewind.spec.gate_kind import BOUNDS, Gate
from tradewind.spec.gates import VerdictSpec
from tradewind.spec.metric_gate import MetricGate

START = datetime(2013, 3, 1, tzinfo=UTC)


def any_rows(rng: np.random.Generator) -> TestRows:
    """Rows of any task; few or none, of one class, tied, with missing predictions, times, values and conditions."""
    n, task = int(rng.choice([0, 1, 5, 60, 300])), str(rng.choice(["binary", "multiclass", "regression"]))
    y = {
        "binary": rng.integers(0, rng.choice([1, 2, 2]), n),
        "multiclass": rng.integers(-1, 3, n),
        "regression": rng.normal(size=n).round(1) * rng.choice([0, 1, 1e6]),
    }[task]
    names = ["candidate", *(name for name in ("champion", "majority", "rule") if rng.random() < 0.7)]
    scores = {name: rng.random(n).round(1) if task != "multiclass" else rng.dirichlet(np.ones(3), n) for name in names}
    timestamp = np.datetime64("2013-02-25", "us") + rng.integers(0, 20 * 86400, n).astype("m8[s]")
    if n and rng.random() < 0.3:
        scores[str(rng.choice(names))][0] = rng.choice([np.nan, np.inf])
        timestamp[-1] = np.datetime64("NaT")
    mixed = np.array(["a", "b", None, "NULL", 1, np.nan], dtype=object)
    columns = {"text": rng.choice(mixed, n), "number": np.where(rng.random(n) < 0.3, np.nan, rng.integers(0, 3, n))}
    masks = {"holds": rng.random(n) < 0.6, "unclear": rng.choice(np.array([True, False, None], dtype=object), n)}
    ends = {name: START + timedelta(days=int(rng.integers(-6, 6))) for name in ("candidate", "champion")}
    return TestRows(task, y, scores, timestamp, "America/New_York", columns, masks, ends)  # type: ignore[arg-type]


def any_gate(rng: np.random.Generator, task: str) -> Gate:
    how: dict[str, Any] = {
        "by": str(rng.choice(["hour", "day", "week", "month", "text", "number", "nowhere"])),
        "min_rows": int(rng.choice([1, 20])),
        "min_blocks": int(rng.choice([2, 5])),
        "confidence": float(rng.choice([0.6, 0.9, 0.95])),
    }
    if rng.random() < 0.25:
        if rng.random() < 0.5:
            return FairnessGate(fairness="disparate_impact_ratio", group="text", at_least=rng.random(), **how)
        return FairnessGate(fairness="equal_opportunity_difference", group="number", at_most=rng.random(), **how)
    bound = str(rng.choice(BOUNDS))
    how[bound] = float(rng.random() if bound == "gap_at_most" else 0.5 * rng.normal())
    how["slice"] = str(rng.choice(["text", "number"])) if bound == "gap_at_most" or rng.random() < 0.4 else None
    if bound != "gap_at_most" and rng.random() < 0.5:
        how["versus"] = str(rng.choice(["champion", "majority", "rule"]))
    how["where"] = str(rng.choice(["holds", "unclear", "nobody knows"])) if rng.random() < 0.3 else None
    return MetricGate(metric=str(rng.choice(task_metrics(task))), **how)  # type: ignore[arg-type]


@settings(max_examples=150)
@given(st.integers(0, 10**9))
def test_nothing_passes_that_does_not_meet_its_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = any_rows(rng)
    asked = [any_gate(rng, rows.task) for _ in range(3)]
    verdict = VerdictSpec(resamples=200, correction=rng.choice(["none", "bonferroni"]).item())
    results = gates.judge_gates(asked, rows, measurements={}, verdict=verdict, seed=seed)
    assert len(results) >= len(asked)
    json.dumps([asdict(result) for result in results], allow_nan=False)
    for result in results:
        assert result.reason
        if result.outcome not in ("pass", "fail"):
            continue
        ends = {"lower_bound": result.low, "upper_bound": result.high}
        judged, bound = ends.get(result.relation, result.value), result.bound
        assert judged is not None and bound is not None  # noqa: PT018 - one condition
        least = result.relation in ("at_least", "lower_bound")
        met = judged >= bound - 1e-12 if least else judged <= bound + 1e-12
        assert met == (result.outcome == "pass")
    outcomes = {result.outcome for result in results}
    assert (decide_verdict(results)[0] == "passed") == ("pass" in outcomes and not outcomes & {"fail", "insufficient"})
