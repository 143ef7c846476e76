"""Rows of monitoring, read from tables and journals of this release and of those before tests had names."""

from __future__ import annotations

from dataclasses import replace

from tradewind.core.monitoring_rows import DriftRow, PerformanceRow

ROW = DriftRow("2013-01-28", "wind", 1, "drift", True, "psi", 0.7, 0.1, 0.2, 0.01, 0.02, 700, "1", "PSI 0.700")


def test_a_row_comes_back_from_the_table_as_it_went_in() -> None:
    for row in (ROW, replace(ROW, test="ks", alarm=None, statistic=None)):
        assert DriftRow.from_record({**row.as_record(), "partition": row.partition}) == row


def test_the_column_psi_is_filled_for_psi_alone() -> None:
    assert ROW.as_record()["psi"] == 0.7
    assert replace(ROW, test="ks").as_record()["psi"] is None


def test_a_row_without_a_test_is_by_psi() -> None:
    """A table takes the columns with the next partition; until then it lacks them, afterwards they are NULL."""
    earlier = {
        "partition": "2013-01-28",
        "feature": "wind",
        "horizon": 1,
        "outcome": "drift",
        "alarm": True,
        "psi": 0.7,
    }
    for record in (earlier, {**earlier, "test": None, "statistic": None}):
        row = DriftRow.from_record(record)
        assert (row.test, row.statistic, row.alarm) == ("psi", 0.7, True)


def test_an_alarm_in_the_journal_is_read_in_both_forms() -> None:
    now = DriftRow.from_record(ROW.as_evidence())
    then = DriftRow.from_record({"feature": "wind", "horizon": 1, "psi": 0.7, "null_high": 0.2})
    assert now == then
    assert (now.test, now.statistic, now.null_high) == ("psi", 0.7, 0.2)


def test_performance_in_the_journal_has_the_numbers_of_the_table() -> None:
    numbers = {"value": 0.61, "low": 0.58, "high": 0.64, "below": True, "model_version": "1"}
    record = {"partition": "2013-01-28", "population": "2013-01-21", "metric": "roc_auc", "rows": 500, **numbers}
    row = PerformanceRow.from_record(record)
    assert (row.population, row.in_sample) == ("2013-01-21", False)
    assert row.as_evidence() == {"metric": "roc_auc", "rows": 500, **numbers}
