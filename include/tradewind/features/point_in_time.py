"""The point-in-time join: for each entity and view the newest row that was known at the entity's time, in DuckDB.

Feast's rule, made strict: a row with a `created` column is not seen before that moment (Feast uses it to break ties
only), and a partition's correction is not seen before it was published. All else is as Feast's DuckDB store does it:
the newest `timestamp_field` at or before the entity's time, of equal ones the newest `created`, nothing older than the
ttl, and NULL joins nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tradewind.engine.database import quote_identifier
from tradewind.errors import UsageError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from feast import FeatureView

    from tradewind.features.known_rows import KnownRows
    from tradewind.features.source import LakeSource

Read = Callable[["LakeSource", "datetime | None", "datetime | None"], "Sequence[KnownRows]"]
"""Gives the rows of a source from one moment to another (None: without limit), in slices of what was known when."""


@dataclass(frozen=True, slots=True)
class JoinedView:
    """What of one feature view is joined.

    :param keys: columns of the dataset, by the columns of the entities that they must equal
    :param features: columns of the dataset, by the names that they get
    :param ttl: how long a row stays in force; None for ever
    """

    name: str
    source: LakeSource
    keys: Mapping[str, str]
    features: Mapping[str, str]
    ttl: timedelta | None


def joined_view(view: FeatureView, features: Mapping[str, str]) -> JoinedView:
    """What to join of a view that Feast has projected.

    :param features: names of its features, by the names that they get
    """
    from feast.feature_view import DUMMY_ENTITY_ID

    from tradewind.features.definitions import view_source

    source = view_source(view)
    before = {new: old for old, new in source.field_mapping.items()}
    renamed = view.projection.join_key_map or {}
    names = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
    return JoinedView(
        str(view.name),
        source,
        {renamed.get(name, name): before.get(name, name) for name in names},
        {given: before.get(name, name) for given, name in features.items()},
        view.ttl or None,
    )


def join_point_in_time(entities: pa.Table, views: Sequence[JoinedView], *, time: str, read: Read) -> pa.Table:
    """The features of ``views`` for each of ``entities``: as many rows, in the same order, with the features only.

    :param time: column of the entities with the moment at which features are asked for, with time zone
    :raises UsageError: a key of the entities cannot be compared with the view's
    """
    import duckdb
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = list(dict.fromkeys(key for view in views for key in view.keys))
    instants = entities[time].cast(pa.timestamp("us", "UTC"), safe=False)
    given = {"row": pa.array(range(entities.num_rows), pa.int64()), "instant": instants}
    given |= {f"key{number}": entities[key] for number, key in enumerate(keys)}
    first, last = pc.min(instants).as_py(), pc.max(instants).as_py()
    columns: dict[str, Any] = {}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("entities", pa.table(given))
        for view in views:
            slices = read(view.source, first - view.ttl if view.ttl else None, last)
            slices = [one for one in slices if _overlaps(one, first, last)]
            joined = _join_view(connection, view, slices, keys)
            kinds = slices[0].rows.schema
            for name, column in view.features.items():
                columns[name] = joined[name].cast(kinds.field(column).type)
    return pa.table(columns)


def _overlaps(one: KnownRows, first: datetime, last: datetime) -> bool:
    return (one.since is None or one.since <= last) and (one.until is None or first < one.until)


def _join_view(
    connection: duckdb.DuckDBPyConnection, view: JoinedView, slices: Sequence[KnownRows], keys: Sequence[str]
) -> pa.Table:
    import duckdb

    queries = []
    for number, one in enumerate(slices):
        connection.register(f"rows{number}", one.rows)
        queries.append(_query(view, one, f"rows{number}", keys))
    try:
        return connection.sql(" UNION ALL ".join(queries) + ' ORDER BY "row"').to_arrow_table()
    except (duckdb.BinderException, duckdb.ConversionException) as exc:
        raise UsageError(
            f"feature view {view.name}: the keys of the entities ({', '.join(view.keys)}) or its columns do not fit "
            f"the dataset {view.source.dataset}: {exc}"
        ) from exc
    finally:
        for number in range(len(slices)):
            connection.unregister(f"rows{number}")


def _query(view: JoinedView, one: KnownRows, rows: str, keys: Sequence[str]) -> str:
    """Entities of one slice of time, each with its row of the view."""
    # Parameters cannot stand in a relation; these are numbers, and names are quoted.
    bounds = [
        *([f"instant >= make_timestamptz({_micros(one.since)})"] if one.since else []),
        *([f"instant < make_timestamptz({_micros(one.until)})"] if one.until else []),
    ]
    asked = f"(SELECT * FROM entities WHERE {' AND '.join(bounds) or 'true'})"
    equal = [f"e.key{keys.index(key)} = v.k{number}" for number, key in enumerate(view.keys)]
    fresh = (
        f"epoch_us(e.instant) - epoch_us(v.event) <= {view.ttl // timedelta(microseconds=1)}" if view.ttl else "true"
    )
    features = ", ".join(
        f"CASE WHEN {fresh} THEN v.f{n} END AS {quote_identifier(name)}" for n, name in enumerate(view.features)
    )
    return (
        f'SELECT e."row", {features} FROM {asked} e ASOF LEFT JOIN ({_steps_query(view, rows)}) v '
        f"ON {' AND '.join([*equal, 'e.instant >= v.known'])}"
    )


def _steps_query(view: JoinedView, rows: str) -> str:
    """The view's rows as steps in time: from `known` on, the row is the answer for its key."""
    event, created = quote_identifier(view.source.timestamp_field), view.source.created_timestamp_column
    keys = [f"{quote_identifier(column)} AS k{number}" for number, column in enumerate(view.keys.values())]
    features = {f"f{number}": quote_identifier(column) for number, column in enumerate(view.features.values())}
    named = [f"{column} AS {name}" for name, column in features.items()]
    if not created:
        return f"SELECT {', '.join([*keys, *named, f'{event} AS event', f'{event} AS known'])} FROM {rows}"
    moment, partition = quote_identifier(created), ", ".join(f"k{number}" for number in range(len(keys)))
    # A row that is known later than a newer one changes nothing: the newest of what is known by then is what counts.
    plain = (
        f"SELECT {', '.join([*keys, *named, f'{event} AS event', f'{moment} AS made'])} FROM {rows} "
        f"WHERE {event} IS NOT NULL AND {moment} IS NOT NULL"
    )
    values = ", ".join(f"'{name}': {name}" for name in ["event", *features])
    over = f"{f'PARTITION BY {partition} ' if keys else ''}ORDER BY greatest(event, made)"
    best = (
        "SELECT *, greatest(event, made) AS known, "
        f"arg_max({{{values}}}, {{'event': event, 'made': made}}) OVER ({over}) AS best FROM ({plain})"
    )
    picked = [*(f"k{number}" for number in range(len(keys))), "known", "best.event AS event"]
    return f"SELECT {', '.join([*picked, *(f'best.{name} AS {name}' for name in features)])} FROM ({best})"


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
