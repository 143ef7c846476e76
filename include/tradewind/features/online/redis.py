"""Encoded rows into a Redis online store, in the hashes that Feast reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tradewind.core.network import REDIS
from tradewind.features.online.online_store import FastWriter, OnlineStore, refuse_vectors

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore, FeatureView
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

    from tradewind.features.online.encoded_rows import EncodedChunk, WriteLayout

# One call of the script holds Redis for some hundred microseconds.
_ENTITIES_A_CALL = 128
# ARGV: number of fields, seconds to live, names of the fields (that of the event time first); then for each key as many
# values. A value of a later event time stays; of two of one event time, that which is written now is the correction.
_SCRIPT = """
local call, unpack, args = redis.call, unpack, ARGV
local fields, ttl = tonumber(args[1]), tonumber(args[2])
local function number(text, at)
  local low, scale, size = 0, 1, 0
  repeat
    local byte = string.byte(text, at + size)
    low = low + (byte % 128) * scale
    scale = scale * 128
    size = size + 1
  until byte < 128
  if size == 10 then
    low, scale = 0, 1
    for i = 0, 8 do
      low = low + (127 - string.byte(text, at + i) % 128) * scale
      scale = scale * 128
    end
    low = -low - 1
  end
  return low, at + size
end
local function moment(text)
  local seconds, nanos, at = 0, 0, 1
  while at <= #text do
    local tag = string.byte(text, at)
    if tag == 8 then seconds, at = number(text, at + 1) else nanos, at = number(text, at + 1) end
  end
  return seconds, nanos
end
local function later(one, other)
  local a, b = moment(one)
  local c, d = moment(other)
  return a > c or (a == c and b > d)
end
local row, event, at, kept = {}, args[3], 2 + fields, 0
for i = 1, fields do row[2 * i - 1] = args[2 + i] end
for i = 1, #KEYS do
  local key, new = KEYS[i], args[at + 1]
  local old = call('HGET', key, event)
  if old and old ~= new and later(old, new) then
    kept = kept + 1
  else
    for j = 1, fields do row[2 * j] = args[at + j] end
    call('HSET', key, unpack(row))
    if ttl > 0 then call('EXPIRE', key, ttl) end
  end
  at = at + fields
end
return kept
"""


def write_redis(store: FeatureStore, view: FeatureView, layout: WriteLayout, chunks: Iterable[EncodedChunk]) -> int:
    """Write each entity in one step of Redis; a row never takes the place of one of a later event time.

    :return: how many entities were left as they were, because what the store holds is newer
    """
    from feast.infra.online_stores.helpers import _mmh3

    names = [f"_ts:{view.name}".encode(), *(_mmh3(f"{view.name}:{feature.name}") for feature in layout.features)]
    ttl = store.config.online_store.key_ttl_seconds or 0
    kept = 0
    with _connection(store) as connection:
        sha = _call_redis(connection, [b"SCRIPT", b"LOAD", _SCRIPT.encode()])
        given = [str(len(names)).encode(), str(ttl).encode(), *names]
        waiting = 0
        for chunk in chunks:
            messages = list(_messages(chunk, sha, given))
            kept += sum(int(connection.read_response()) for _ in range(waiting))
            # sent before the answers are read: Redis works while the next chunk is made
            connection.send_packed_command(messages)
            waiting = len(messages)
        kept += sum(int(connection.read_response()) for _ in range(waiting))
    return kept


@contextmanager
def _connection(store: FeatureStore) -> Iterator[Any]:
    """A connection of Feast's own client: its address, password and encryption are those of the configuration."""
    online: Any = store._get_provider().online_store
    client = online._get_client(store.config.online_store)
    connection = client.connection_pool.get_connection()
    try:
        yield connection
    finally:
        connection.disconnect()  # answers may be waiting in it
        client.connection_pool.release(connection)


