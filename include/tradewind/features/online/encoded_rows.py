"""The newest row of each entity of a window, as a stream of encoded chunks."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.engine.database import quote_identifier
from tradewind.features.feature_window import window_condition

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

CHUNK_ROWS = 16_384
_MEMORY = "512MB"


@dataclass(frozen=True, slots=True, order=True)
class OnlineColumn:
    """One column that is written.

    :param name: its name in Feast
    :param source: its name in the dataset
    :param kind: name of its Feast value type
    """

    name: str
    source: str
    kind: str


@dataclass(frozen=True, slots=True)
class WriteLayout:
    """What of a feature view is written.

    :param keys: the join keys, in their order in the entity key: by name
    :param features: the features, in the view's order
    :param event: column of the dataset with the moment from which a row is known
    :param created: column of the dataset with the moment at which it was written, if there is one
    """

    keys: tuple[OnlineColumn, ...]
    features: tuple[OnlineColumn, ...]
    event: str
    created: str | None


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """Rows of some entities, each of them once.

    :param keys: serialised entity keys
    :param event: event times, microseconds since 1970
    :param created: the same for the moments of writing, NULL where there is none; None if the source has no such column
    :param values: one column of serialised values for each feature
    :param texts: the same as text, as far as Feast writes it; None for a feature that it does not write
    """

    keys: pa.Array
    event: np.ndarray[Any, np.dtype[np.int64]]
    created: pa.Array | None
    values: list[pa.Array]
    texts: list[pa.Array | None]

    def __len__(self) -> int:
        return len(self.keys)


def read_encoded_chunks(
    dataset: object,
    layout: WriteLayout,
    window: tuple[object, object],
    *,
    unique: bool,
    ordered: bool,
    texts: bool,
    suffix: bytes = b"",
) -> Generator[EncodedChunk]:
    """Read and encode, one chunk ahead of the writer.

    :param dataset: Arrow dataset with the columns that ``layout`` names
    :param window: first and last moment, both included
    :param unique: no entity has two rows in the window
    :param ordered: in the order of the serialised keys: a B-tree that is filled in its order is filled faster
    :param texts: with texts
    :param suffix: what follows each key
    """
    query = newest_rows_query(layout, unique=unique, ordered=ordered, texts=texts)
    with _open_reader(dataset, query, window) as reader, _read_ahead(_encode_batches(reader, layout, suffix)) as ready:
        yield from ready


def newest_rows_query(layout: WriteLayout, *, unique: bool, ordered: bool, texts: bool) -> str:
    """The query behind :func:`read_encoded_chunks`: columns ``k0…``, ``event``, ``created``, ``f0…`` and ``t0…``."""
    names = [f"{_value_sql(key)} AS k{i}" for i, key in enumerate(layout.keys)]
    names.append(f"epoch_us({quote_identifier(layout.event)}) AS event")
    if layout.created:
        names.append(f"epoch_us({quote_identifier(layout.created)}) AS created")
    for i, feature in enumerate(layout.features):
        names.append(f"{_value_sql(feature)} AS f{i}")
        text = _text_sql(feature) if texts else None
        names += [f"{text} AS t{i}"] if text else []
    time, created = quote_identifier(layout.event), quote_identifier(layout.created) if layout.created else None
    query = f"SELECT {', '.join(names)} FROM feature_rows WHERE {window_condition(time, created)}"
    if not unique:
        by = ", ".join(quote_identifier(key.source) for key in layout.keys)
        newest = [f"{time} DESC", *([f"{created} DESC NULLS LAST"] if created else [])]
        query += f" QUALIFY row_number() OVER (PARTITION BY {by} ORDER BY {', '.join(newest)}) = 1"
    if ordered:
        query += (
            f" ORDER BY {', '.join(order for i, key in enumerate(layout.keys) for order in _key_order(key, f'k{i}'))}"
        )
    return query


def _value_sql(column: OnlineColumn) -> str:
    """The column as :func:`tradewind.features.online.encoding.encode_values` takes it, with Feast's idea of NULL."""
    name = quote_identifier(column.source)
    match column.kind:
        case "UNIX_TIMESTAMP":  # what Feast writes for NULL is its smallest integer
            return (
                f"coalesce(epoch_us({name}) // 1000000 - (epoch_us({name}) % 1000000 < 0)::BIGINT, {-(2**63)})::BIGINT"
            )
        case "DOUBLE" | "FLOAT":
            return f"nullif({name}, 'NaN'::{column.kind})"
        case kind:
            return f"{name}::{_TYPES[kind]}"


