"""Which rows a gate judges, and where it cannot."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tests.unit.core.judged import START, N, gate, judge, one, rows


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


def test_a_row_at_the_end_of_training_was_not_seen_and_one_just_before_it_was() -> None:
    given = rows()
    given.timestamp[0] = np.datetime64("2013-03-18T04", "us")
    assert one(gate(at_least=0.5), given=given).rows == N
    given.timestamp[0] -= np.timedelta64(1, "us")
    assert one(gate(at_least=0.5), given=given).rows == N - 1


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
