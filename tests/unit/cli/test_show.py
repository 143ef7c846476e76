"""What `tradewind show` says of a realised metric."""

from __future__ import annotations

import pytest

from tradewind.cli.show import describe_performance
from tradewind.spec.policy import Monitor, Performance

MONITOR = Monitor(performance=Performance(metric="mae", at_most=12))


@pytest.mark.parametrize(
    ("value", "outcome", "words"),
    [
        (None, "no data", "no data"),
        (19.1497, "worse", "mae 19.1497, worse than the limit 12,"),
        (19.1497, None, "mae 19.1497, worse than the limit 12,"),  # judged before outcomes were kept
        (7.5, "ok", "mae 7.5000, within the limit 12,"),
        (19.1497, "insufficient", "mae 19.1497, not judged over so few rows (`monitor.performance.min_rows`),"),
    ],
)
def test_a_metric_over_too_few_rows_is_not_said_to_miss_its_limit(
    value: float | None, outcome: str | None, words: str
) -> None:
    assert describe_performance(value, MONITOR, outcome=outcome) == words
