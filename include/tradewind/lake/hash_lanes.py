"""Values as 64-bit words, and rows of words as two 64-bit numbers: the arithmetic of digests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Words = np.ndarray[Any, np.dtype[np.uint64]]
    Mask = np.ndarray[Any, np.dtype[np.bool_]]

# Odd numbers of SplitMix64 (Steele, Lea & Flood 2014) and of xxHash64.
_STEP, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_FOLD_1, _FOLD_2 = 0x9FB21C651E98DF25, 0xC2B2AE3D27D4EB4F
_CHUNK = 32_768  # rows whose numbers stay in the processor's cache; with fewer, calls cost more than arithmetic
_LONG = 256  # bytes; longer texts are hashed one by one


def hash_lanes(columns: Sequence[pa.Array], rows: int) -> tuple[Words, Words]:
    """Two numbers for every row, from all its values in the order of the columns.

    :param columns: arrays of one length
    """
    import numpy as np

    words = [word for column in columns for word in _words(column)]
    first, second = np.zeros(rows, np.uint64), np.zeros(rows, np.uint64)
    for start in range(0, rows, _CHUNK):
        part = slice(start, start + _CHUNK)
        for number, (word, valid) in enumerate(words):
            step = (number + 1) * _STEP % 2**64
            _fold(first[part], second[part], word[part], step=step, valid=None if valid is None else valid[part])
        first[part], second[part] = _mix(first[part]), _mix(second[part])
    return first, second


def _fold(first: Words, second: Words, word: Words, *, step: int, valid: Mask | None = None) -> None:
    """Take one more word into both numbers, in place: in two ways, so that both do not collide at once.

    :param step: makes the same word another one in another column
    :param valid: where there is a value; None: everywhere
    """
    import numpy as np

    mixed = word + np.uint64(step)
    mixed *= np.uint64(_MIX_1)
    mixed ^= mixed >> np.uint64(32)
    if valid is not None:
        mixed[~valid] = np.uint64(step ^ _MIX_2)
    first ^= mixed
    first *= np.uint64(_FOLD_1)
    second += mixed
    second *= np.uint64(_FOLD_2)
    second ^= second >> np.uint64(31)


def _mix(word: Words) -> Words:
    """The finaliser of SplitMix64: every bit of the result depends on every bit."""
    import numpy as np

    word = word ^ (word >> np.uint64(30))
    word *= np.uint64(_MIX_1)
    word ^= word >> np.uint64(27)
    word *= np.uint64(_MIX_2)
    word ^= word >> np.uint64(31)
    return word


def _words(array: pa.Array) -> list[tuple[Words, Mask | None]]:
    """The words of each value and which values are there; None: all are."""
    import pyarrow as pa

    valid = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else None
    if pa.types.is_dictionary(array.type):
        # A dictionary's own entries are whole; which rows are NULL, the indices say.
        places = array.indices.fill_null(0).to_numpy(zero_copy_only=False)
        entries = array.dictionary if len(array.dictionary) else pa.array([""], array.type.value_type)
        return [(word[places], valid) for word in _values(entries)]
    return [(word, valid) for word in _values(array)]


def _values(array: pa.Array) -> list[Words]:
    """The words of each value; of a NULL, whatever is there."""
    import numpy as np
    import pyarrow as pa

    kind, types = array.type, pa.types
    if types.is_struct(kind):
        return list(hash_lanes(array.flatten(), len(array)))
    if types.is_list(kind) or types.is_large_list(kind):
        return _lists(array)
    if types.is_decimal(kind):
        held = np.frombuffer(array.buffers()[1], "<u8") if len(array) else np.zeros(0, np.uint64)
        both = held[2 * array.offset : 2 * (array.offset + len(array))].reshape(-1, 2)
        return [both[:, 0].copy(), both[:, 1].copy()]
    if types.is_floating(kind):
        return [_floats(array)]
    if types.is_boolean(kind):
        return [array.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint64)]
    if types.is_date32(kind):
        array = array.view(pa.int32())
    elif types.is_timestamp(kind):
        array = array.view(pa.int64())
    if types.is_integer(array.type):
        return [array.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)]
    return list(_texts(array.cast(pa.large_binary())))


def _floats(array: pa.Array) -> Words:
    """The bits of each number, with one NaN and one zero."""
    import numpy as np

    values = array.fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0
    values[np.isnan(values)] = np.nan
    bits: Words = values.view(np.uint64 if values.dtype.itemsize == 8 else np.uint32).astype(np.uint64)
    return bits


def _lists(array: pa.Array) -> list[Words]:
    """Sums of the elements' numbers, each mixed with its place; and how many there are."""
    import numpy as np

    ends = array.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    elements = array.values.slice(ends[0], ends[-1] - ends[0])
    ends = ends - ends[0]
    places = np.arange(len(elements)) - np.repeat(ends[:-1], np.diff(ends))
    steps = places.astype(np.uint64) * np.uint64(_STEP)
    words = [np.diff(ends).astype(np.uint64)]
    for lane in hash_lanes([elements], len(elements)):
        summed = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mix(lane + steps), dtype=np.uint64)])
        words.append(summed[ends[1:]] - summed[ends[:-1]])
    return words


def _texts(array: pa.Array) -> tuple[Words, Words]:
    """Two numbers for every text: its length and its bytes, eight at a time."""
    import numpy as np

    _, places, data = array.buffers()
    ends = (
        np.frombuffer(places, np.int64)[array.offset : array.offset + len(array) + 1]
        if len(array)
        else np.zeros(1, int)
    )
    held = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]] if data else np.zeros(0, np.uint8)
    padded = np.concatenate([held, np.zeros(8, np.uint8)])
    eights = np.ndarray((len(padded) - 7,), "<u8", buffer=padded.data, strides=(1,))
    starts, sizes = ends[:-1] - ends[0], np.diff(ends)
    first, second = sizes.astype(np.uint64), ~sizes.astype(np.uint64)
    short = np.where(sizes > _LONG, 0, sizes)
    for done in range(0, int(short.max(initial=0)), 8):
        more = np.flatnonzero(short > done)
        left = np.minimum(short[more] - done, 8).astype(np.uint64)
        word = eights[starts[more] + done] & (np.uint64(2**64 - 1) >> (np.uint64(64) - np.uint64(8) * left))
        one, other = first[more], second[more]
        _fold(one, other, word, step=_STEP)
        first[more], second[more] = one, other
    for place in np.flatnonzero(sizes > _LONG):
        value = padded[starts[place] : starts[place] + sizes[place]].tobytes()
        both = np.frombuffer(hashlib.blake2b(value, digest_size=16).digest(), "<u8")
        first[place], second[place] = both
    return first, second
