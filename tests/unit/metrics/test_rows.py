"""The rows that judge a candidate, with what everybody predicts for them."""

from __future__ import annotations

import numpy as np

from tradewind.metrics.judged_rows import TestRows


def test_two_that_predict_the_same_for_every_row_are_told_from_those_that_do_not() -> None:
    y, times = np.zeros(3), np.zeros(3, "datetime64[us]")
    theirs = np.array([0.1, 0.2, 0.3])

    def same(**scores: np.ndarray) -> bool:
        return TestRows("regression", y, scores, times, "UTC").same_as_champion

    assert same(candidate=theirs + 1e-12, champion=theirs)
    assert not same(candidate=theirs + np.array([0, 0, 1e-6]), champion=theirs)
    assert not same(candidate=theirs * np.nan, champion=theirs)
    assert not same(candidate=theirs * np.nan, champion=theirs * np.nan)
    assert not same(candidate=theirs)
    none = TestRows("regression", y[:0], {"candidate": y[:0], "champion": y[:0]}, times[:0], "UTC")
    assert not none.same_as_champion
