"""Rows that go from SQL straight into files."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tradewind.engine.query import run_select
from tradewind.errors import TransformError, UsageError


@pytest.fixture
def spill(tmp_path: Path) -> Path:
    (tmp_path / "spill").mkdir()
    return tmp_path / "spill"


def test_rows_are_copied_into_the_scratch_folder(tmp_path: Path, spill: Path) -> None:
    (tmp_path / "q.sql").write_text("SELECT range AS n FROM range($count) -- a comment at the end\n;")
    with run_select(tmp_path / "q.sql", {}, parameters={"count": 3}, spill=spill) as rows:
        target = rows.copy("n * 2 AS n", "FORMAT parquet, FILE_SIZE_BYTES '1MB'")
        assert sorted(pq.read_table(target)["n"].to_pylist()) == [0, 2, 4]
    assert target.is_relative_to(spill)


def test_sql_that_may_write_there_reads_nothing_beside(tmp_path: Path, spill: Path) -> None:
    (tmp_path / "secret.csv").write_text("x\n1\n")
    (tmp_path / "q.sql").write_text(f"SELECT * FROM read_csv('{tmp_path}/secret.csv')")
    with (
        pytest.raises(TransformError),
        run_select(tmp_path / "q.sql", {}, parameters={}, spill=spill) as rows,
    ):
        rows.copy("*", "FORMAT parquet")


def test_an_error_while_rows_are_copied_names_the_sql(tmp_path: Path, spill: Path) -> None:
    (tmp_path / "q.sql").write_text(
        "SELECT CASE WHEN range = 2 THEN error('no such row') ELSE 'x' END AS n FROM range(3)"
    )
    with (
        run_select(tmp_path / "q.sql", {}, parameters={}, spill=spill) as rows,
        pytest.raises(TransformError, match=r"q\.sql: .*no such row"),
    ):
        rows.copy("n", "FORMAT parquet, FILE_SIZE_BYTES '1MB'")


def test_without_a_scratch_folder_nothing_is_copied(tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("SELECT 1 AS n")
    with (
        run_select(tmp_path / "q.sql", {}, parameters={}) as rows,
        pytest.raises(UsageError, match="a folder to spill to"),
    ):
        rows.copy("n", "FORMAT parquet")
