"""What a disk that is full, read-only or failing looks like, whoever writes to it."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import deltalake
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.conftest import SmallDisk

from tradewind.core.disk import format_bytes, storage_fault, translate_disk_errors
from tradewind.errors import MalformedInput, StorageFault


def by_duckdb(folder: Path) -> None:
    duckdb.connect().execute(f"COPY (SELECT random() FROM range(1000000)) TO '{folder}/o.parquet' (FORMAT parquet)")


def by_spilling(folder: Path) -> None:
    with duckdb.connect(config={"memory_limit": "60MB", "temp_directory": f"{folder}/spill"}) as connection:
        connection.execute(f"SET allowed_directories = ['{folder}']")
        ordered = "SELECT * FROM (SELECT random() AS r, i FROM range(10000000) t(i)) ORDER BY r"
        connection.execute(f"CREATE TABLE x AS {ordered}")


def by_arrow(folder: Path) -> None:
    pq.write_table(pa.table({"x": np.random.default_rng(0).random(1_000_000)}), folder / "x.parquet")


def by_delta(folder: Path) -> None:
    deltalake.DeltaTable.create(f"{folder}/table", schema=pa.schema([("x", pa.int64())]))


def by_sqlite(folder: Path) -> None:
    connection = sqlite3.connect(folder / "x.db")
    try:
        connection.execute("CREATE TABLE x AS SELECT randomblob(5000000)")
        connection.commit()
    finally:
        connection.close()


def by_python(folder: Path) -> None:
    (folder / "below").mkdir(exist_ok=True)
    (folder / "below" / "x").write_bytes(b"x" * 5_000_000)


WRITERS = (by_duckdb, by_spilling, by_arrow, by_delta, by_sqlite, by_python)


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_is_named_with_what_is_free(small_disk: SmallDisk, write: Callable[[Path], None]) -> None:
    small_disk.fill()
    words = rf"x cannot be written: the disk of {small_disk.folder}\S* is full: \d+ \w+ of 2 MB are free"
    with pytest.raises(StorageFault, match=words), translate_disk_errors("x cannot be written", small_disk.folder):
        write(small_disk.folder)


@pytest.mark.parametrize("write", [by_duckdb, by_arrow, by_delta, by_python])
def test_a_read_only_disk_is_named(small_disk: SmallDisk, write: Callable[[Path], None]) -> None:
    small_disk.remount("ro")
    words = rf"x: the disk of {small_disk.folder} is read-only; mount it so that the tasks can write"
    with pytest.raises(StorageFault, match=words), translate_disk_errors("x", small_disk.folder):
        write(small_disk.folder)


def test_a_file_that_sqlite_may_only_read_is_named(tmp_path: Path) -> None:
    by_sqlite(tmp_path)
    connection = sqlite3.connect(f"file:{tmp_path}/x.db?mode=ro", uri=True)
    with pytest.raises(StorageFault, match=f"{tmp_path} is read-only"), translate_disk_errors("x", tmp_path):
        connection.execute("DELETE FROM x")
    connection.close()


def test_what_failed_is_told_with_what_it_had_written(small_disk: SmallDisk) -> None:
    (small_disk.folder / "staged").write_bytes(b"x" * 1_000_000)
    fault = storage_fault(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "x", small_disk.folder)
    assert "1 MB of it lie in that folder, and more was needed; make room there" in str(fault)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EIO, "fails (input/output error)"),
        (errno.EDQUOT, "is full"),
        (errno.EACCES, "is closed to"),
        (errno.EROFS, "is read-only"),
    ],
)
def test_each_number_of_the_system_is_known(tmp_path: Path, number: int, words: str) -> None:
    fault = storage_fault(OSError(number, os.strerror(number), str(tmp_path / "a" / "b")), "x")
    assert words in str(fault)
    assert str(tmp_path) in str(fault)


@pytest.mark.parametrize(
    "other",
    [
        ValueError("No space left on device"),
        duckdb.InvalidInputException("Invalid Input Error: No space left on device"),  # what a user's SQL says
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        FileNotFoundError(errno.ENOENT, "x"),
    ],
)
def test_other_errors_stay_what_they_are(other: Exception) -> None:
    assert storage_fault(other, "x") is None
    with pytest.raises(type(other)), translate_disk_errors("x"):
        raise other


def test_an_error_with_a_name_keeps_it() -> None:
    with pytest.raises(MalformedInput), translate_disk_errors("x"):
        raise MalformedInput("x") from OSError(errno.ENOSPC, "full")


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (2_097_152, "2 MB"), (3e9, "3.0 GB")])
def test_sizes_are_spelled_for_people(size: float, text: str) -> None:
    assert format_bytes(int(size)) == text
