"""Blocks: which local hour, day, week or month each row belongs to."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from tradewind.core.metrics import Floats

UnitOfTime = Literal["hour", "day", "week", "month"]


def local_blocks(timestamp: Floats, timezone: str, *, by: UnitOfTime) -> Floats:
    """The local start of each row's block, as its wall clock shows it.

    The hour that a clock shows twice in autumn is one block.

    :param timestamp: UTC, ``datetime64`` of any unit, none missing, shape (rows,)
    :param timezone: IANA zone whose clock cuts the blocks
    :param by: length of a block; weeks start on Monday
    :return: ``datetime64[us]`` without zone, shape (rows,)
    :raises ValueError: a row has no timestamp, or they are no timestamps
    """
    import numpy as np

    given = np.asarray(timestamp)
    if given.dtype.kind != "M" or np.isnat(given).any():
        raise ValueError(f"blocks by {by} need the time of every row as datetime64 in UTC; found {given.dtype}, or NaT")
    utc = given.astype("datetime64[us]")
    # Zones change their offset at quarter hours at the finest, so one look-up for each of these is enough.
    quarters = utc.astype("int64") // 900_000_000
    moments, position = np.unique(quarters, return_inverse=True)
    zone = ZoneInfo(timezone)
    starts = (moments * 900_000_000).astype("datetime64[us]").tolist()
    offsets = [start.replace(tzinfo=UTC).astimezone(zone).utcoffset() for start in starts]
    local: Floats = utc + np.array(offsets, dtype="timedelta64[us]")[position]
    unit = {"hour": "h", "day": "D", "week": "D", "month": "M"}[by]
    start: Floats = local.astype(f"datetime64[{unit}]")
    if by == "week":
        start = start - (start.astype("int64") + 3) % 7  # 1970-01-01 was a Thursday
    return start.astype("datetime64[us]")
