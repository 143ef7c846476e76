"""What the statistics cost, beside the straightforward way; nothing is asserted about time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tradewind.core import bootstrap, drift, profiles
from tradewind.core.drift_psi import PSI
from tradewind.metrics.metric_list import METRICS
from tradewind.monitoring.profile_rows import profile_column
from tradewind.spec.policy import Drift


def seconds(work: Callable[[], object]) -> float:
    """Median of three runs."""
    taken = []
    for _ in range(3):
        begun = perf_counter()
        work()
        taken.append(perf_counter() - begun)
    return sorted(taken)[1]


def say(what: str, ours: float, peer: float, name: str) -> None:
    print(f"\n{what}: {ours:.3f} s; {name} {peer:.3f} s; ratio {peer / ours:.1f}")


def test_profiles_beside_sorting_for_quantiles() -> None:
    rng = np.random.default_rng(0)
    columns = [pa.chunked_array([pa.array(rng.normal(size=250_000))]) for _ in range(20)]
    ours = seconds(lambda: [profile_column(column) for column in columns])
    peer = seconds(
        lambda: [np.histogram(c.to_numpy(), np.quantile(c.to_numpy(), np.linspace(0, 1, 11))) for c in columns]
    )
    say("profile of 250,000 rows × 20 columns", ours, peer, "deciles by sorting (cannot be merged)")


def test_block_bootstrap_of_a_verdict_beside_scoring_every_resample() -> None:
    ours, peer = (measured(which) for which in ("ours", "naive"))
    print("\nverdict of an AUC beside a champion's, 200,000 rows, 60 days, 10 slices, 2,000 resamples:")
    for name, one in (("Tradewind", ours), ("SciPy and scikit-learn, 20 resamples × 100", peer)):
        spent = f"{one['seconds']:.2f} s ({one['cpu']:.1f} s of CPU)"
        print(f"  {name}: {spent}, peak {one['peak_mb']:.0f} MB, {one['added_mb']:.0f} of it added")
    print(f"  ratio {peer['seconds'] / ours['seconds']:.0f}; of CPU {peer['cpu'] / ours['cpu']:.0f}")
    assert ours["values"] == pytest.approx(peer["values"])


def measured(which: str) -> dict[str, Any]:
    """One side, in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("block_bootstrap.py")), which]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("metric", "by"), [("roc_auc", "hour"), ("roc_auc", "customer"), ("average_precision", "day")])
def test_resamples_that_weigh_the_rows(metric: str, by: str) -> None:
    rng = np.random.default_rng(0)
    count = {"day": 60, "hour": 1440, "customer": 50_000}[by]
    block = rng.integers(0, count, 200_000)
    y = (rng.random(len(block)) < 0.23).astype(int)
    a, b = (0.3 * y + rng.random(len(block)) for _ in range(2))
    begun, cpu = perf_counter(), process_time()
    bootstrap.difference_interval(y, a, b, block, metric=METRICS[metric], confidence=0.9, seed=1)
    taken = f"{perf_counter() - begun:.1f} s ({process_time() - cpu:.1f} s of CPU)"
    print(f"\ngain of {metric}, 200,000 rows, {count:,} blocks by {by}, 2,000 resamples: {taken}")


@pytest.mark.parametrize("features", [13, 100])
def test_drift_of_many_features(features: int) -> None:
    rng = np.random.default_rng(0)
    made = [[profiles.profile_numbers(rng.normal(size=6000)) for _ in range(7)] for _ in range(features)]
    baselines = {f"x{n}": parts[:6] for n, parts in enumerate(made)}
    current = {f"x{n}": parts[6] for n, parts in enumerate(made)}
    taken = seconds(lambda: drift.judge_drift(baselines, current, tests=(PSI,), policy=Drift()))
    print(f"\ndrift of {features} features against 6 partitions: {taken:.3f} s, without reading a row")
