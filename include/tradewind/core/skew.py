"""Training/serving skew: does the online store answer what the offline join gives for the same entities and moment?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

TOLERANCE = 1e-6
"""Relative: a feature that is declared as a 32-bit number keeps about seven digits online."""


@dataclass(frozen=True, slots=True)
class FeatureSkew:
    """How the answers for one feature differ.

    :param compared: entities that were asked for on both sides
    :param differing: both have a value, and not the same
    :param only_offline: the online store has no value where the offline join has one
    :param only_online: the other way round
    :param share: of all that do not agree, 0 if nothing was compared
    """

    compared: int
    differing: int
    only_offline: int
    only_online: int

    @property
    def share(self) -> float:
        """Share of the entities whose answers do not agree."""
        wrong = self.differing + self.only_offline + self.only_online
        return wrong / self.compared if self.compared else 0.0


def compare_feature(online: Sequence[Any], offline: Sequence[Any], *, tolerance: float = TOLERANCE) -> FeatureSkew:
    """Compare the values of one feature, entity by entity.

    A value that is missing, NULL, or NaN is the same to a model, and so it is here. Moments are compared by the second,
    which is what online stores keep.

    :param tolerance: largest relative difference of numbers that counts as none
    """
    differing = only_offline = only_online = 0
    for served, trained in zip(online, offline, strict=True):
        if is_missing(served) or is_missing(trained):
            only_offline += is_missing(served) and not is_missing(trained)
            only_online += is_missing(trained) and not is_missing(served)
        else:
            differing += not _same(served, trained, tolerance)
    return FeatureSkew(len(online), differing, only_offline, only_online)


def is_missing(value: Any) -> bool:
    """Whether a model sees no value."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _same(served: Any, trained: Any, tolerance: float) -> bool:
    served, trained = _plain(served), _plain(trained)
    if isinstance(served, list) and isinstance(trained, list):
        return len(served) == len(trained) and all(
            (is_missing(a) and is_missing(b)) or (not is_missing(a) and not is_missing(b) and _same(a, b, tolerance))
            for a, b in zip(served, trained, strict=True)
        )
    if isinstance(served, float) or isinstance(trained, float):
        try:
            # infinities are equal to themselves, and no tolerance makes them equal to anything else
            return math.isclose(served, trained, rel_tol=tolerance, abs_tol=0.0)
        except TypeError:
            return False
    return bool(served == trained)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() // 1)
    if isinstance(value, date):
        return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp())
    if isinstance(value, Decimal):
        return float(value)
    return list(value) if isinstance(value, list | tuple | set) else value
