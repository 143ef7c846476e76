"""What is put together by columns is what Feast's own code makes of each value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from feast.entity import Entity
from feast.feature_view import FeatureView
from feast.field import Field
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.types import Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp
from feast.utils import _convert_arrow_to_proto
from feast.value_type import ValueType
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.features.online import encoded_rows, encoding
from tradewind.features.online.write_layout import plan_write_layout
from tradewind.features.source import LakeSource

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)
# Feast takes whole numbers through doubles where the column has a NULL, and loses what a double cannot hold.
WHOLE = st.integers(-(2**53), 2**53)
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
FLOAT32 = st.floats(width=32, allow_subnormal=True)
TYPES: dict[str, tuple[Any, pa.DataType, st.SearchStrategy[Any]]] = {
    "int32": (Int32, pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "small": (Int32, pa.int8(), st.integers(-128, 127)),
    "int64": (Int64, pa.int64(), WHOLE),
    "float32": (Float32, pa.float32(), FLOAT32),
    "float64": (Float64, pa.float64(), st.floats()),
    "string": (String, pa.string(), TEXT | st.text("ab", min_size=100, max_size=300)),
    "large": (String, pa.large_string(), TEXT),
    "bool": (Bool, pa.bool_(), st.booleans()),
    # Not empty: of a batch in which all are, Feast makes NULL.
    "bytes": (Bytes, pa.binary(), st.binary(min_size=1, max_size=200)),
    "moment": (UnixTimestamp, pa.timestamp("us", "UTC"), MOMENTS),
}
VIEW = FeatureView(
    name="view",
    entities=[
        Entity(name="user", value_type=ValueType.STRING),
        Entity(name="place", value_type=ValueType.INT64),
        Entity(name="area", value_type=ValueType.INT32),
    ],
    schema=[
        Field(name="user", dtype=String),
        Field(name="place", dtype=Int64),
        Field(name="area", dtype=Int32),
        *(Field(name=name, dtype=kind) for name, (kind, _, _) in TYPES.items()),
    ],
    source=LakeSource("data", timestamp_field="known_at", created_timestamp_column="made_at"),
)
SCHEMA = pa.schema(
    [
        ("user", pa.string()),
        ("place", pa.int64()),
        ("area", pa.int32()),
        ("known_at", pa.timestamp("us", "UTC")),
        ("made_at", pa.timestamp("us", "UTC")),
        *((name, kind) for name, (_, kind, _) in TYPES.items()),
    ]
)
ROW = st.fixed_dictionaries(
    {
        "user": TEXT,
        "place": st.integers(-(2**63), 2**63 - 1),
        "area": st.integers(-(2**31), 2**31 - 1),
        "known_at": MOMENTS,
        "made_at": MOMENTS,
        **{name: st.none() | strategy for name, (_, _, strategy) in TYPES.items()},
    }
)
STORE: Any = SimpleNamespace(
    config=SimpleNamespace(
        online_store=SimpleNamespace(type="sqlite"),
        registry=SimpleNamespace(enable_online_feature_view_versioning=False),
        entity_key_serialization_version=3,
    ),
    list_feature_services=list,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=12, unique_by=lambda row: (row["user"], row["place"], row["area"])))
def test_any_rows_become_the_bytes_that_feast_makes(found: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(found, SCHEMA)
    plan = plan_write_layout(STORE, VIEW, SCHEMA)
    assert isinstance(plan, encoded_rows.WriteLayout)
    window = datetime(1800, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
    made = list(
        encoded_rows.read_encoded_chunks(pads.dataset(table), plan, window, unique=True, ordered=True, texts=True)
    )
    keys = [key.as_py() for chunk in made for key in chunk.keys]
    assert keys == sorted(keys)
    assert {row[0]: row[1:] for chunk in made for row in ours(chunk)} == feasts(table)


def ours(chunk: encoded_rows.EncodedChunk) -> list[tuple[Any, ...]]:
    assert chunk.created is not None
    names = [field.name for field in VIEW.features]
    values = [dict(zip(names, row, strict=True)) for row in zip(*(c.to_pylist() for c in chunk.values), strict=True)]
    none = [None] * len(chunk)
    columns = [none if c is None else c.to_pylist() for c in chunk.texts]
    texts = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    moments = [pa.array(chunk.event), chunk.created]
    times = zip(*(m.cast(pa.timestamp("us")).to_pylist() for m in moments), strict=True)
    return list(zip(chunk.keys.to_pylist(), values, texts, times, strict=True))


def feasts(table: pa.Table) -> dict[bytes, tuple[Any, ...]]:
    keys = {field.name: field.dtype.to_value_type() for field in VIEW.entity_columns}
    found = {}
    for key, values, event, created in _convert_arrow_to_proto(table.combine_chunks(), VIEW, keys):
        written = {name: value.SerializeToString() for name, value in values.items()}
        texts = {name: extract_text_and_num(value, False)[0] for name, value in values.items()}
        found[serialize_entity_key(key, 3)] = (written, texts, (event, created))
    return found


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_whole_numbers_that_no_double_holds_stay_what_they_are(numbers: list[int]) -> None:
    from feast.protos.feast.types.Value_pb2 import Value

    written = encoding.encode_values(pa.array([*numbers, None], pa.int64()), "INT64").to_pylist()
    assert written == [*(Value(int64_val=n).SerializeToString() for n in numbers), b""]


def test_empty_bytes_stay_what_they_are() -> None:
    from feast.protos.feast.types.Value_pb2 import Value

    written = encoding.encode_values(pa.array([b"", None], pa.binary()), "BYTES").to_pylist()
    assert written == [Value(bytes_val=b"").SerializeToString(), b""]


@given(st.lists(st.datetimes(datetime(1, 1, 1), datetime(9999, 1, 1)), min_size=1, max_size=20))
def test_timestamps_are_those_of_protobuf(moments: list[datetime]) -> None:
    import numpy as np
    from google.protobuf.timestamp_pb2 import Timestamp

    expected = []
    for moment in moments:
        message = Timestamp()
        message.FromDatetime(moment)
        expected.append(message.SerializeToString())
    micros = [(moment - datetime(1970, 1, 1)) // timedelta(microseconds=1) for moment in moments]
    assert encoding.encode_timestamps(np.array(micros, np.int64)).to_pylist() == expected


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("float64", pa.float32(), "float64 is DOUBLE in Feast and float in the dataset"),
        ("int32", pa.int64(), "int32 is INT32 in Feast and int64 in the dataset"),
        ("string", pa.int64(), "string is STRING in Feast and int64 in the dataset"),
    ],
)
def test_what_feast_would_change_is_left_to_feast(name: str, kind: pa.DataType, said: str) -> None:
    schema = SCHEMA.set(SCHEMA.get_field_index(name), pa.field(name, kind))
    assert plan_write_layout(STORE, VIEW, schema) == said


def test_rows_are_encoded_only_a_little_ahead_of_being_written() -> None:
    taken = 0

    def items() -> Any:
        nonlocal taken
        for number in range(1, 101):
            taken = number
            yield number

    with encoded_rows._read_ahead(items()) as ready:
        for number in ready:
            assert taken <= number + 3  # one in work, two that wait
    assert taken == 100


def test_what_goes_wrong_while_reading_is_raised_where_it_is_written() -> None:
    def items() -> Any:
        yield 1
        raise ValueError("torn")

    with pytest.raises(ValueError, match="torn"), encoded_rows._read_ahead(items()) as ready:
        list(ready)
