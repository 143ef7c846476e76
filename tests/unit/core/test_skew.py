from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tradewind.core.skew import FeatureSkew, compare_feature

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("online", "offline"),
    [
        (1, 1),
        (1, 1.0),
        (0.1, 0.1 * (1 + 9e-7)),
        (16777216.0, 16777217.0),
        (INF, INF),
        (None, None),
        (None, NAN),
        (NAN, None),
        ("a", "a"),
        (b"a", b"a"),
        (True, True),
        ([1.0, None], [1.0, NAN]),
        (1.5, Decimal("1.5")),
        (datetime(2013, 1, 1, 0, 0, 3), datetime(2013, 1, 1, 0, 0, 3, 999_999, tzinfo=UTC)),
        (datetime(2013, 1, 1, tzinfo=UTC), date(2013, 1, 1)),
    ],
)
def test_the_same_value_is_no_skew(online: Any, offline: Any) -> None:
    assert compare_feature([online], [offline]) == FeatureSkew(1, 0, 0, 0)


@pytest.mark.parametrize(
    ("online", "offline"),
    [
        (1, 2),
        (0.1, 0.1 * (1 + 2e-6)),
        (0.0, 1e-300),
        (INF, -INF),
        (INF, 1e300),
        ("a", "b"),
        ("1", 1.0),
        ([1.0], [1.0, 2.0]),
        (datetime(2013, 1, 1, 0, 0, 3), datetime(2013, 1, 1, 0, 0, 4, tzinfo=UTC)),
    ],
)
def test_another_value_is_skew(online: Any, offline: Any) -> None:
    assert compare_feature([online], [offline]) == FeatureSkew(1, 1, 0, 0)


def test_a_value_that_one_side_lacks_says_which() -> None:
    found = compare_feature([None, NAN, 1.0, 2.0], [1.0, 1.0, None, 2.0])
    assert found == FeatureSkew(compared=4, differing=0, only_offline=2, only_online=1)
    assert found.share == 0.75
    assert compare_feature([], []).share == 0
