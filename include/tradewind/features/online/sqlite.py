"""Encoded rows into a SQLite online store, in the tables that Feast made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.engine.database import quote_identifier, quote_string
from tradewind.features.online.encoding import serialise_entity_keys
from tradewind.features.online.online_store import FastWriter, OnlineStore

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from feast import FeatureStore, FeatureView
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

    from tradewind.features.online.encoded_rows import EncodedChunk, WriteLayout

_BUSY_SECONDS = 60
_CACHE_KIB = 64 * 1024
_PARAMETERS = 30_000  # SQLite's own limit is 32,766
_EPOCH = datetime(1970, 1, 1)  # Feast stores naive moments
_ROWS_A_STATEMENT = 80


def write_sqlite(store: FeatureStore, view: FeatureView, layout: WriteLayout, chunks: Iterable[EncodedChunk]) -> int:
    """Write each chunk in one transaction; a row never takes the place of one of a later event time.

    :return: how many entities were left as they were, because what the store holds is newer
    """
    from feast.infra.online_stores.helpers import compute_table_id
    from feast.infra.online_stores.sqlite import SqliteOnlineStore

    path = SqliteOnlineStore._get_db_path(store.config)
    table = quote_identifier(compute_table_id(store.project, view))
    features = [feature.name for feature in layout.features]
    kept = 0
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        for chunk in chunks:
            kept += _write_chunk(connection, table, features, chunk)
    return kept


def _write_chunk(connection: sqlite3.Connection, table: str, features: Sequence[str], chunk: EncodedChunk) -> int:
    before = connection.total_changes
    connection.execute("BEGIN IMMEDIATE")
    try:
        # A column's texts that Feast never writes are no parameters: they would cost as much as the others.
        written = [text is not None for text in chunk.texts]
        rows = zip(*_columns(chunk), strict=True)
        group = max(1, min(_ROWS_A_STATEMENT // len(features), _PARAMETERS // (3 + 2 * len(features))))
        whole = len(chunk) // group * group
        created = chunk.created is not None
        if whole:
            grouped = _group_parameters(rows, group, whole)
            connection.executemany(_upsert(table, features, written, created=created, entities=group), grouped)
        connection.executemany(_upsert(table, features, written, created=created, entities=1), rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return len(chunk) - (connection.total_changes - before) // len(features)


def _group_parameters(rows: Iterator[tuple[Any, ...]], group: int, whole: int) -> Iterator[tuple[Any, ...]]:
    """Parameters of ``group`` entities at a time: each run of a statement costs as much as writing two rows."""
    for _ in range(whole // group):
        yield tuple(chain.from_iterable(next(rows) for _ in range(group)))


def _columns(chunk: EncodedChunk) -> Iterator[Sequence[Any]]:
    yield _blobs(chunk.keys)
    yield _seconds(chunk.event)
    if chunk.created is not None:
        micros = chunk.created.drop_null().to_numpy()
        known = iter(_seconds(micros))
        yield [next(known) if valid else None for valid in chunk.created.is_valid().to_pylist()]
    for value, text in zip(chunk.values, chunk.texts, strict=True):
        yield _blobs(value)
        if text is not None:
            yield text.to_numpy(zero_copy_only=False).tolist()


def _blobs(column: pa.Array) -> list[bytearray]:
    # For every `bytes` Python's sqlite3 looks for an adapter, which takes longer than writing it; not so for these.
    return list(map(bytearray, column.to_numpy(zero_copy_only=False).tolist()))


def _seconds(micros: np.ndarray[Any, np.dtype[np.int64]]) -> list[int]:
    """Feast's way: the moment in UTC, read as if it were local time, in whole seconds towards zero."""
    import numpy as np

    moments, rows = np.unique(micros, return_inverse=True)
    seconds = [int((_EPOCH + timedelta(microseconds=moment)).timestamp()) for moment in moments.tolist()]
    found: list[int] = np.array(seconds, np.int64)[rows].tolist()
    return found


def _upsert(table: str, features: Sequence[str], written: Sequence[bool], *, created: bool, entities: int) -> str:
    rows, number = [], 0
    for _ in range(entities):
        key, event, at = f"?{number + 1}", f"?{number + 2}", f"?{number + 3}" if created else "NULL"
        number += 3 if created else 2
        for feature, with_text in zip(features, written, strict=True):
            value, text = f"?{number + 1}", f"?{number + 2}" if with_text else "NULL"
            number += 2 if with_text else 1
            rows.append(f"({key}, {quote_string(feature)}, {value}, {text}, {event}, {at})")
    return (
        f"INSERT INTO {table} AS held (entity_key, feature_name, value, value_text, event_ts, created_ts) "
        f"VALUES {', '.join(rows)} ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value, "
        f"value_text = excluded.value_text, event_ts = excluded.event_ts, created_ts = excluded.created_ts "
        f"WHERE (held.event_ts > excluded.event_ts) IS NOT TRUE"
    )


def erase_sqlite(store: FeatureStore, view: FeatureView, keys: Sequence[EntityKey]) -> int:
    """Remove entities, also from the free pages of the file.

    :return: how many of them there were
    """
    from feast.infra.online_stores.helpers import compute_table_id
    from feast.infra.online_stores.sqlite import SqliteOnlineStore

    table = quote_identifier(compute_table_id(store.project, view))
    removed = 0
    path = SqliteOnlineStore._get_db_path(store.config)
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection, connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table.strip('"')]).fetchall():
            return 0
        for key in serialise_entity_keys(keys):
            removed += connection.execute(f"DELETE FROM {table} WHERE entity_key = ?", [key]).rowcount > 0
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("VACUUM")  # SQLite leaves what was deleted in the file's free pages
    return removed


def _folders(given: Mapping[str, Any]) -> list[Path]:
    return [Path(given["path"]).parent] if "path" in given else []


SQLITE_STORE = OnlineStore(
    "sqlite",
    folders=_folders,
    failures=lambda: (sqlite3.OperationalError,),
    writer=FastWriter(write_sqlite, most_features=1000),
    erase=erase_sqlite,
)
