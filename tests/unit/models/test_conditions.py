"""A gate's `where` is asked of the test rows by a DuckDB that sees nothing else."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tradewind.models import conditions
from tradewind.models.conditions import bind, masks

COLUMNS = {"flight_id": "VARCHAR", "distance": "DOUBLE", "carrier": "VARCHAR", "scheduled_at": "TIMESTAMPTZ"}
ROWS = pa.table(
    {
        "flight_id": ["a", "b", "c", "d"],
        "distance": [100.0, None, 2000.0, 1500.0],
        "carrier": ["AA", "UA", "AA", None],
        "scheduled_at": pa.array([0, 1, 2, 3], pa.timestamp("us", "UTC")),
    }
)


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
    assert bind(COLUMNS, condition) is None


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
    flaw = bind(COLUMNS, condition)
    assert flaw is not None
    assert message in flaw.message
    if message:
        assert flaw.offset == offset


def test_the_nearest_column_is_suggested() -> None:
    flaw = bind(COLUMNS, "distanse > 1000")
    assert flaw is not None
    assert flaw.suggestion == "distance"


def test_null_counts_as_not_fulfilled_and_is_counted() -> None:
    found = masks(ROWS, ["distance > 1000", "carrier = 'AA'", "flight_id < 'c'"])
    assert {name: mask.tolist() for name, mask in found.fulfilled.items()} == {
        "distance > 1000": [False, False, True, True],
        "carrier = 'AA'": [True, False, True, False],
        "flight_id < 'c'": [True, True, False, False],
    }
    assert found.unknown == {"distance > 1000": 1, "carrier = 'AA'": 1}


def test_a_condition_that_cannot_be_asked_has_a_reason_and_spares_the_others() -> None:
    failing = "CAST(carrier AS INTEGER) = 1"
    found = masks(ROWS, ["late", failing, "distance < 200"])
    assert list(found.fulfilled) == ["distance < 200"]
    assert "there is no column `late`" in found.absent["late"]
    assert "fails" in found.absent[failing]


def test_no_other_file_can_be_read(tmp_path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("x\n1\n")
    asked = f"distance > (SELECT x FROM read_csv('{secret}'))"
    found = masks(ROWS, [asked])
    assert not found.fulfilled
    assert asked in found.absent
    with pytest.raises(RuntimeError, match="disabled"):
        conditions._ask(ROWS, asked)  # locked by itself too, not only where it was bound
