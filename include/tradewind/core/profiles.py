"""Profiles: a column's distribution as counts in fixed bins, exact under merging in any order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats

MAX_CATEGORIES = 1000
"""A categorical column keeps the counts of so many most frequent values of one partition."""
_SHIFT = 46
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """Counts of one column.

    The bins of a numeric column do not depend on the data: a bin is the sign, the exponent and the six highest bits
    of the mantissa of a float64. It is 1/64 to 1/128 of its values wide; whole numbers up to 128 have their own.

    :param kind: ``numeric`` or ``categorical``
    :param rows: all rows, whatever their value
    :param counts: rows of each bin (numeric) or value (categorical); none is 0
    :param null: rows without a value
    :param nan: rows that are not a number
    :param above: rows with +∞
    :param below: rows with -∞
    :param other: rows with a value beyond the :data:`MAX_CATEGORIES` most frequent ones
    """

    kind: Literal["numeric", "categorical"]
    rows: int
    counts: Mapping[int | str, int] = field(default_factory=dict)
    null: int = 0
    nan: int = 0
    above: int = 0
    below: int = 0
    other: int = 0


def profile_numbers(values: Floats, *, null: int = 0) -> ColumnProfile:
    """Profile of numbers.

    :param values: the values that are not NULL, any numeric dtype, shape (rows - null,)
    :param null: number of NULL rows beside them
    """
    import numpy as np

    values = np.asarray(values, dtype=np.float64)
    bins = profile_bin(values[np.isfinite(values)])
    # There are only 2^18 bins, so counting needs no sorting.
    first = int(bins.min(initial=0))
    counts = np.bincount(bins - first)
    filled = np.flatnonzero(counts)
    return ColumnProfile(
        kind="numeric",
        rows=len(values) + null,
        counts=dict(zip((filled + first).tolist(), counts[filled].tolist(), strict=True)),
        null=null,
        nan=int(np.isnan(values).sum()),
        above=int(np.isposinf(values).sum()),
        below=int(np.isneginf(values).sum()),
    )


def profile_texts(counts: Mapping[str, int], *, null: int = 0) -> ColumnProfile:
    """Profile of texts.

    :param counts: rows of every value of the partition
    :param null: number of NULL rows beside them
    """
    ranked = sorted(((value, count) for value, count in counts.items() if count), key=lambda item: (-item[1], item[0]))
    other = sum(count for _, count in ranked[MAX_CATEGORIES:])
    return ColumnProfile(
        "categorical", sum(counts.values()) + null, dict(ranked[:MAX_CATEGORIES]), null=null, other=other
    )


def profile_bin(values: Floats) -> Floats:
    """Number of the bin of finite values, int64; bins are ordered as the values are, and 0 is the bin of zero."""
    import numpy as np

    bits = np.abs(np.asarray(values, dtype=np.float64)).view(np.int64) >> _SHIFT
    numbers: Floats = np.where(np.asarray(values) < 0, -bits - 1, bits)
    return numbers


def merge_profiles(profiles: Iterable[ColumnProfile]) -> ColumnProfile:
    """One profile of all the rows of several; the order does not matter and nothing is dropped.

    :raises ValueError: no profiles, or profiles of different kinds
    """
    given = list(profiles)
    kinds = {profile.kind for profile in given}
    if len(kinds) != 1:
        raise ValueError(f"profiles of one kind can be merged; these are {sorted(kinds) or 'none'}")
    counts: dict[int | str, int] = {}
    for profile in given:
        for key, count in profile.counts.items():
            counts[key] = counts.get(key, 0) + count
    totals = {name: sum(getattr(p, name) for p in given) for name in ("rows", "null", "nan", "above", "below", "other")}
    return ColumnProfile(kind=kinds.pop(), counts=counts, **totals)


def to_json(profile: ColumnProfile) -> str:
    """Compact text; equal profiles give the same text."""
    keys = sorted(profile.counts, key=lambda key: (isinstance(key, str), key))
    content = {
        "format": _FORMAT,
        "kind": profile.kind,
        "rows": profile.rows,
        "keys": keys,
        "counts": [profile.counts[key] for key in keys],
        **{name: getattr(profile, name) for name in ("null", "nan", "above", "below", "other")},
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def from_json(text: str) -> ColumnProfile:
    """The profile that :func:`to_json` wrote.

    :raises ValueError: it was written in another format
    """
    content = json.loads(text)
    if content.pop("format", None) != _FORMAT:
        raise ValueError(f"this is not a profile of format {_FORMAT}; profile the partition again")
    counts = dict(zip(content.pop("keys"), content.pop("counts"), strict=True))
    return ColumnProfile(counts=counts, **content)
