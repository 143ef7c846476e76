"""The pipeline runs on the first partition, without Airflow."""

from __future__ import annotations

from pathlib import Path

from tradewind.local_airflow.home import Home
from tradewind.scaffold.rehearsal import Rehearsal

PROJECT = Path(__file__).resolve().parents[1]


def test_the_first_partition_is_loaded(tmp_path: Path) -> None:
    landing = str(Home.at(PROJECT).landing)  # delivered files, where they are not named by a whole path
    rehearsal = Rehearsal(PROJECT / "dags" / "my_pipeline.yaml", tmp_path, landing=landing)
    rows = rehearsal.run(rehearsal.spec.start)["etl"]
    assert all(rows.values()), rows
