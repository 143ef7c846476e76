from __future__ import annotations

from typing import Any

import pytest

from tradewind.spec.check_gate import CheckGate
from tradewind.spec.fairness_gate import FairnessGate
from tradewind.spec.metric_gate import MetricGate


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"at_least": 0.6}, "roc_auc at least 0.6"),
        ({"at_most": 0.9}, "roc_auc at most 0.9"),
        ({"lower_bound": 0.6}, "roc_auc at least 0.6 (lower end of the 90 % interval by day)"),
        ({"upper_bound": 0.9, "by": "customer"}, "roc_auc at most 0.9 (upper end of the 90 % interval by customer)"),
        (
            {"versus": "champion", "lower_bound": -0.01},
            "roc_auc no worse than the champion's by more than 0.01 (lower end of the 90 % interval by day)",
        ),
        (
            {"versus": "champion", "lower_bound": 0, "confidence": 0.95},
            "roc_auc no worse than the champion's (lower end of the 95 % interval by day)",
        ),
        ({"versus": "majority", "at_least": 0.02}, "roc_auc better than the majority's by at least 0.02"),
        (
            {"versus": "champion", "at_most": 0.1},
            "roc_auc better than the champion's by at most 0.1, more is suspicious",
        ),
        ({"versus": "champion", "at_most": -0.1}, "roc_auc worse than the champion's by at least 0.1"),
        ({"versus": "last_hour", "at_most": 0}, "roc_auc no better than last_hour's"),
        ({"at_least": 0.6, "slice": "origin"}, "roc_auc at least 0.6, for each origin"),
        (
            {"gap_at_most": 0.05, "slice": "origin", "where": "distance > 1000"},
            "roc_auc differs by at most 0.05 between the values of origin, where distance > 1000",
        ),
    ],
)
def test_a_gate_of_a_metric_in_words(given: dict[str, Any], words: str) -> None:
    assert MetricGate(metric="roc_auc", **given).describe() == words


def test_a_gate_of_fairness_in_words() -> None:
    gate = FairnessGate(fairness="disparate_impact_ratio", group="sex", at_least=0.8)
    assert gate.describe() == "disparate_impact_ratio of sex at least 0.8 (selected above 0.5)"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"check": "loads"}, "loads in a clean process and predicts 100 rows"),
        ({"check": "loads", "at_most": 30}, "loads in a clean process and predicts 100 rows within 30 s"),
        ({"check": "schema"}, "schema is that of the feature service"),
        (
            {"check": "latency", "at_most": 50, "rows": 1},
            "latency of 1 row at most 50 ms (95 % of batches, each at its fastest)",
        ),
        ({"check": "size", "at_most": 20}, "size at most 20 MB"),
        (
            {"check": "stability", "at_most": 0.02},
            "stability: predictions move by at most 0.02 under noise of 0.01 of the spread",
        ),
    ],
)
def test_a_check_in_words(given: dict[str, Any], words: str) -> None:
    assert CheckGate(**given).describe() == words
