"""Each kind of gate, on rows that were made for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tradewind.core import gates, metrics
from tradewind.core.gates import GateResult, Measurement, TestRows
from tradewind.spec.gates import CheckGate, FairnessGate, MetricGate, Verdict

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
    return gates.judge(asked, given, measurements=measured or {}, verdict=Verdict(**verdict), seed=1)


def one(*asked: Any, given: TestRows, **more: Any) -> GateResult:
    (result,) = judge(*asked, given=given, **more)
    return result


def gate(**given: Any) -> MetricGate:
    return MetricGate(**{"metric": "roc_auc", **given})


# Bounds of a value and of its interval


@pytest.mark.parametrize(
    ("bound", "lower", "higher"),
    [("at_least", "pass", "fail"), ("lower_bound", "pass", "fail"), ("at_most", "fail", "pass"),
     ("upper_bound", "fail", "pass")],
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
    assert one(gate(metric="accuracy", versus="champion", at_most=0.01), given=given).outcome == "pass"


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
    a, b = (metrics.roc_auc(given.y, given.scores[name]) for name in ("candidate", "champion"))
    assert result.value == pytest.approx(a - b)
    assert f"roc_auc {a:.4f}, champion {b:.4f}: better by {a - b:.4f} on 2800 rows (90 % interval of the gain +" in (
        result.reason
    )
    assert result.versus == "champion"


@pytest.mark.parametrize("versus", ["majority", "last_hour"])
def test_rules_are_opponents_on_all_rows_that_the_candidate_has_not_seen(versus: str) -> None:
    given = rows(**{versus: 0.0, "champion": 1.0})
    given = replace(given, fit_end={**given.fit_end, "champion": START + timedelta(days=7)})
    result = one(gate(versus=versus, lower_bound=0.05), given=given)
    assert (result.outcome, result.rows, result.versus) == ("pass", N, versus)


def test_a_rule_that_was_fitted_counts_from_its_end() -> None:
    given = rows(last_hour=0.0)
    given = replace(given, fit_end={**given.fit_end, "last_hour": START + timedelta(days=7)})
    assert one(gate(versus="last_hour", at_least=0.0), given=given).blocks == 7


@pytest.mark.parametrize("versus", ["majority", "last_hour"])
def test_an_opponent_that_is_missing_is_insufficient_unless_it_is_the_champion(versus: str) -> None:
    result = one(gate(versus=versus, at_least=-1.0), given=rows())
    assert (result.outcome, result.reason) == ("insufficient", f"there are no predictions of {versus} to compare with")
    assert one(gate(versus="champion", at_least=-1.0), given=rows()).outcome == "skipped"


def test_a_champion_that_cannot_be_asked_is_no_missing_champion() -> None:
    given = replace(rows(), absent={"champion": "its files are gone"})
    result = one(gate(versus="champion", at_least=-1.0), given=given)
    assert (result.outcome, result.reason) == ("insufficient", "the champion cannot be asked: its files are gone")


def test_a_champion_of_unknown_training_cannot_be_compared() -> None:
    given = replace(rows(champion=1.0), fit_end={"candidate": START})
    result = one(gate(versus="champion", at_least=-1.0), given=given)
    assert result.outcome == "insufficient"
    assert "not known when the champion's training ended" in result.reason


def test_a_candidate_of_unknown_training_is_refused() -> None:
    with pytest.raises(ValueError, match="candidate's training ended"):
        judge(gate(at_least=0.5), given=replace(rows(), fit_end={}))


def test_an_opponent_that_predicts_nothing_is_insufficient_and_named() -> None:
    given = rows(champion=1.0)
    given.scores["champion"][:3] = np.nan
    result = one(gate(metric="brier", versus="champion", at_least=-1.0), given=given)
    assert (result.outcome, result.value) == ("insufficient", None)
    assert result.reason == "champion has no usable prediction for 3 of 2800 rows"


def test_rows_without_a_time_do_not_count() -> None:
    given = rows()
    given.timestamp[:100] = np.datetime64("NaT")
    assert one(gate(at_least=0.5), given=given).rows == N - 100


# Conditions


def test_only_rows_of_the_condition_are_judged() -> None:
    given = rows()
    mask = given.columns["origin"] == "JFK"
    result = one(gate(at_least=0.5, where="origin = 'JFK'"), given=replace(given, masks={"origin = 'JFK'": mask}))
    assert (result.rows, result.outcome) == (mask.sum(), "pass")


@pytest.mark.parametrize("null", [None, np.nan])
def test_a_condition_that_is_null_does_not_hold(null: float | None) -> None:
    mask = np.array([True, False, null] * 1000, dtype=object)[:N]
    result = one(gate(at_least=0.5, where="x"), given=replace(rows(), masks={"x": mask}))
    assert result.rows == sum(value is True for value in mask)


def test_a_condition_that_holds_nowhere_is_insufficient() -> None:
    result = one(gate(at_least=0.5, where="x > 1"), given=replace(rows(), masks={"x > 1": np.zeros(N, dtype=bool)}))
    assert (result.outcome, result.reason) == ("insufficient", "0 rows where x > 1, fewer than 100")


def test_a_condition_without_its_rows_is_insufficient() -> None:
    result = one(gate(at_least=0.5, where="x > 1"), given=rows())
    assert (result.outcome, result.reason) == ("insufficient", "it is not known for which test rows `x > 1` holds")
    result = one(gate(at_least=0.5, where="x > 1"), given=replace(rows(), absent={"x > 1": "there is no column x"}))
    assert (result.outcome, result.reason) == ("insufficient", "there is no column x")


# Blocks


def test_blocks_may_be_those_of_a_column() -> None:
    result = one(gate(lower_bound=0.5, by="plane"), given=rows())
    assert (result.outcome, result.blocks) == ("pass", 400)
    assert "400 blocks by plane" in result.reason


def test_rows_whose_block_is_not_known_are_one_block() -> None:
    given = rows()
    plane = given.columns["plane"].astype(object)
    plane[:500] = None
    plane[500:600] = np.nan
    assert one(gate(lower_bound=0.5, by="plane"), given=replace(given, columns={"plane": plane})).blocks == (
        len(np.unique(given.columns["plane"][600:])) + 1
    )


def test_a_missing_column_of_blocks_is_insufficient_even_where_the_value_decides() -> None:
    result = one(gate(at_least=0.0, by="customer"), given=rows())
    assert (result.outcome, result.reason) == ("insufficient", "the test rows have no column customer")


def test_a_gate_can_ask_for_more_blocks() -> None:
    result = one(gate(lower_bound=0.0, min_blocks=15), given=rows())
    assert result.outcome == "insufficient"
    assert "14 blocks, and an interval of 90 % needs 15" in result.reason
    value = one(gate(at_least=0.0, min_blocks=15), given=rows())
    assert (value.outcome, value.low, value.confidence) == ("pass", None, None)


# The gap between slices


def test_the_gap_is_between_the_best_and_the_worst_slice() -> None:
    given = rows()
    jfk = given.columns["origin"] == "JFK"
    scores = {"candidate": np.where(jfk, np.random.default_rng(3).random(N), given.scores["candidate"])}
    given = replace(given, scores=scores)
    values = {o: metrics.roc_auc(given.y[m], scores["candidate"][m]) for o in ("EWR", "JFK", "LGA")
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


# Fairness


def fair(**given: Any) -> FairnessGate:
    return FairnessGate(**{"fairness": "demographic_parity_difference", "group": "origin", "at_most": 0.1, **given})


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


def test_a_ratio_of_nobody_is_insufficient() -> None:
    result = one(fair(fairness="disparate_impact_ratio", at_most=None, at_least=0.0, threshold=1.0), given=rows())
    assert (result.outcome, result.reason) == (
        "insufficient", "nobody's probability is above 1, so there is no ratio"
    )  # fmt: skip


def test_fairness_of_missing_predictions_or_columns_is_insufficient() -> None:
    given = rows()
    given.scores["candidate"][7] = np.nan
    assert one(fair(), given=given).reason == "candidate has no usable prediction for 1 of 2800 rows"
    assert one(fair(group="sex"), given=rows()).reason == "the test rows have no column sex"
    assert one(fair(), given=rows(task="multiclass")).outcome == "insufficient"


# Checks


LATENCY = CheckGate(check="latency", at_most=20)


def test_a_check_is_judged_by_what_was_measured() -> None:
    fast = one(LATENCY, given=rows(), measured={0: Measurement(20.0, 100, "100 rows, 30 times")})
    assert (fast.outcome, fast.value, fast.bound, fast.rows) == ("pass", 20.0, 20.0, 100)
    slow = one(LATENCY, given=rows(), measured={0: Measurement(20.1, 100, "100 rows, 30 times")})
    assert (slow.outcome, slow.reason) == ("fail", "20.1 exceeds 20: 100 rows, 30 times")


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
