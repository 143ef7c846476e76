"""What the rows of a gate say: bounds, comparisons, gaps, checks and the correction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from tests.unit.core.judged import N, fair, gate, judge, one, rows

from tradewind.core.gate_results import Measurement
from tradewind.metrics.metric_list import compute_metric, roc_auc
from tradewind.spec.check_gate import CheckGate

# Bounds of a value and of its interval


@pytest.mark.parametrize(
    ("bound", "lower", "higher"),
    [("at_least", "pass", "fail"), ("lower_bound", "pass", "not_shown"), ("at_most", "fail", "pass"),
     ("upper_bound", "not_shown", "pass")],
)  # fmt: skip
def test_every_bound_judges_its_end(bound: str, lower: str, higher: str) -> None:
    given = rows()
    found = one(gate(at_least=0.5), given=given)
    judged = {"lower_bound": found.low, "upper_bound": found.high}.get(bound, found.value)
    assert judged is not None
    below, above = (one(gate(**{bound: judged + step}), given=given) for step in (-1e-6, 1e-6))
    assert (below.outcome, above.outcome) == (lower, higher)
    assert (below.relation, below.bound) == (bound, judged - 1e-6)
    assert (below.value, below.low, below.high, below.confidence) == (found.value, found.low, found.high, 0.9)


def test_a_bound_that_is_met_exactly_but_for_rounding_is_met() -> None:
    y = np.tile(np.r_[np.ones(61), np.zeros(39)], 28)
    given = replace(rows(champion=1.0), y=np.ones(N))
    champion = np.tile(np.r_[np.ones(60), np.zeros(40)], 28)
    given = replace(given, scores={"candidate": y, "champion": champion})
    assert compute_metric("accuracy", given.y, y) - compute_metric("accuracy", given.y, champion) > 0.01
    assert one(gate(metric="accuracy", versus="champion", at_most=0.01), given=given).outcome == "pass"
    lost = replace(given, scores={"candidate": champion, "champion": y})
    assert one(gate(metric="accuracy", versus="champion", at_least=-0.01), given=lost).outcome == "pass"


def test_a_bound_that_is_missed_by_less_than_is_shown_says_by_how_much() -> None:
    value = one(gate(at_least=0.0), given=rows()).value
    assert value is not None
    result = one(gate(at_least=round(value, 9) + 2e-7), given=rows())
    assert (result.outcome, result.reason.rpartition(" by ")[2]) == ("fail", "2e-07")


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_are_judged_by_their_metrics(task: str) -> None:
    metric = "balanced_accuracy" if task == "multiclass" else "mae"
    bound = {"at_least": 0.4} if task == "multiclass" else {"upper_bound": 0.8}
    given = rows(task=task, champion=0.1)
    assert one(gate(metric=metric, **bound), given=given).outcome == "pass"
    better = one(gate(metric=metric, versus="champion", lower_bound=0.0), given=given)
    assert (better.outcome, (better.value or 0) > 0) == ("pass", True)


def test_a_metric_of_another_task_is_insufficient() -> None:
    result = one(gate(metric="roc_auc", at_least=0.0), given=rows(task="regression"))
    assert (result.outcome, result.reason) == ("insufficient", "roc_auc means nothing where the task is regression")


# Comparisons


def test_so_much_better_is_suspicious() -> None:
    result = one(gate(versus="champion", at_most=0.1), given=rows(candidate=8.0, champion=0.5))
    assert result.outcome == "fail"
    assert "so much is suspicious: look for a leak of the label" in result.reason
    assert one(gate(versus="champion", at_most=0.1), given=rows(candidate=0.6, champion=0.5)).outcome == "pass"


def test_a_comparison_says_both_values_and_the_gain() -> None:
    given = rows(candidate=1.5, champion=0.5)
    result = one(gate(versus="champion", lower_bound=0.0), given=given)
    a, b = (roc_auc(given.y, given.scores[name]) for name in ("candidate", "champion"))
    assert result.value == pytest.approx(a - b)
    assert f"roc_auc {a:.4f}, champion {b:.4f}: better by {a - b:.4f} on 2800 rows (90 % interval of the gain +" in (
        result.reason
    )
    assert result.versus == "champion"


def test_better_but_unsure_is_not_shown_and_says_what_these_blocks_can_show() -> None:
    given = rows(candidate=0.9, champion=0.8)
    found = one(gate(versus="champion", lower_bound=0.0), given=given)
    assert found.low is not None
    assert found.value is not None
    whole = one(gate(versus="champion", lower_bound=(found.low + found.value) / 2), given=given)
    assert whole.outcome == "not_shown"
    said = whole.reason.partition("; not shown to be better than the champion's by at least 0.")[2]
    assert re.fullmatch(
        r"\d+: 14 such blocks show a gain of \+[\d.]+ or more in 8 of 10 cases; this one would take about [\d,]+", said
    )
    assert whole.detectable is not None
    assert whole.needed is not None
    assert (whole.detectable > (whole.value or 0), whole.needed > whole.blocks) == (True, True)


def test_a_point_below_its_bound_is_worse_and_not_merely_not_shown() -> None:
    result = one(gate(versus="champion", lower_bound=0.0), given=rows(candidate=0.8, champion=0.9))
    assert (result.outcome, result.needed) == ("fail", None)
    assert "; its lower end misses 0" in result.reason
    sure = one(gate(versus="champion", lower_bound=0.0), given=rows(candidate=0.1, champion=4.0))
    assert (sure.outcome, (sure.high or 0) < 0) == ("fail", True)


def test_a_level_can_be_not_shown_too() -> None:
    found = one(gate(at_least=0.5), given=rows())
    assert found.low is not None
    result = one(gate(lower_bound=(found.low + (found.value or 0)) / 2), given=rows())
    assert result.outcome == "not_shown"
    assert "; not shown to be at least 0." in result.reason
    assert found.detectable is None


def test_what_passes_says_what_could_have_been_shown() -> None:
    result = one(gate(versus="champion", lower_bound=-0.01), given=rows(candidate=4.0, champion=0.1))
    assert (result.outcome, result.needed) == ("pass", None)
    assert result.detectable is not None
    assert -0.01 < result.detectable < (result.value or 0)


# The gap between slices


def test_the_gap_is_between_the_best_and_the_worst_slice() -> None:
    given = rows()
    jfk = given.columns["origin"] == "JFK"
    scores = {"candidate": np.where(jfk, np.random.default_rng(3).random(N), given.scores["candidate"])}
    given = replace(given, scores=scores)
    values = {o: roc_auc(given.y[m], scores["candidate"][m]) for o in ("EWR", "JFK", "LGA")
              if (m := given.columns["origin"] == o).any()}  # fmt: skip
    gap = max(values.values()) - values["JFK"]
    result = one(gate(slice="origin", gap_at_most=0.1), given=given)
    assert (result.outcome, result.relation, result.slice) == ("fail", "gap_at_most", None)
    assert result.value == pytest.approx(gap)
    assert 0 < (result.low or 0) < gap < (result.high or 0)
    assert f"from {values['JFK']:.4f} (JFK)" in result.reason
    assert one(gate(slice="origin", gap_at_most=0.5), given=given).outcome == "pass"


def test_a_gap_needs_two_slices() -> None:
    result = one(gate(slice="origin", gap_at_most=0.5), given=replace(rows(), columns={"origin": np.full(N, "JFK")}))
    assert (result.outcome, result.reason) == ("insufficient", "only 1 value of origin has 100 rows, and 2 are needed")


def test_a_gap_to_a_slice_without_a_value_is_insufficient() -> None:
    given = rows()
    given = replace(given, y=np.where(given.columns["origin"] == "LGA", 1, given.y))
    result = one(gate(slice="origin", gap_at_most=0.5), given=given)
    assert result.outcome == "insufficient"
    assert result.reason.startswith("origin=LGA: roc_auc has no value: all ")


def test_small_slices_are_left_out_of_a_gap_and_named() -> None:
    given = rows()
    given.columns["origin"][:20] = None
    gap, left_out = judge(gate(slice="origin", gap_at_most=0.5, min_rows=200), given=given)
    assert (gap.rows, gap.outcome) == (N - 20, "pass")
    assert (left_out.outcome, left_out.slice) == ("skipped", "1 other values of origin")
    assert "NULL (20)" in left_out.reason


# Checks


LATENCY = CheckGate(check="latency", at_most=20)


def test_a_check_is_judged_by_what_was_measured() -> None:
    fast = one(LATENCY, given=rows(), measured={0: Measurement(20.0, 100, "100 rows, 30 times")})
    assert (fast.outcome, fast.value, fast.bound, fast.rows) == ("pass", 20.0, 20.0, 100)
    slow = one(LATENCY, given=rows(), measured={0: Measurement(20.1, 100, "100 rows, 30 times")})
    assert (slow.outcome, slow.reason) == ("fail", "20.1 exceeds 20: 100 rows, 30 times")


def test_each_check_is_judged_by_its_own_measurement() -> None:
    measured = {1: Measurement(30.0, 100, "slow"), 2: Measurement(30.0, 0, "small")}
    results = judge(gate(at_least=0.5), LATENCY, CheckGate(check="size", at_most=50), given=rows(), measured=measured)
    assert [(result.metric, result.outcome) for result in results] == [
        ("roc_auc", "pass"),
        ("latency", "fail"),
        ("size", "pass"),
    ]


@pytest.mark.parametrize("measured", [{}, {1: Measurement(1.0, 1, "another gate's")}])
def test_a_check_that_was_not_measured_does_not_pass(measured: Mapping[int, Measurement]) -> None:
    result = one(LATENCY, given=rows(), measured=measured)
    assert (result.outcome, result.reason) == ("insufficient", "latency was not measured")


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_check_without_a_value_does_not_pass(value: float | None) -> None:
    result = one(LATENCY, given=rows(), measured={0: Measurement(value, 0, "the process did not answer")})
    assert (result.outcome, result.value, result.reason) == ("insufficient", None, "the process did not answer")


@pytest.mark.parametrize(("passed", "outcome"), [(True, "pass"), (False, "fail"), (None, "insufficient")])
def test_a_check_without_a_bound_says_itself_whether_it_passed(passed: bool | None, outcome: str) -> None:
    result = one(CheckGate(check="schema"), given=rows(), measured={0: Measurement(0.0, 0, "it is", passed)})
    assert (result.outcome, result.reason) == (outcome, "it is")


def test_a_check_that_failed_fails_whatever_its_value_says() -> None:
    result = one(CheckGate(check="loads", at_most=30), given=rows(), measured={0: Measurement(1.0, 0, "NaN", False)})
    assert (result.outcome, result.reason) == ("fail", "NaN")


# The correction


def test_bonferroni_divides_among_the_results_that_an_interval_decides() -> None:
    given = rows(champion=1.0)
    given.columns["origin"][:20] = "TEB"
    asked = [
        gate(at_least=0.5),  # decided by the value
        gate(lower_bound=0.5),  # 1
        gate(versus="champion", lower_bound=-0.1, slice="origin"),  # 3; TEB is too small
        gate(upper_bound=0.99, min_rows=N + 1),  # too few rows
        gate(versus="last_hour", lower_bound=0.0),  # nobody to compare with
        fair(at_most=1.0),
    ]
    plain, corrected = (judge(*asked, given=given, correction=correction) for correction in ("none", "bonferroni"))
    assert {round(result.confidence, 9) for result in corrected if result.confidence} == {1 - 0.1 / 4}
    assert {result.confidence for result in plain if result.confidence} == {0.9}
    for narrow, wide in zip(plain, corrected, strict=True):
        if narrow.low is not None and narrow.high is not None:
            assert (wide.low or 0) < narrow.low < narrow.high < (wide.high or 0)


def test_bonferroni_without_deciding_intervals_changes_nothing() -> None:
    asked = [gate(at_least=0.5), fair(at_most=1.0)]
    assert judge(*asked, given=rows(), correction="bonferroni") == judge(*asked, given=rows())


def test_more_blocks_are_needed_for_a_corrected_interval() -> None:
    given = rows().where(np.arange(N) < 1200)
    asked = [gate(lower_bound=0.5, confidence=0.9)] * 4
    assert {result.outcome for result in judge(*asked, given=given)} == {"pass"}
    corrected = judge(*asked, given=given, correction="bonferroni")
    assert {result.outcome for result in corrected} == {"insufficient"}
    assert "6 blocks, and an interval of 97.5 % needs 7" in corrected[0].reason


def test_the_number_of_resamples_is_the_verdicts() -> None:
    few, many = (one(gate(at_least=0.5), given=rows(), resamples=count) for count in (200, 5000))
    assert few.low != many.low
    assert few.low == pytest.approx(many.low, abs=0.01)
