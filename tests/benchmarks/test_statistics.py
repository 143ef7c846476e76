"""What the statistics cost, beside the straightforward way; nothing is asserted about time."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from tradewind.core import bootstrap, drift, profiles
from tradewind.monitoring.profile import of_column
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
    ours = seconds(lambda: [of_column(column) for column in columns])
    peer = seconds(
        lambda: [np.histogram(c.to_numpy(), np.quantile(c.to_numpy(), np.linspace(0, 1, 11))) for c in columns]
    )
    say("profile of 250,000 rows × 20 columns", ours, peer, "deciles by sorting (cannot be merged)")


def test_block_bootstrap_of_an_auc_beside_scoring_every_resample() -> None:
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(14), 900)
    y = rng.integers(0, 2, len(block))
    a, b = (0.3 * y + rng.random(len(block)) for _ in range(2))
    rows = [np.flatnonzero(block == number) for number in range(14)]

    def naive() -> None:
        for _ in range(100):
            drawn = np.concatenate([rows[number] for number in rng.integers(0, 14, 14)])
            roc_auc_score(y[drawn], a[drawn]) - roc_auc_score(y[drawn], b[drawn])

    ours = seconds(lambda: bootstrap.difference(y, a, b, block, metric="roc_auc", confidence=0.9, seed=1))
    say(
        "interval of an AUC difference, 12,600 rows, 2,000 resamples",
        ours,
        20 * seconds(naive),
        "scikit-learn, 20 × 100",
    )


@pytest.mark.parametrize("features", [13, 100])
def test_drift_of_many_features(features: int) -> None:
    rng = np.random.default_rng(0)
    made = [[profiles.numeric(rng.normal(size=6000)) for _ in range(7)] for _ in range(features)]
    baselines = {f"x{n}": parts[:6] for n, parts in enumerate(made)}
    current = {f"x{n}": parts[6] for n, parts in enumerate(made)}
    taken = seconds(lambda: drift.judge(baselines, current, policy=Drift()))
    print(f"\ndrift of {features} features against 6 partitions: {taken:.3f} s, without reading a row")
