"""A year of partitions published one after another: what the last costs beside the first; nothing is asserted."""

from __future__ import annotations

import datetime as dt
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Dataset, Lake
from tradewind.lake.history import earlier_partitions

PARTITIONS = int(os.environ.get("TRADEWIND_BENCH_PARTITIONS", "365"))
SHOWN = 20


def rows(number: int) -> pa.Table:
    values = pa.array(range(number, number + 1000))
    return pa.table({f"column_{place}": values for place in range(12)})


def publish(dataset: Dataset, key: str, number: int) -> None:
    """As a build does it: what is there, staging, what was there before, the commit."""
    base = dataset.base(key)
    staged = dataset.stage(key, rows(number).to_reader(), base=base)
    earlier_partitions(dataset.snapshot(), key, window=8)
    dataset.publish(staged, cause=Cause({"rows": staged.digest}, "", "1"), run_id="bench")


def year(work: Callable[[str, int], None]) -> tuple[float, float]:
    """Median milliseconds of the first and of the last of all partitions."""
    taken = []
    for number in range(PARTITIONS):
        key = (dt.date(2013, 1, 1) + dt.timedelta(days=number)).isoformat()
        begun = time.perf_counter()
        work(key, number)
        taken.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(taken[1 : SHOWN + 1]), statistics.median(taken[-SHOWN:])


def test_a_year_of_partitions(tmp_path: Path) -> None:
    dataset = Lake(str(tmp_path)).dataset("shop", "orders")
    first, last = year(lambda key, number: publish(dataset, key, number))
    uri = str(tmp_path / "bare")

    def bare(key: str, number: int) -> None:
        table = rows(number).append_column("partition", pa.array([key] * 1000))
        write_deltalake(uri, table, mode="overwrite" if number else "append", partition_by=["partition"],
                        predicate=f"partition = '{key}'" if number else None)  # fmt: skip

    begun, ended = year(bare)
    print(f"\n{PARTITIONS} partitions published one after another, median of {SHOWN}:")
    print(f"  the first {first:.0f} ms, the last {last:.0f} ms: {last - first:+.0f} ms")
    print(f"  / write_deltalake alone: {begun:.0f} ms, {ended:.0f} ms: {ended - begun:+.0f} ms")
