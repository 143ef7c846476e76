"""The tables at the end of a demo."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from tradewind.local_airflow.demo_tables import print_demo_tables


@pytest.mark.parametrize(
    ("judged", "title"),
    [
        ({"ok": 10, "drift": 2}, "Drift alarms (12 of 12 judgements possible): none"),
        (
            {"insufficient": 744, "no champion": 6, "reason": "61 rows"},
            "Drift alarms (0 of 750 judgements possible, 744 insufficient, 6 no champion): none",
        ),
    ],
)
def test_without_an_alarm_it_says_how_many_judgements_could_be_made(judged: dict[str, Any], title: str) -> None:
    result = {
        "pipeline": "p", "datasets": {}, "quarantined": [], "features": {}, "versions": [], "champions": [],
        "realised": [], "policy": None, "drift": [], "judgements": judged, "decisions": [],
    }  # fmt: skip
    out = StringIO()
    print_demo_tables(result, Console(file=out, width=160))
    assert title in out.getvalue()
