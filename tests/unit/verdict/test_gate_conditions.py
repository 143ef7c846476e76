"""A gate's `where` is asked of the test rows by a DuckDB that sees nothing else."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tradewind.verdict import gate_conditions
from tradewind.verdict.gate_conditions import evaluate_conditions

ROWS = pa.table(
    {
        "flight_id": ["a", "b", "c", "d"],
        "distance": [100.0, None, 2000.0, 1500.0],
        "carrier": ["AA", "UA", "AA", None],
        "scheduled_at": pa.array([0, 1, 2, 3], pa.timestamp("us", "UTC")),
    }
)


def test_null_counts_as_not_fulfilled_and_is_counted() -> None:
    found = evaluate_conditions(ROWS, ["distance > 1000", "carrier = 'AA'", "flight_id < 'c'"])
    assert {name: mask.tolist() for name, mask in found.fulfilled.items()} == {
        "distance > 1000": [False, False, True, True],
        "carrier = 'AA'": [True, False, True, False],
        "flight_id < 'c'": [True, True, False, False],
    }
    assert found.unknown == {"distance > 1000": 1, "carrier = 'AA'": 1}


def test_a_condition_that_cannot_be_asked_has_a_reason_and_spares_the_others() -> None:
    failing = "CAST(carrier AS INTEGER) = 1"
    found = evaluate_conditions(ROWS, ["late", failing, "distance < 200"])
    assert list(found.fulfilled) == ["distance < 200"]
    assert "there is no column `late`" in found.absent["late"]
    assert "fails" in found.absent[failing]


def test_no_other_file_can_be_read(tmp_path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("x\n1\n")
    asked = f"distance > (SELECT x FROM read_csv('{secret}'))"
    found = evaluate_conditions(ROWS, [asked])
    assert not found.fulfilled
    assert asked in found.absent
    with pytest.raises(RuntimeError, match="disabled"):
        gate_conditions._evaluate_condition(ROWS, asked)  # locked by itself too, not only where it was bound