def _call_redis(connection: Any, words: list[bytes]) -> bytes:
    connection.send_packed_command([_command(words)])
    answer = connection.read_response()
    return answer if isinstance(answer, bytes) else str(answer).encode()


def _messages(chunk: EncodedChunk, sha: bytes, given: list[bytes]) -> Iterator[bytes]:
    """Commands in Redis' protocol, each for some entities: put together by columns, not by values."""
    from tradewind.features.online import encoding

    keys = _bulk_strings([chunk.keys])
    values = _bulk_strings([encoding.encode_timestamps(chunk.event), *chunk.values])
    width = 1 + len(chunk.values)
    for start in range(0, len(chunk), _ENTITIES_A_CALL):
        count = min(_ENTITIES_A_CALL, len(chunk) - start)
        head = b"*%d\r\n" % (3 + count + len(given) + count * width)
        call = _encode_bulk([b"EVALSHA", sha, str(count).encode()])
        yield b"".join((head, call, _slice(keys, start, count), _encode_bulk(given), _slice(values, start, count)))


def _bulk_strings(columns: list[pa.Array]) -> pa.Array:
    """Every row's values as Redis' bulk strings, one after another."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    pieces: list[Any] = []
    end = b""
    for column in columns:
        sizes, which = np.unique(np.asarray(pc.binary_length(column)), return_inverse=True)
        heads = [end + b"$%d\r\n" % size for size in sizes.tolist()]
        one = len(heads) == 1
        pieces.append(pa.scalar(heads[0]) if one else pa.array(heads, pa.binary()).take(pa.array(which)))
        pieces.append(column)
        end = b"\r\n"
    return pc.binary_join_element_wise(*pieces, pa.scalar(end), pa.scalar(b""))


def _slice(column: pa.Array, start: int, count: int) -> memoryview:
    """The bytes of some rows, which lie one after another."""
    import numpy as np

    offsets = np.frombuffer(column.buffers()[1], np.int32)
    first, last = int(offsets[start]), int(offsets[start + count])
    return memoryview(column.buffers()[2])[first:last]


def _encode_bulk(words: list[bytes]) -> bytes:
    return b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _command(words: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + _encode_bulk(words)


def erase_redis(store: FeatureStore, view: FeatureView, keys: Sequence[EntityKey]) -> int:
    """Remove entities: a hash holds all views of an entity, and nothing of the entity shall stay.

    :return: how many of them there were
    """
    from feast.infra.online_stores.helpers import _redis_key

    online: Any = store._get_provider().online_store
    client = online._get_client(store.config.online_store)
    return int(sum(client.delete(_redis_key(store.project, key)) for key in keys))


def _address(given: Mapping[str, Any]) -> str:
    return str(given.get("connection_string", "localhost:6379"))


def _describe(given: Mapping[str, Any]) -> str:
    return ",".join(part for part in _address(given).split(",") if "=" not in part)


def _configure(given: Mapping[str, Any]) -> dict[str, Any]:
    """Time limits in the address, unless it has some: its client waits for ever by itself."""
    named = {part.partition("=")[0].strip() for part in _address(given).split(",")}
    limits = [f"{name}={value}" for name, value in REDIS.items() if name not in named]
    # Feast would refuse corrections, which have the event time of what they correct; what it is given is the newest.
    return {"skip_dedup": True, **given, "connection_string": ",".join([_address(given), *limits])}


def _failures() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    return (RedisError,)


def _refuse_cluster(online: Any) -> str | None:
    cluster = online.redis_type.value == "redis_cluster"
    why = "a Redis cluster, whose commands may name keys of one node only" if cluster else None
    return refuse_vectors(online) or why


REDIS_STORE = OnlineStore(
    "redis",
    drivers=("redis",),
    describe=_describe,
    configure=_configure,
    failures=_failures,
    writer=FastWriter(
        write_redis, most_features=1000, refuse=_refuse_cluster, ordered=False, texts=False, suffixed=True
    ),
    erase=erase_redis,
)
