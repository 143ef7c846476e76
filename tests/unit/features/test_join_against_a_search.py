"""The join of random rows, corrections and times equals a search that anybody can read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.features.known_rows import KnownRows
from tradewind.features.point_in_time import JoinedView, join_point_in_time
from tradewind.features.source import LakeSource

INSTANT = pa.timestamp("us", "UTC")
BEGIN = datetime(2013, 1, 1, tzinfo=UTC)
COLUMNS = {"a": pa.string(), "b": pa.int64(), "event": INSTANT, "made": INSTANT, "value": pa.int64(), "z": pa.bool_()}
ROWS = pa.schema(list(COLUMNS.items()))

# Few moments and keys, so that equal times, misses and hits at the very edge are common.
moments = st.integers(0, 9).map(lambda day: BEGIN + timedelta(days=day))
keys = st.one_of(st.none(), st.sampled_from("xy"))
numbers = st.one_of(st.none(), st.integers(1, 2))
ttls = st.one_of(st.none(), st.integers(1, 4).map(lambda days: timedelta(days=days)))
entities = st.lists(st.fixed_dictionaries({"a": keys, "b": numbers, "t": moments}), min_size=1, max_size=12)
row = {"a": keys, "b": numbers, "event": st.one_of(st.none(), moments), "made": st.one_of(st.none(), moments)}


def unique(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """One row for each combination (which of two is joined would be chance), with a value that tells it."""
    found = {tuple(r[name] for name in names): r for r in rows}
    return [{**r, "value": n or None, "z": bool(n % 2)} for n, r in enumerate(found.values())]


with_created = st.lists(st.fixed_dictionaries(row), max_size=20).map(
    lambda rows: unique(rows, "a", "b", "event", "made")
)
without_created = st.lists(st.fixed_dictionaries(row), max_size=20).map(lambda rows: unique(rows, "a", "b", "event"))


def join(
    asked: list[dict[str, Any]],
    slices: Sequence[KnownRows],
    ttl: timedelta | None,
    *,
    on: Sequence[str],
    created: str | None,
) -> list[tuple[Any, Any]]:
    source = LakeSource("d", timestamp_field="event", created_timestamp_column=created)
    view = JoinedView("v", source, {name: name for name in on}, {"renamed": "value", "z": "z"}, ttl)
    schema = pa.schema([("a", pa.string()), ("b", pa.int64()), ("t", INSTANT)])
    table = pa.Table.from_pylist(asked, schema)
    found = join_point_in_time(table, [view], time="t", read=lambda *_: slices)
    assert found.schema == pa.schema([("renamed", pa.int64()), ("z", pa.bool_())])
    return list(zip(found["renamed"].to_pylist(), found["z"].to_pylist(), strict=True))


def search(
    entity: dict[str, Any], rows: list[dict[str, Any]], ttl: timedelta | None, *, on: Sequence[str], created: bool
) -> tuple[Any, Any]:
    time = entity["t"]
    seen = [
        r
        for r in rows
        if all(r[name] is not None and r[name] == entity[name] for name in on)
        and r["event"] is not None
        and r["event"] <= time
        and (ttl is None or time - r["event"] <= ttl)
        and (not created or (r["made"] is not None and r["made"] <= time))
    ]
    if not seen:
        return (None, None)
    best = max(seen, key=lambda r: (r["event"], r["made"] if created else BEGIN))
    return (best["value"], best["z"])


def dataset(rows: list[dict[str, Any]]) -> pads.Dataset:
    return pads.dataset(pa.Table.from_pylist(rows, ROWS))


@settings(max_examples=50, deadline=None)
@given(asked=entities, rows=with_created, ttl=ttls, on=st.sampled_from([(), ("a",), ("a", "b")]))
def test_rows_that_say_when_they_were_made_are_not_seen_before(asked, rows, ttl, on) -> None:
    known = [KnownRows(None, None, dataset(unique(rows, *on, "event", "made")))]
    rows = unique(rows, *on, "event", "made")
    expected = [search(entity, rows, ttl, on=on, created=True) for entity in asked]
    assert join(asked, known, ttl, on=on, created="made") == expected


@settings(max_examples=50, deadline=None)
@given(
    asked=entities,
    contents=st.lists(without_created, min_size=1, max_size=3),
    cuts=st.lists(moments, min_size=2, max_size=2, unique=True).map(sorted),
    ttl=ttls,
    on=st.sampled_from([(), ("a",), ("b", "a")]),
)
def test_before_it_was_corrected_a_partition_is_what_it_was(asked, contents, cuts, ttl, on) -> None:
    contents = [unique(rows, *on, "event") for rows in contents]
    cuts = cuts[: len(contents) - 1]
    slices = [
        KnownRows(since, until, dataset(rows))
        for since, until, rows in zip([None, *cuts], [*cuts, None], contents, strict=True)
    ]
    expected = [
        search(entity, contents[sum(cut <= entity["t"] for cut in cuts)], ttl, on=on, created=False) for entity in asked
    ]
    assert join(asked, slices, ttl, on=on, created=None) == expected
