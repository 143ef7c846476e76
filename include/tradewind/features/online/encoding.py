"""Feast's own bytes for whole columns at once: protobuf values, entity keys and timestamps.

Everything here is a column in and a column out; what comes out is compared with Feast's own code, byte for byte, in the
tests. The protobuf wire format: a field is its tag (number and kind in one byte) and then its payload; the `Value` of a
NULL has no field at all and is therefore empty.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

    Bytes = np.ndarray[tuple[int, int], np.dtype[np.uint8]]

_VARINT, _FIXED32, _FIXED64, _SIZED = 0, 5, 1, 2
# Field numbers of feast.types.Value, with their kinds on the wire.
_FIELDS = {
    "BYTES": (1, _SIZED),
    "STRING": (2, _SIZED),
    "INT32": (3, _VARINT),
    "INT64": (4, _VARINT),
    "DOUBLE": (5, _FIXED64),
    "FLOAT": (6, _FIXED32),
    "BOOL": (7, _VARINT),
    "UNIX_TIMESTAMP": (8, _VARINT),
}
# Numbers of feast.types.ValueType.Enum, which entity keys hold.
_KEY_TYPES = {"BYTES": 1, "STRING": 2, "INT32": 3, "INT64": 4}
_VARINT_BYTES = 10


def encode_values(column: pa.Array, kind: str) -> pa.Array:
    """Serialised ``feast.types.Value`` of every row; empty where the column is NULL.

    :param column: of the Arrow type that :func:`encoded_rows.newest_rows_query` gives for ``kind``
    :param kind: name of the feature's Feast value type, one of :data:`VALUES`
    """
    import numpy as np
    import pyarrow.compute as pc

    number, wire = _FIELDS[kind]
    tag = number << 3 | wire
    valid = np.asarray(pc.is_valid(column))
    if wire == _SIZED:
        lengths = np.asarray(pc.fill_null(pc.binary_length(column), 0)).astype(np.uint64)
        return _join_pieces([_varint(tag, lengths, valid), pc.fill_null(_binary(column), b"")])
    numbers = np.asarray(pc.fill_null(column, False if kind == "BOOL" else 0))
    if wire == _VARINT:
        # protobuf writes a negative number as the 64 bits of its two's complement
        return _varint(tag, numbers.astype(np.int64).view(np.uint64), valid)
    fixed = np.ascontiguousarray(numbers)
    payload = fixed.view(np.uint8).reshape(len(fixed), fixed.itemsize)
    tagged = np.concatenate([np.full((len(fixed), 1), tag, np.uint8), payload], axis=1)
    return matrix_to_binary(tagged, np.where(valid, tagged.shape[1], 0))


VALUES = frozenset(_FIELDS)
"""Value types of features that :func:`encode_values` can write."""
KEYS = frozenset(_KEY_TYPES)
"""Value types of entities that :func:`encode_entity_keys` can write."""


def encode_entity_keys(columns: Sequence[tuple[str, str, pa.Array]], *, suffix: bytes = b"") -> pa.Array:
    """Entity keys as ``feast.infra.key_encoding_utils.serialize_entity_key`` writes them, version 3.

    :param columns: join key, value type (one of :data:`KEYS`) and values without NULL, in the order of the join keys
    :param suffix: what follows each key, as Redis' keys have it
    """
    names = [name.encode() for name, _, _ in columns]
    head = struct.pack("<I", len(names)) + b"".join(struct.pack("<II", _KEY_TYPES["STRING"], len(n)) + n for n in names)
    pieces: list[pa.Array | bytes] = [head]
    for _, kind, column in columns:
        pieces += _key_value(kind, column)
    return _join_pieces([*pieces, suffix])


def encode_timestamps(micros: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array:
    """Serialised ``google.protobuf.Timestamp`` of moments in microseconds since 1970."""
    import numpy as np

    seconds, rest = np.divmod(micros, 1_000_000)
    parts = [
        _varint(number << 3, numbers.astype(np.int64).view(np.uint64), numbers != 0)  # what is 0 is not written
        for number, numbers in ((1, seconds), (2, rest * 1000))
    ]
    return _join_pieces(parts)


def matrix_to_binary(matrix: Bytes, lengths: np.ndarray[Any, Any]) -> pa.Array:
    """The first ``lengths[i]`` bytes of each row of ``matrix`` as a binary column."""
    import numpy as np
    import pyarrow as pa

    count, width = matrix.shape
    data = matrix if (lengths == width).all() else matrix[np.arange(width) < lengths[:, None]]
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.binary(), count, buffers)


def _key_value(kind: str, column: pa.Array) -> list[pa.Array | bytes]:
    import numpy as np
    import pyarrow.compute as pc

    if kind in ("INT32", "INT64"):
        numbers = np.ascontiguousarray(column, dtype="<i4" if kind == "INT32" else "<i8")
        width = numbers.itemsize
        payload = numbers.view(np.uint8).reshape(len(numbers), width)
        return [struct.pack("<II", _KEY_TYPES[kind], width), matrix_to_binary(payload, np.full(len(numbers), width))]
    lengths = np.asarray(pc.binary_length(column)).astype("<u4")
    size = matrix_to_binary(lengths.view(np.uint8).reshape(len(lengths), 4), np.full(len(lengths), 4))
    return [struct.pack("<I", _KEY_TYPES[kind]), size, _binary(column)]


def _varint(
    tag: int, numbers: np.ndarray[Any, np.dtype[np.uint64]], valid: np.ndarray[Any, np.dtype[np.bool_]]
) -> pa.Array:
    """Tag and number in groups of 7 bits, the lowest first; all but the last group have the highest bit set."""
    import numpy as np

    groups = np.ones(len(numbers), np.int64)
    for group in range(1, _VARINT_BYTES):
        groups += numbers >= np.uint64(1 << 7 * group)
    width = int(groups.max(initial=1))
    matrix = np.empty((len(numbers), 1 + width), np.uint8)
    matrix[:, 0] = tag
    for group in range(width):
        bits = (numbers >> np.uint64(7 * group)).astype(np.uint8) & 0x7F
        matrix[:, 1 + group] = bits | np.where(group < groups - 1, 0x80, 0).astype(np.uint8)
    return matrix_to_binary(matrix, np.where(valid, 1 + groups, 0))


def _binary(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return column.cast(pa.binary())


def _join_pieces(pieces: Sequence[pa.Array | bytes]) -> pa.Array:
    """The pieces one after another; bytes are the same in every row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [pa.scalar(piece, pa.binary()) if isinstance(piece, bytes) else piece for piece in pieces if piece != b""]
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))


def serialise_entity_keys(keys: Sequence[EntityKey]) -> list[bytes]:
    """Entity keys as Feast writes them, in version 3."""
    from feast.infra.key_encoding_utils import serialize_entity_key

    return [serialize_entity_key(key, entity_key_serialization_version=3) for key in keys]
