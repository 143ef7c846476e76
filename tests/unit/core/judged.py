"""Rows that gates judge, and gates, made for a test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tradewind.core import gates
from tradewind.core.gate_results import GateResult, Measurement
from tradewind.metrics.judged_rows import TestRows
from tradewind.spec.fairness_gate import FairnessGate
from tradewind.spec.gates import VerdictSpec
from tradewind.spec.metric_gate import MetricGate

START = datetime(2013, 3, 18, 4, tzinfo=UTC)  # midnight in New York
N, DAYS = 2800, 14


def rows(*, task: str = "binary", seed: int = 0, **skills: float) -> TestRows:
    """Two weeks of rows; ``skills`` say how strongly whose predictions follow the label."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, N) if task != "multiclass" else rng.integers(-1, 3, N)
    noise, skills = rng.normal(size=N), {"candidate": 1.0, **skills}
    if task == "regression":
        scores = {name: skill * y + 0.8 * noise + 0.2 * rng.normal(size=N) for name, skill in skills.items()}
    elif task == "multiclass":
        logits = {name: skill * np.eye(4)[y][:, :3] + rng.normal(size=(N, 3)) for name, skill in skills.items()}
        scores = {name: np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for name, one in logits.items()}
    else:
        logits = {name: skill * (y - 0.5) + 0.8 * noise + 0.2 * rng.normal(size=N) for name, skill in skills.items()}
        scores = {name: 1 / (1 + np.exp(-one)) for name, one in logits.items()}
    timestamp = np.datetime64("2013-03-18T04", "us") + np.sort(rng.integers(0, DAYS * 86400, N)).astype("m8[s]")
    columns = {"origin": rng.choice(["EWR", "JFK", "LGA"], N).astype(object), "plane": rng.integers(0, 400, N)}
    ends = {name: START for name in scores if name in ("candidate", "champion")}
    return TestRows(task, y, scores, timestamp, "America/New_York", columns, fit_end=ends)  # type: ignore[arg-type]


def judge(
    *asked: Any, given: TestRows, measured: Mapping[int, Measurement] | None = None, **verdict: Any
) -> tuple[GateResult, ...]:
    return gates.judge_gates(asked, given, measurements=measured or {}, verdict=VerdictSpec(**verdict), seed=1)


def one(*asked: Any, given: TestRows, **more: Any) -> GateResult:
    (result,) = judge(*asked, given=given, **more)
    return result


def gate(**given: Any) -> MetricGate:
    return MetricGate(**{"metric": "roc_auc", **given})


def fair(**given: Any) -> FairnessGate:
    return FairnessGate(**{"fairness": "demographic_parity_difference", "group": "origin", "at_most": 0.1, **given})
