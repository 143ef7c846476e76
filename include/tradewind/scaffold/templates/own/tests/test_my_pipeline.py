"""The pipeline runs on the first partitions that are there, without Airflow."""

from __future__ import annotations

from pathlib import Path

from tradewind.embedded.home import Home
from tradewind.scaffold.rehearsal import Rehearsal

PROJECT = Path(__file__).resolve().parents[1]


def test_the_first_partitions_are_loaded(tmp_path: Path) -> None:
    landing = str(Home.at(PROJECT).landing)  # delivered files, where they are not named by a whole path
    rehearsal = Rehearsal(PROJECT / "dags" / "my_pipeline.yaml", tmp_path, landing=landing)
    for key in rehearsal.partitions()[:2]:
        rows = rehearsal.run(key)["etl"]
        assert all(rows.values()), (key, rows)
