"""Encoded rows into a PostgreSQL online store, in the tables that Feast made."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from tradewind.core.network import POSTGRES, keep_alive, limit_answers
from tradewind.engine.database import quote_identifier, quote_string
from tradewind.features.online.encoding import serialise_entity_keys
from tradewind.features.online.online_store import FastWriter, OnlineStore

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from feast import FeatureStore, FeatureView
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

    from tradewind.features.online.encoded_rows import EncodedChunk, WriteLayout

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_END = struct.pack(">h", -1)
_NULL = struct.pack(">i", -1)
_SINCE_2000 = 946_684_800_000_000  # microseconds: PostgreSQL counts from 2000


def write_postgres(store: FeatureStore, view: FeatureView, layout: WriteLayout, chunks: Iterable[EncodedChunk]) -> int:
    """Write each chunk in one transaction; a row never takes the place of one of a later event time.

    :return: how many entities were left as they were, because what the store holds is newer
    """
    from feast.infra.online_stores.helpers import compute_table_id
    from feast.infra.utils.postgres.connection_utils import _get_conn

    table = quote_identifier(compute_table_id(store.project, view))
    names = [feature.name for feature in layout.features]
    copy, upsert = "COPY pg_temp.arrived FROM STDIN (FORMAT BINARY)", _upsert(table, names)
    kept = 0
    with closing(_get_conn(store.config.online_store)) as connection:
        keep_alive(connection)
        limit_answers(connection)
        connection.execute(_staging(len(names)))
        connection.commit()
        for chunk in chunks:
            with connection.cursor() as cursor:
                with cursor.copy(copy) as into:
                    into.write(_SIGNATURE)
                    into.write(_copy_rows(chunk))
                    into.write(_END)
                cursor.execute(upsert)
                kept += len(chunk) - cursor.rowcount // len(names)
            connection.commit()  # empties the staging table too
    return kept


def _staging(features: int) -> str:
    """Table of the columns that :func:`_copy_rows` fills; times are naive because Feast hands PostgreSQL naive ones."""
    pairs = ", ".join(f"v{i} bytea, t{i} text" for i in range(features))
    return (
        f"CREATE TEMP TABLE arrived (entity_key bytea, event timestamp, created timestamp, {pairs}) "
        "ON COMMIT DELETE ROWS"
    )


def _upsert(table: str, names: list[str]) -> str:
    pairs = ", ".join(f"({quote_string(name)}, v{i}, t{i})" for i, name in enumerate(names))
    # in the order of the keys, for two that write at one time must take their locks in one order
    return (
        f"INSERT INTO {table} AS held (entity_key, feature_name, value, value_text, event_ts, created_ts) "
        f"SELECT entity_key, f.name, f.value, f.text, event, created FROM pg_temp.arrived "
        f"CROSS JOIN LATERAL (VALUES {pairs}) AS f (name, value, text) ORDER BY entity_key, f.name "
        f"ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value, "
        f"value_text = excluded.value_text, event_ts = excluded.event_ts, created_ts = excluded.created_ts "
        f"WHERE (held.event_ts > excluded.event_ts) IS NOT TRUE"
    )


def _copy_rows(chunk: EncodedChunk) -> memoryview:
    """The rows in the binary format of COPY: number of fields, then each with its length in front."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    everything = pa.array([True]).take(pa.array(np.zeros(len(chunk), np.int64)))
    pieces: list[Any] = [pa.scalar(struct.pack(">h", 3 + 2 * len(chunk.values)))]
    pieces += [_sizes(chunk.keys), chunk.keys, *_moments(chunk.event, everything)]
    if chunk.created is None:
        pieces.append(pa.scalar(_NULL))
    else:
        pieces += _moments(np.asarray(chunk.created.fill_null(0)), chunk.created.is_valid())
    for value, text in zip(chunk.values, chunk.texts, strict=True):
        pieces += [_sizes(value), value]
        pieces += [pa.scalar(_NULL)] if text is None else [_sizes(text), text.cast(pa.binary()).fill_null(b"")]
    joined = pc.binary_join_element_wise(*pieces, pa.scalar(b""))
    return memoryview(joined.buffers()[2])


def _sizes(column: pa.Array) -> pa.Array:
    import numpy as np
    import pyarrow.compute as pc

    return _big_endian(np.asarray(pc.fill_null(pc.binary_length(column), -1)), ">i4")


def _moments(micros: np.ndarray[Any, np.dtype[np.int64]], valid: pa.Array) -> list[pa.Array]:
    """Length and value of a timestamp; NULL has the length -1 and no value."""
    import numpy as np
    import pyarrow.compute as pc

    sizes = _big_endian(np.where(valid, 8, -1), ">i4")
    return [sizes, pc.if_else(valid, _big_endian(micros - _SINCE_2000, ">i8"), b"")]


def _big_endian(numbers: np.ndarray[Any, Any], kind: str) -> pa.Array:
    """Whole numbers with their highest byte first."""
    import numpy as np

    from tradewind.features.online import encoding

    swapped = np.ascontiguousarray(numbers.astype(kind))
    matrix = swapped.view(np.uint8).reshape(len(swapped), swapped.itemsize)
    return encoding.matrix_to_binary(matrix, np.full(len(swapped), swapped.itemsize))


def erase_postgres(store: FeatureStore, view: FeatureView, keys: Sequence[EntityKey]) -> int:
    """Remove entities.

    :return: how many of them there were
    """
    from feast.infra.online_stores.helpers import compute_table_id
    from feast.infra.utils.postgres.connection_utils import _get_conn

    table = quote_identifier(compute_table_id(store.project, view))
    removed = 0
    with closing(_get_conn(store.config.online_store)) as connection:
        keep_alive(connection)
        limit_answers(connection)
        for key in serialise_entity_keys(keys):
            removed += connection.execute(f"DELETE FROM {table} WHERE entity_key = %s", [key]).rowcount > 0
        connection.commit()
    return removed


def _limit_feast(store: FeatureStore) -> None:
    """Limit what Feast itself asks of PostgreSQL, for which it takes no such limit."""
    online: Any = store._get_provider().online_store
    connect = online._get_conn

    @contextmanager
    def connect_with_limits(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with connect(*args, **kwargs) as connection:
            keep_alive(connection)
            yield limit_answers(connection)

    online._get_conn = connect_with_limits


def _describe(given: Mapping[str, Any]) -> str:
    return f"{given.get('host')}:{given.get('port', 5432)}/{given.get('database')}"


def _failures() -> tuple[type[Exception], ...]:
    from psycopg import OperationalError

    return (OperationalError,)


POSTGRES_STORE = OnlineStore(
    "postgres",
    drivers=("psycopg", "psycopg_pool"),
    describe=_describe,
    configure=lambda given: {"keepalives_idle": POSTGRES["keepalives_idle"], **given},
    failures=_failures,
    limit=_limit_feast,
    writer=FastWriter(write_postgres, most_features=700),
    erase=erase_postgres,
)
