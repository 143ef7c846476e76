"""What a verdict says about the training of its candidate."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.local_runtime import local_runtime

from tradewind.deployment import Deployment
from tradewind.ledger.journal import Entry
from tradewind.verdict.training_background import read_training_background

DAY = "2013-01-28"


@pytest.mark.parametrize(
    "alarm",
    [
        {"feature": "wind", "horizon": 1, "test": "psi", "statistic": 0.7, "null_high": 0.2},
        {"feature": "wind", "horizon": 1, "psi": 0.7, "null_high": 0.2},
    ],
)
def test_drift_in_a_decision_is_named_whichever_release_wrote_it(tmp_path: Path, alarm: dict[str, Any]) -> None:
    spec: Any = SimpleNamespace(pipeline="flights", monitor=None)
    deployment = Deployment(spec, local_runtime(tmp_path))
    decided = Entry("flights", "decision", "train", DAY, "d", "train", "drift", {"drift_alarms": {DAY: [alarm]}})
    trained = Entry("flights", "trained", "3", DAY, "t", evidence={})
    deployment.ledger.append(decided)
    found = read_training_background(deployment, trained)
    assert found["why"]["numbers"] == [f"drift at {DAY}: wind (PSI 0.7000, null up to 0.2000)"]
