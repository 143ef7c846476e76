"""Gates of fairness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.unit.core.judged import N, fair, judge, one, rows

from tradewind.metrics.judged_rows import TestRows


def biased() -> TestRows:
    given = rows()
    shifted = given.scores["candidate"] - 0.2 * (given.columns["origin"] == "JFK")
    return replace(given, scores={"candidate": np.clip(shifted, 0, 1)})


@pytest.mark.parametrize(
    ("measure", "bound"),
    [("demographic_parity_difference", "at_most"), ("equal_opportunity_difference", "at_most"),
     ("disparate_impact_ratio", "at_least")],
)  # fmt: skip
def test_fairness_is_fairlearns_with_an_interval(measure: str, bound: str) -> None:
    import fairlearn.metrics

    given = biased()
    name = "demographic_parity_ratio" if measure == "disparate_impact_ratio" else measure
    decided = given.scores["candidate"] > 0.4
    value = getattr(fairlearn.metrics, name)(given.y, decided, sensitive_features=given.columns["origin"])
    asked = {"fairness": measure, "at_most": None, "threshold": 0.4}
    met, missed = (one(fair(**{**asked, bound: value + step}), given=given) for step in (1e-6, -1e-6))
    if bound == "at_least":
        met, missed = missed, met
    assert (met.outcome, missed.outcome) == ("pass", "fail")
    assert met.value == pytest.approx(value)
    assert (met.low or 1) < (met.high or 0)
    assert "(JFK)" in met.reason


def test_fairness_needs_two_groups_with_enough_rows() -> None:
    given = replace(rows(), columns={"origin": np.array(["JFK"] * (N - 99) + ["LGA"] * 99)})
    result = one(fair(), given=given)
    assert (result.outcome, result.reason) == ("insufficient", "only 1 value of origin has 100 rows, and 2 are needed")


def test_a_small_group_is_left_out_and_named() -> None:
    given = rows()
    given.columns["origin"][:20] = "TEB"
    result, left_out = judge(fair(at_most=1.0), given=given)
    assert (result.outcome, result.rows) == ("pass", N - 20)
    assert (left_out.outcome, left_out.reason) == ("skipped", "fewer than 100 rows: TEB (20)")


def test_a_group_without_positives_has_no_opportunity_to_compare() -> None:
    given = rows()
    given = replace(given, y=np.where(given.columns["origin"] == "LGA", 0, given.y))
    result = one(fair(fairness="equal_opportunity_difference"), given=given)
    assert (result.outcome, result.reason) == ("insufficient", "no positive label where origin is LGA")


@pytest.mark.parametrize(
    "asked",
    [{"fairness": "disparate_impact_ratio", "at_most": None, "at_least": 0.0}, {},
     {"fairness": "equal_opportunity_difference"}],
    ids=["ratio", "difference", "opportunity"],
)  # fmt: skip
def test_who_selects_nobody_is_not_fair_for_that(asked: dict[str, object]) -> None:
    result = one(fair(threshold=1.0, **asked), given=rows())
    assert (result.outcome, result.reason) == (
        "insufficient", "nobody's probability is above 1: nothing is compared"
    )  # fmt: skip


def test_fairness_of_missing_predictions_or_columns_is_insufficient() -> None:
    given = rows()
    given.scores["candidate"][7] = np.nan
    assert one(fair(), given=given).reason == "candidate has no usable prediction for 1 of 2800 rows"
    assert one(fair(group="sex"), given=rows()).reason == "the test rows have no column sex"
    assert one(fair(), given=rows(task="multiclass")).outcome == "insufficient"
