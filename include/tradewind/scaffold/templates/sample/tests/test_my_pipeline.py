"""The pipeline runs on the sample: every stage, without Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tradewind.scaffold.rehearsal import Rehearsal
from tradewind.scaffold.sample import deliver_sample

PROJECT = Path(__file__).resolve().parents[1]
PIPELINE = "my_pipeline"
WINDOW = 4  # `train.window` of the YAML


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Rehearsal]:
    """The stages on a lake, a registry and a landing zone of their own."""
    with Rehearsal(PROJECT / "dags" / f"{PIPELINE}.yaml", tmp_path) as made:
        deliver_sample(tmp_path / "landing" / PIPELINE)
        yield made


def test_a_model_is_trained_and_serves(rehearsal: Rehearsal) -> None:
    done = [rehearsal.run(key) for key in rehearsal.partitions()[: WINDOW + 1]]
    assert done[WINDOW - 2]["train"] == "skip"  # the window is not full yet
    assert done[WINDOW - 1]["train"] == "promoted"
    # What a partition's training promotes serves from the first population that no run has scored yet.
    assert done[WINDOW]["score"]["served_by"] == "champion"
    assert done[WINDOW]["score"]["rows"] == 300
