"""Which time one materialisation covers, and whether the rows in it can be trusted in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tradewind.errors import MalformedInput
from tradewind.features.definitions import source_of

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

    from tradewind.spec.partitions import Bounds, Partitioning


@dataclass(frozen=True, slots=True)
class Window:
    """Feature rows with a timestamp in ``[start, end]`` (aware, both included)."""

    start: datetime
    end: datetime


def window(partitioning: Partitioning, partition: str, *, lookback: int, materialised: Sequence[str] = ()) -> Window:
    """The window of ``partition``: it and the ``lookback - 1`` partitions before it.

    Its end is included, because what a partition tells is known at its end. Where later partitions have been
    materialised already, it reaches to the end of the newest: Feast writes what it is given, so that an older window
    on its own would put old values in the place of newer ones.

    :param materialised: partitions that have been materialised before
    """
    newest = max([partition, *materialised])
    start = partitioning.bounds(partitioning.shift(partition, 1 - lookback)).start
    return Window(start, partitioning.bounds(newest).end)


def entities(store: FeatureStore, view: FeatureView, window: Window, *, partition: str, bounds: Bounds) -> int:
    """Number of entities that ``view`` has in ``window``, after checking that their rows are right in time.

    :param partition: the partition that is being materialised, with its ``bounds``
    :raises MalformedInput: a row of the partition has a timestamp outside it, an entity column is NULL, or an entity
        has two rows of one time (which of them is joined would be chance)
    """
    import duckdb

    from tradewind.features.offline_store import pinned

    source = source_of(view)
    names = [_quoted(column.name) for column in view.entity_columns]
    keys, missing = ", ".join(names) or "1", " OR ".join(f"{name} IS NULL" for name in names) or "false"
    created = f", {_quoted(source.created_timestamp_column)}" if source.created_timestamp_column else ""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("feature_rows", pinned(store.config, source, since=window.start, until=window.end))
        query = _QUERY.format(
            keys=keys,
            missing=missing,
            time=_quoted(source.timestamp_field),
            created=created,
            made=_quoted(source.created_timestamp_column or source.timestamp_field),
        )
        given = {
            "partition": partition,
            "start": bounds.start,
            "end": bounds.end,
            "since": window.start,
            "until": window.end,
        }
        outside, nulls, doubled, found = connection.execute(query, given).fetchall()[0]
    what = f"feature view {view.name} over dataset {source.dataset}, partition {partition}"
    if outside:
        raise MalformedInput(
            f"{what}: {outside} rows have no {source.timestamp_field} after {bounds.start} and up to {bounds.end}; "
            f"a feature row becomes known within its partition, at the latest when it ends (with a created column: is "
            f"made within it, not before that time): correct the dataset's SQL"
        )
    if nulls:
        raise MalformedInput(
            f"{what}: {nulls} rows have NULL in an entity column ({keys}); leave them out in the dataset's SQL"
        )
    if doubled:
        raise MalformedInput(
            f"{what}: {doubled} entities ({keys}) have more than one row for one {source.timestamp_field}; "
            f"give the dataset `keys` and make its SQL return one row for each"
        )
    return int(found)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_QUERY = """
WITH rows AS MATERIALIZED (
    SELECT row({keys}) AS entity, ({missing}) AS missing, {time} AS known, {made} AS made, "partition" AS part,
           row({keys}{created}, {time}) AS version
    FROM feature_rows
), inside AS (SELECT * FROM rows WHERE known BETWEEN $since AND $until)
SELECT
    (SELECT count(*) FROM rows WHERE part = $partition AND NOT coalesce(
        ((known > $start AND known <= $end) OR (made > $start AND made <= $end)) AND made >= known, false)),
    (SELECT count(*) FROM rows WHERE part = $partition AND missing),
    (SELECT count(*) FROM (SELECT version FROM inside GROUP BY version HAVING count(*) > 1)),
    (SELECT count(DISTINCT entity) FROM inside)
"""
