"""The drift tests by name, as the YAML and the tables have them."""

from __future__ import annotations

from collections.abc import Sequence

from tradewind.core.drift_test import DriftTest
from tradewind.core.listed_objects import load_listed_object
from tradewind.spec.drift_tests import DRIFT_TESTS


def load_drift_tests(names: Sequence[str]) -> tuple[DriftTest, ...]:
    """The tests of these names, in their order.

    :raises UsageError: a name is unknown
    """
    return tuple(load_listed_object(DRIFT_TESTS, name, kind=DriftTest, what="drift test") for name in names)


def drift_test_words(name: str) -> str:
    """What people call the statistic of a test; its name where a table holds rows of a test that is not there now."""
    return load_drift_tests([name])[0].words if name in DRIFT_TESTS else name
