"""A condition is one expression that is true or false for each row, whenever and however often it is asked."""

from __future__ import annotations

import pytest

from tradewind.engine.condition_sql import find_condition_flaw

COLUMNS = {"flight_id": "VARCHAR", "distance": "DOUBLE", "carrier": "VARCHAR", "scheduled_at": "TIMESTAMPTZ"}


@pytest.mark.parametrize(
    "condition",
    [
        "distance > 1000",
        "carrier IN ('AA', 'UA') AND distance IS NOT NULL",
        "distance > (SELECT avg(distance) FROM test)",
        "scheduled_at >= TIMESTAMPTZ '2013-01-01 00:00:00+00' -- since then",
    ],
)
def test_a_condition_over_the_rows_is_right(condition: str) -> None:
    assert find_condition_flaw(COLUMNS, condition, view="test") is None


@pytest.mark.parametrize(
    ("condition", "message", "offset"),
    [
        ("distanse > 1000", "there is no column `distanse`", 0),
        ("carrier = 'AA' AND late", "there is no column `late`", 19),
        ("distance + 1", "the condition is double, which is neither true nor false", 0),
        ("avg(distance) > 3", "WHERE clause cannot contain aggregates", 0),
        ("row_number() OVER () < 3", "WHERE clause cannot contain window functions", 0),
        ("true, false", "expected one condition", 0),
        ("true) UNION ALL SELECT (true", "expected one condition", 0),
        ("true; DROP TABLE test", "expected one condition", 0),
        ("", "expected one condition", 0),
        ("distance > 1 AND random() < 0.5", "`random` gives something else each time", 17),
        ("scheduled_at < now()", "`now` gives something else each time", 15),
        ("scheduled_at < current_timestamp", "`current_timestamp` gives something else each time", 15),
        ("EXISTS (FROM test TABLESAMPLE 50%)", "`SAMPLE` gives something else each time", 0),
        ("distance > (SELECT distance FROM test USING SAMPLE 1)", "`SAMPLE` gives something else each time", 0),
        ("age(scheduled_at) > INTERVAL 1 DAY", "`age` gives something else each time", 0),
        ("distance > (SELECT count(*) FROM read_csv('/etc/passwd'))", "", 0),
    ],
)
def test_what_is_no_condition_is_said_with_its_place(condition: str, message: str, offset: int) -> None:
    flaw = find_condition_flaw(COLUMNS, condition, view="test")
    assert flaw is not None
    assert message in flaw.message
    if message:
        assert flaw.offset == offset


def test_the_nearest_column_is_suggested() -> None:
    flaw = find_condition_flaw(COLUMNS, "distanse > 1000", view="test")
    assert flaw is not None
    assert flaw.suggestion == "distance"
