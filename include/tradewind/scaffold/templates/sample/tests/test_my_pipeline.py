"""The pipeline runs on the sample: every stage, without Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.scaffold.rehearsal import Rehearsal
from tradewind.scaffold.sample import deliver

PROJECT = Path(__file__).resolve().parents[1]
PIPELINE = "my_pipeline"


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    """The stages on a lake, a registry and a landing zone of their own."""
    made = Rehearsal(PROJECT / "dags" / f"{PIPELINE}.yaml", tmp_path)
    deliver(tmp_path / "landing" / PIPELINE)
    return made


def test_a_model_is_trained_and_serves(rehearsal: Rehearsal) -> None:
    days = {day: rehearsal.run(day) for day in rehearsal.partitions()[:5]}
    assert days["2024-01-03"]["train"] == "skip"  # the window is not full yet
    assert days["2024-01-04"]["train"] == "promoted"
    # What a day's training promotes serves from the first population that no run has scored yet.
    assert days["2024-01-05"]["score"]["served_by"] == "champion"
    assert days["2024-01-05"]["score"]["rows"] == 300
