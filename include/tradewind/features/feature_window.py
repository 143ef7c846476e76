"""Which time one materialisation covers, and whether the rows in it can be trusted in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tradewind.engine.database import connect_duckdb, quote_identifier
from tradewind.errors import MalformedInput
from tradewind.features.definitions import view_source

if TYPE_CHECKING:
    import duckdb
    from feast import FeatureStore, FeatureView

    from tradewind.features.source import LakeSource
    from tradewind.spec.partitions import Bounds, Partitioning


@dataclass(frozen=True, slots=True)
class FeatureWindow:
    """Feature rows with a timestamp in ``[start, end]`` (aware, both included)."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """How many rows a window has, of how many entities."""

    rows: int
    entities: int


def partition_window(
    partitioning: Partitioning, partition: str, *, lookback: int, newest: str | None = None
) -> FeatureWindow:
    """The window of ``partition``: it and the ``lookback - 1`` partitions before it.

    Its end is included, because what a partition tells is known at its end; so what is known as the first one begins
    belongs to the one before.

    :param newest: reach to the end of this partition, if it is later
    """
    start = partitioning.bounds(partitioning.shift(partition, 1 - lookback)).start
    return FeatureWindow(
        start + timedelta(microseconds=1), partitioning.bounds(max(partition, newest or partition)).end
    )


def window_condition(time: str, created: str | None) -> str:
    """SQL: whether a row belongs to the window from ``$since`` to ``$until``.

    A late row tells of a time before the window; it belongs to it because it was made in it.

    :param time: the quoted column with the moment from which a row is known
    :param created: the quoted column with the moment at which it was made, if there is one
    """
    belongs = f"{time} BETWEEN $since AND $until"
    return f"({belongs} OR ({created} BETWEEN $since AND $until AND {time} < $since))" if created else f"({belongs})"


def check_window_rows(
    store: FeatureStore, view: FeatureView, window: FeatureWindow, *, partition: str, bounds: Bounds
) -> WindowCounts:
    """What ``view`` has in ``window``, after checking that its rows are right in time.

    :param partition: the partition that is being materialised, with its ``bounds``
    :raises MalformedInput: a row of the partition has a timestamp outside it, an entity column is NULL, or an entity
        has two rows of one time (which of them is joined would be chance)
    """
    from tradewind.features.pinned_datasets import pinned_arrow_dataset

    source = view_source(view)
    renamed = {new: old for old, new in source.field_mapping.items()}
    keys = [quote_identifier(renamed.get(column.name, column.name)) for column in view.entity_columns]
    given = {
        "partition": partition,
        "start": bounds.start,
        "end": bounds.end,
        "since": window.start,
        "until": window.end,
    }
    with TemporaryDirectory(prefix="tradewind-features-") as spill, connect_duckdb(Path(spill)) as connection:
        connection.register(
            "feature_rows", pinned_arrow_dataset(store.config, source.dataset, since=window.start, until=window.end)
        )
        numbers = _run_count_queries(connection, _count_queries(source, keys), given)
    _refuse_bad_rows(view, partition, bounds, numbers, keys=", ".join(keys))
    return WindowCounts(rows=numbers["rows"], entities=numbers["entities"])


def _count_queries(source: LakeSource, keys: Sequence[str]) -> dict[str, str]:
    """The numbers, each as a query; those that cost a look at every entity once more come last."""
    time = quote_identifier(source.timestamp_field)
    created = quote_identifier(source.created_timestamp_column) if source.created_timestamp_column else None
    made, belongs = created or time, window_condition(time, created)
    versions = ", ".join([*keys, time, *([created] if created else [])])
    own, missing = '"partition" = $partition', " OR ".join(f"{key} IS NULL" for key in keys) or "false"
    right = f"(({time} > $start AND {time} <= $end) OR ({made} > $start AND {made} <= $end)) AND {made} >= {time}"
    entities = f"SELECT DISTINCT {', '.join(keys)} FROM feature_rows WHERE {belongs}" if keys else "SELECT 1"
    return {
        "rows": f"SELECT count(*) FROM feature_rows WHERE {belongs}",
        "outside": f"SELECT count(*) FROM feature_rows WHERE {own} AND NOT coalesce({right}, false)",
        "nulls": f"SELECT count(*) FROM feature_rows WHERE {own} AND ({missing})",
        "entities": f"SELECT count(*) FROM ({entities})",
        "doubled": f"SELECT count(*) FROM (SELECT 1 FROM feature_rows WHERE {belongs} GROUP BY {versions} "
        f"HAVING count(*) > 1)",
    }


def _run_count_queries(
    connection: duckdb.DuckDBPyConnection, queries: Mapping[str, str], given: Mapping[str, object]
) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for name, query in queries.items():
        if name == "doubled" and numbers["rows"] == numbers["entities"]:  # then no entity has two rows
            numbers[name] = 0
            continue
        values = {parameter: value for parameter, value in given.items() if f"${parameter}" in query}
        (numbers[name],) = connection.execute(query, values).fetchall()[0]
    return numbers


def _refuse_bad_rows(
    view: FeatureView, partition: str, bounds: Bounds, numbers: Mapping[str, int], *, keys: str
) -> None:
    source = view_source(view)
    what = f"feature view {view.name} over dataset {source.dataset}, partition {partition}"
    if numbers["outside"]:
        raise MalformedInput(
            f"{what}: {numbers['outside']} rows have no {source.timestamp_field} after {bounds.start} and up to "
            f"{bounds.end}; a feature row becomes known within its partition, at the latest when it ends (with a "
            f"created column: is made within it, not before that time): correct the dataset's SQL"
        )
    if numbers["nulls"]:
        raise MalformedInput(
            f"{what}: {numbers['nulls']} rows have NULL in an entity column ({keys}); leave them out in the dataset's "
            f"SQL"
        )
    if numbers["doubled"]:
        raise MalformedInput(
            f"{what}: {numbers['doubled']} entities ({keys}) have more than one row for one {source.timestamp_field}; "
            f"give the dataset `keys` and make its SQL return one row for each"
        )