_TYPES = {"INT32": "INTEGER", "INT64": "BIGINT", "BOOL": "BOOLEAN", "STRING": "VARCHAR", "BYTES": "BLOB"}


def _text_sql(column: OnlineColumn) -> str | None:
    name = quote_identifier(column.source)
    match column.kind:
        case "BYTES" | "UNIX_TIMESTAMP":
            return None
        case "BOOL":
            return f"CASE WHEN {name} THEN 'True' WHEN NOT {name} THEN 'False' END"
        case "FLOAT" | "DOUBLE":  # the shortest decimal that reads back as the same double, as Python spells it
            return f"nullif({name}, 'NaN'::{column.kind})::DOUBLE::VARCHAR"
        case _:
            return f"{name}::VARCHAR"


def _key_order(key: OnlineColumn, name: str) -> list[str]:
    """Numbers stand in the key with their lowest byte first, texts after their length in bytes."""
    if key.kind in ("INT32", "INT64"):
        width = 4 if key.kind == "INT32" else 8
        unsigned = f"({name}::HUGEINT + CASE WHEN {name} < 0 THEN {1 << 8 * width} ELSE 0 END)::UBIGINT"
        swapped = " | ".join(f"((({unsigned} >> {8 * b}) & 255) << {8 * (width - 1 - b)})" for b in range(width))
        return [f"({swapped})"]
    length = f"strlen({name})" if key.kind == "STRING" else f"octet_length({name})"
    return [f"{length} & 255", f"({length} >> 8) & 255", f"{length} >> 16", name]


@contextmanager
def _open_reader(dataset: object, query: str, window: tuple[object, object]) -> Iterator[pa.RecordBatchReader]:
    from tradewind.engine.database import connect_duckdb

    with tempfile.TemporaryDirectory(prefix="tradewind-features-") as spill:
        connection = connect_duckdb(Path(spill), _MEMORY)
        try:
            connection.register("feature_rows", dataset)
            found = connection.sql(query, params={"since": window[0], "until": window[1]})
            yield found.to_arrow_reader(CHUNK_ROWS)
        finally:
            connection.close()


def _encode_batches(reader: pa.RecordBatchReader, layout: WriteLayout, suffix: bytes) -> Iterator[EncodedChunk]:
    import numpy as np

    from tradewind.features.online import encoding

    for batch in reader:
        if not batch.num_rows:
            continue
        keys = [(key.name, key.kind, batch[f"k{i}"]) for i, key in enumerate(layout.keys)]
        yield EncodedChunk(
            keys=encoding.encode_entity_keys(keys, suffix=suffix),
            event=np.asarray(batch["event"]),
            created=batch["created"] if layout.created else None,
            values=[encoding.encode_values(batch[f"f{i}"], feature.kind) for i, feature in enumerate(layout.features)],
            texts=[batch[f"t{i}"] if f"t{i}" in batch.schema.names else None for i in range(len(layout.features))],
        )


@contextmanager
def _read_ahead(items: Iterator[EncodedChunk]) -> Iterator[Iterator[EncodedChunk]]:
    """Take the items in a thread of their own, two ahead: reading and writing wait for different things."""
    ready: queue.Queue[EncodedChunk | BaseException | None] = queue.Queue(2)
    over = threading.Event()

    def take() -> None:
        end: BaseException | None = None
        try:
            for item in items:
                if over.is_set():
                    return
                ready.put(item)
        except BaseException as exc:  # raised again where the items are used
            end = exc
        ready.put(end)

    def given() -> Iterator[EncodedChunk]:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=take, name="tradewind-features", daemon=True)
    thread.start()
    try:
        yield given()
    finally:
        over.set()
        while thread.is_alive():  # it may wait for room
            _drain_queue(ready)
            thread.join(0.01)


def _drain_queue(ready: queue.Queue[Any]) -> None:
    while not ready.empty():
        ready.get_nowait()
