"""The explanation of a candidate: what it relies on, and what that does not mean."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.delays_pipeline import spec as make_spec

from tradewind.training.explanation_page import render_explanation_page

EVIL = "</td><script>alert(1)</script>"


def explanation(**given: Any) -> dict[str, Any]:
    usual = {
        "partition": "2013-03-04",
        "metric": "roc_auc",
        "rows": 1234,
        "importance": [
            {"feature": "hour", "mean": 0.1234, "std": 0.01, "values": [0.12, 0.13]},
            {"feature": "wind", "mean": 0.001, "std": 0.002, "values": [0.0, 0.002]},
        ],
        "dependence": [
            {"feature": "hour", "kind": "number", "x": [5.0, 9.0], "y": [0.2, 0.41], "output": "probability of 1"},
            {
                "feature": "carrier",
                "kind": "category",
                "x": ["AA", "UA"],
                "y": [0.3, 0.52],
                "output": "probability of 1",
            },
        ],
        "columns": [{"name": "hour", "type": "double"}],
        "warnings": ["feature `wind` is constant"],
        "model": "model.py:build",
        "params": {"C": 0.5},
    }
    return {**usual, **given}


def test_it_says_in_words_what_the_model_relies_on_and_what_that_does_not_mean() -> None:
    text = render_explanation_page(make_spec(), explanation())
    assert "It relies on hour. Of 1 other column it takes little or nothing by itself." in text
    assert "on 1,234 rows that it has not learned from" in text
    assert "shuffled by itself, 2 times, and roc_auc gets so much worse" in text
    assert "not what causes the outcome" in text


def test_every_number_of_it_is_in_the_page() -> None:
    text = render_explanation_page(make_spec(), explanation())
    for said in ("0.1234", "0.2000", "0.4100", "0.5200", "C = 0.5", "double", "<code>wind</code>", "Late?"):
        assert said in text
    assert re.findall(r"<figcaption>(.*?)<", text) == ["What the candidate relies on", "hour", "carrier"]


@pytest.mark.parametrize(
    ("features", "said"),
    [([], "could not be measured"), ([{"feature": "a", "mean": 0.01, "std": 0.01}], "No single column stands out")],
    ids=["nothing measured", "nothing clear"],
)
def test_what_is_not_known_is_not_claimed(features: list[dict[str, Any]], said: str) -> None:
    assert said in render_explanation_page(make_spec(), {"importance": features})


def test_it_loads_nothing_and_escapes_what_others_named() -> None:
    one = {"feature": EVIL, "kind": "category", "x": [EVIL], "y": [0.5], "output": EVIL}
    numbers = {**one, "kind": "number", "x": [1.0]}
    told = explanation(
        importance=[{"feature": EVIL, "mean": 1.0, "std": 0.1, "values": [1.0]}],
        dependence=[one, numbers],
        columns=[{"name": EVIL, "type": EVIL}],
        warnings=[EVIL],
        model=EVIL,
        params={EVIL: EVIL},
        partition=EVIL,
        metric=EVIL,
    )
    text = render_explanation_page(make_spec(), told)
    assert "<script" not in text
    assert "://" not in text
