from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tradewind.core import gates
from tradewind.core.gate_results import GateResult, decide_verdict
from tradewind.metrics.judged_rows import TestRows
from tradewind.spec.gates import VerdictSpec
from tradewind.spec.metric_gate import MetricGate as Gate

START = datetime(2013, 3, 18, 4, tzinfo=UTC)  # midnight in New York
ABSOLUTE = Gate(metric="roc_auc", at_least=0.6)
RELATIVE = Gate(metric="roc_auc", versus="champion", lower_bound=-0.01)


def rows(
    *, candidate: float = 1.0, champion: float | None = 1.0, days: int = 14, n: int = 2800, seed: int = 0
) -> TestRows:
    """Rows over ``days`` days; the numbers are how strongly each model's score follows the label."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    noise = rng.normal(size=n)

    def score(skill: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(skill * (y - 0.5) + 0.8 * noise + 0.2 * rng.normal(size=n))))

    seconds = np.sort(rng.integers(0, days * 86400, n)).astype("timedelta64[s]")
    timestamp = np.datetime64(START.replace(tzinfo=None), "us") + seconds
    columns = {"origin": rng.choice(["EWR", "JFK", "LGA"], n)}
    scores = {"candidate": score(candidate)} | ({} if champion is None else {"champion": score(champion)})
    ends = dict.fromkeys(scores, START)
    return TestRows("binary", y, scores, timestamp, "America/New_York", columns, fit_end=ends)


def judge(gate: Gate | Sequence[Gate], given: TestRows, **ends: datetime) -> tuple[GateResult, ...]:
    """Results; ``ends`` are other ends of training than ``START``."""
    asked = [gate] if isinstance(gate, Gate) else gate
    given = replace(given, fit_end={**given.fit_end, **ends})
    return gates.judge_gates(asked, given, measurements={}, verdict=VerdictSpec(), seed=1)


def test_an_absolute_gate_passes_when_the_metric_reaches_its_bound() -> None:
    (result,) = judge(ABSOLUTE, rows())
    assert result.outcome == "pass"
    assert (result.low or 0) < (result.value or 0) < (result.high or 0)


def test_an_absolute_gate_fails_below_its_bound_and_says_the_numbers() -> None:
    (result,) = judge(Gate(metric="roc_auc", at_least=0.99), rows())
    assert result.outcome == "fail"
    assert "this misses 0.99" in result.reason


def test_at_most_is_for_metrics_where_less_is_better() -> None:
    assert judge(Gate(metric="brier", at_most=0.3), rows())[0].outcome == "pass"
    assert judge(Gate(metric="brier", at_most=0.01), rows())[0].outcome == "fail"


def test_a_relative_gate_passes_an_equal_candidate_within_its_margin() -> None:
    (result,) = judge(Gate(metric="roc_auc", versus="champion", lower_bound=-0.05), rows())
    assert result.outcome == "pass"
    assert result.blocks == 14


def test_a_relative_gate_fails_a_worse_candidate() -> None:
    (result,) = judge(RELATIVE, rows(candidate=0.2))
    assert result.outcome == "fail"
    assert (result.value or 0) < 0


def test_a_relative_gate_on_a_loss_counts_less_as_better() -> None:
    (result,) = judge(Gate(metric="log_loss", versus="champion", lower_bound=0), rows(candidate=1.5, champion=0.1))
    assert result.outcome == "pass"
    assert (result.value or 0) > 0


def test_a_relative_gate_is_skipped_and_says_so_without_a_champion() -> None:
    (result,) = judge(RELATIVE, rows(champion=None))
    assert (result.outcome, result.reason) == ("skipped", "there is no champion to compare with")


def test_rows_that_the_champion_was_trained_on_do_not_count() -> None:
    (result,) = judge(RELATIVE, rows(), champion=START + timedelta(days=7))
    assert result.blocks == 7
    assert 1200 < result.rows < 1600


def test_a_champion_trained_on_all_test_rows_makes_the_gate_insufficient() -> None:
    (result,) = judge(RELATIVE, rows(), champion=START + timedelta(days=14))
    assert result.outcome == "insufficient"
    assert "2800 more were seen in training" in result.reason


def test_rows_that_the_candidate_was_trained_on_do_not_count_for_absolute_gates_either() -> None:
    (result,) = judge(ABSOLUTE, rows(), candidate=START + timedelta(days=14))
    assert result.outcome == "insufficient"


def test_too_few_rows_are_insufficient() -> None:
    (result,) = judge(ABSOLUTE, rows(n=99))
    assert (result.outcome, result.reason) == ("insufficient", "99 rows, fewer than 100")


def test_too_few_blocks_are_insufficient_for_a_relative_gate() -> None:
    (result,) = judge(RELATIVE, rows(days=3))
    assert result.outcome == "insufficient"
    assert "no honest interval by day: 3 blocks, and an interval of 90 % needs 5" in result.reason


def test_one_class_only_is_insufficient_and_never_a_pass() -> None:
    given = rows()
    one_class = replace(given, y=np.ones(len(given.y)))
    assert judge(ABSOLUTE, one_class)[0].outcome == "insufficient"
    assert judge(RELATIVE, one_class)[0].outcome == "insufficient"


def test_a_missing_prediction_is_insufficient_and_never_a_pass() -> None:
    given = rows()
    given.scores["candidate"][5] = np.nan
    assert judge(Gate(metric="brier", at_most=0.9), given)[0].outcome == "insufficient"


def test_a_slice_gate_judges_every_value_by_itself() -> None:
    results = judge(Gate(metric="roc_auc", slice="origin", at_least=0.55, min_rows=500), rows())
    assert [(r.slice, r.outcome) for r in results] == [
        ("origin=EWR", "pass"),
        ("origin=JFK", "pass"),
        ("origin=LGA", "pass"),
    ]


def test_one_bad_slice_fails() -> None:
    given = rows()
    candidate = given.scores["candidate"]
    bad = replace(given, scores={"candidate": np.where(given.columns["origin"] == "JFK", 1 - candidate, candidate)})
    results = judge(Gate(metric="roc_auc", slice="origin", at_least=0.55), bad)
    assert [r.outcome for r in results] == ["pass", "fail", "pass"]
    assert decide_verdict(results)[0] == "rejected"


def test_small_slices_are_skipped_and_named() -> None:
    given = rows()
    given.columns["origin"][:20] = "TEB"
    results = judge(Gate(metric="roc_auc", slice="origin", at_least=0.55, min_rows=500), given)
    assert results[-1].outcome == "skipped"
    assert "TEB (20)" in results[-1].reason


def test_a_slice_gate_without_any_large_value_is_insufficient() -> None:
    (result,) = judge(Gate(metric="roc_auc", slice="origin", at_least=0.5, min_rows=2000), rows())
    assert (result.outcome, result.reason) == ("insufficient", "no value of origin has 2000 rows")


def test_a_missing_slice_column_is_insufficient() -> None:
    (result,) = judge(Gate(metric="roc_auc", slice="carrier", at_least=0.5), rows())
    assert (result.outcome, result.reason) == ("insufficient", "the test rows have no column carrier")


def test_rows_without_a_slice_value_are_a_slice_of_their_own() -> None:
    given = rows()
    columns = {"origin": np.array([None if i % 2 else "EWR" for i in range(len(given.y))], dtype=object)}
    results = judge(Gate(metric="roc_auc", slice="origin", at_least=0.5), replace(given, columns=columns))
    assert [r.slice for r in results] == ["origin=EWR", "origin=NULL"]


def test_a_candidate_passes_only_if_every_gate_does() -> None:
    results = judge([ABSOLUTE, RELATIVE], rows(candidate=1.5))
    assert decide_verdict(results) == ("passed", "2 of 2 gate results pass")


@pytest.mark.parametrize(
    "bad", [Gate(metric="roc_auc", at_least=0.99), Gate(metric="roc_auc", slice="nowhere", at_least=0.5)]
)
def test_one_failed_or_insufficient_gate_rejects(bad: Gate) -> None:
    results = judge([ABSOLUTE, bad], rows())
    assert decide_verdict(results)[0] == "rejected"


def test_a_first_model_passes_on_its_absolute_gates_and_the_reason_says_what_was_skipped() -> None:
    results = judge([ABSOLUTE, RELATIVE], rows(champion=None))
    assert decide_verdict(results) == (
        "passed",
        "1 of 1 gate results pass; skipped: there is no champion to compare with",
    )


def test_no_gates_reject() -> None:
    assert decide_verdict([]) == ("rejected", "there are no gates, so nothing speaks for the candidate")


def test_only_skipped_gates_reject() -> None:
    results = judge(RELATIVE, rows(champion=None))
    assert decide_verdict(results)[0] == "rejected"


def result(outcome: str, *, metric: str = "roc_auc", slice_: str | None = None, reason: str = "why") -> GateResult:
    return GateResult("a gate", metric, outcome, 1.0, None, None, 1.0, 1, 0, reason, slice=slice_)  # type: ignore[arg-type]


def test_checks_of_serving_alone_do_not_make_a_champion() -> None:
    checks = [result("pass", metric="loads"), result("pass", metric="schema")]
    assert decide_verdict(checks)[0] == "rejected"
    skipped = result("skipped", reason="there is no champion to compare with")
    assert decide_verdict([*checks, skipped]) == (
        "rejected",
        "only checks of serving passed: no metric and no fairness was judged, so nothing speaks for the candidate "
        "(there is no champion to compare with)",
    )
    assert decide_verdict([*checks, result("pass")])[0] == "passed"
    fairness = result("pass", metric="disparate_impact_ratio")
    assert decide_verdict([*checks, fairness]) == ("passed", "3 of 3 gate results pass")


def test_a_failed_check_rejects() -> None:
    assert decide_verdict([result("pass"), result("fail", metric="latency")])[0] == "rejected"


def test_a_rejection_says_when_nothing_was_worse() -> None:
    assert decide_verdict([result("pass"), result("not_shown", reason="too few")]) == (
        "rejected", "1 of 2 gate results did not pass, not shown rather than worse: a gate: too few"
    )  # fmt: skip
    assert "rather than worse" not in decide_verdict([result("fail"), result("not_shown")])[1]


def test_a_rejection_names_its_gates_but_not_hundreds_of_them() -> None:
    failed = [result("fail", slice_=f"origin={n}", reason=f"reason {n}") for n in range(200)]
    outcome, reason = decide_verdict([result("pass"), *failed])
    assert outcome == "rejected"
    assert reason.startswith("200 of 201 gate results did not pass: a gate [origin=0]: reason 0; a gate [origin=1]: ")
    assert reason.endswith("reason 4; and 195 more")


def test_reasons_to_skip_are_said_once() -> None:
    skipped = [result("skipped", reason="there is no champion to compare with")] * 3
    assert decide_verdict([result("pass"), *skipped]) == (
        "passed",
        "1 of 1 gate results pass; skipped: 3 × there is no champion to compare with",
    )


def test_rows_of_different_length_are_no_test_rows() -> None:
    given = rows()
    with pytest.raises(ValueError, match="labels 2800, champion 2799"):
        replace(given, scores={**given.scores, "champion": given.scores["champion"][1:]})


def test_times_that_are_none_are_no_test_rows() -> None:
    with pytest.raises(ValueError, match="datetime64"):
        replace(rows(), timestamp=np.arange(2800))


def test_results_survive_json() -> None:
    import json
    from dataclasses import asdict

    asked = [ABSOLUTE, RELATIVE, Gate(metric="roc_auc", slice="origin", at_least=0.5)]
    results = judge(asked, rows())
    assert tuple(GateResult(**one) for one in json.loads(json.dumps([asdict(one) for one in results]))) == results


def test_the_verdict_does_not_depend_on_the_order_of_rows() -> None:
    given = rows()
    order = np.random.default_rng(5).permutation(len(given.y))
    straight, shuffled = judge(RELATIVE, given)[0], judge(RELATIVE, given.where(order))[0]
    assert (shuffled.outcome, shuffled.low) == (straight.outcome, pytest.approx(straight.low))
