"""The pipeline runs on the first day that is there, without Airflow."""

from __future__ import annotations

from pathlib import Path

from tradewind.scaffold.rehearsal import Rehearsal

PROJECT = Path(__file__).resolve().parents[1]


def test_the_first_day_is_loaded(tmp_path: Path) -> None:
    rehearsal = Rehearsal(PROJECT / "dags" / "my_pipeline.yaml", tmp_path)
    rows = rehearsal.run(rehearsal.spec.start)["etl"]
    assert all(rows.values()), rows
