"""The intervals of one verdict in a process of its own: ``ours`` or ``naive``; prints what they took as JSON.

200,000 test rows of 60 days in ten slices; in each the AUC of a candidate beside a champion's, by day.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tradewind.metrics.judged_rows import TestRows

ROWS, DAYS, SLICES, RESAMPLES = 200_000, 60, 10, 2000
NAIVE_RESAMPLES = 20
START = datetime(2013, 1, 1, tzinfo=UTC)


def made() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    day = np.sort(rng.integers(0, DAYS, ROWS))
    y = (rng.random(ROWS) < 0.23).astype(np.int64)
    skill = rng.normal(1.0, 0.2, DAYS)[day]
    scores = {name: 1 / (1 + np.exp(2 - skill * y - rng.normal(size=ROWS))) for name in ("candidate", "champion")}
    return {"day": day, "y": y, "slice": rng.integers(0, SLICES, ROWS), **scores}


def ours(data: dict[str, np.ndarray]) -> list[float]:
    from tradewind.core import gates
    from tradewind.spec.gates import VerdictSpec
    from tradewind.spec.metric_gate import MetricGate

    gate = MetricGate(metric="roc_auc", versus="champion", lower_bound=-0.01, slice="origin")
    timestamp = np.datetime64("2013-01-01T12", "us") + data["day"].astype("m8[D]")
    scores = {name: data[name] for name in ("candidate", "champion")}
    columns = {"origin": np.array([f"A{n}" for n in range(SLICES)], dtype=object)[data["slice"]]}
    rows = TestRows("binary", data["y"], scores, timestamp, "UTC", columns, fit_end=dict.fromkeys(scores, START))
    results = gates.judge_gates([gate], rows, measurements={}, verdict=VerdictSpec(resamples=RESAMPLES), seed=1)
    assert all(result.low is not None and result.blocks == DAYS for result in results)
    return [result.value or 0.0 for result in results]


def naive(data: dict[str, np.ndarray]) -> list[float]:
    """SciPy draws the days, scikit-learn scores the rows of each draw."""
    from scipy.stats import bootstrap
    from sklearn.metrics import roc_auc_score

    values = []
    for number in range(SLICES):
        part = {name: column[data["slice"] == number] for name, column in data.items()}
        rows = [np.flatnonzero(part["day"] == day) for day in range(DAYS)]

        def gain(days: Any, part: Any = part, rows: Any = rows) -> float:
            taken = np.concatenate([rows[int(day)] for day in days])
            y = part["y"][taken]
            return float(roc_auc_score(y, part["candidate"][taken]) - roc_auc_score(y, part["champion"][taken]))

        days = (np.arange(DAYS),)
        bootstrap(days, gain, n_resamples=NAIVE_RESAMPLES, vectorized=False, method="percentile", rng=1)
        values.append(gain(np.arange(DAYS)))
    return values


def main(which: str) -> None:
    for module in ("scipy.stats", "sklearn.metrics", "tradewind.core.gates"):
        importlib.import_module(module)  # imports are not what is measured
    data = made()
    before, begun, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter(), time.process_time()
    values = {"ours": ours, "naive": naive}[which](data)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scale = RESAMPLES / NAIVE_RESAMPLES if which == "naive" else 1
    measured = {
        "seconds": seconds * scale,
        "cpu": cpu * scale,
        "peak_mb": peak / 1024,
        "added_mb": (peak - before) / 1024,
    }
    print(json.dumps({**measured, "values": values}))


if __name__ == "__main__":
    main(sys.argv[1])
