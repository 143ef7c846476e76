"""A partition built on a disk that fills up, or may only be read: one named error, and a later attempt heals."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SmallDisk
from tests.local_runtime import Deployed, local_runtime

from tradewind.errors import StorageFault
from tradewind.etl.dataset_build import build_dataset
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline

DAY = "2013-01-28"
ROWS = 20_000


class Shop(Deployed):
    """A pipeline whose landing zone lies on another disk than all that is written."""

    def __init__(self, folder: Path, disk: Path, **source: Any) -> None:
        (folder / "orders.sql").write_text("SELECT * FROM source ORDER BY price")
        dice = random.Random(1)
        rows = "".join(f"{number},{dice.random()}\n" for number in range(ROWS))
        (folder / f"{DAY}.csv").write_text(f"id,price\n{rows}")
        self.disk = disk
        self.runtime = local_runtime(disk, project=folder, landing=str(folder), run_id="run-1")
        columns = {"id": "BIGINT", "price": "DOUBLE"}
        self.spec = Pipeline.model_validate(
            {
                "pipeline": "shop", "owner": "x", "description": "x", "schedule": "0 6 * * *",
                "partition": "day", "timezone": "UTC", "start": DAY,
                "datasets": {
                    "orders": {
                        "source": {"files": "{landing}/{day}.csv", "columns": columns, **source}, "sql": "orders.sql",
                    }
                },
            }
        )  # fmt: skip

    def build(self) -> int:
        return build_dataset(self.deployment, "orders", DAY).published.rows


@pytest.mark.parametrize("free", [0, 8, 16, 32, 64, 128, 256, 400, 600])
def test_wherever_the_disk_is_full_the_error_is_one_and_room_heals_it(
    tmp_path: Path, small_disk: SmallDisk, free: int
) -> None:
    """Whatever is written first, staging, log, or report: with so many kB free it is another."""
    shop = Shop(tmp_path, small_disk.folder)
    ledger = Ledger(shop.runtime.ledger)
    ledger.find("shop", "anything")
    (small_disk.folder / "room").write_bytes(b"x" * free * 1024)
    small_disk.fill()
    (small_disk.folder / "room").unlink()
    problem = ""
    try:
        shop.build()
    except StorageFault as exc:
        problem = str(exc)
    assert not problem or re.search(rf"the disk of {small_disk.folder}\S* is full: ", problem)
    small_disk.empty()
    assert shop.build() == ROWS
    assert not list((small_disk.folder / "lake" / "shop" / "orders" / "_staging").iterdir())


def test_malformed_rows_that_cannot_be_put_aside_are_no_malformed_input(tmp_path: Path, small_disk: SmallDisk) -> None:
    shop = Shop(tmp_path, small_disk.folder, max_bad_rows=5)
    with (tmp_path / f"{DAY}.csv").open("a") as file:
        file.write("1,dear\n")
    small_disk.remount("size=1300k")
    with pytest.raises(StorageFault, match="is full"):
        shop.build()
    small_disk.remount("size=20m")
    assert shop.build() == ROWS


def test_a_read_only_disk_is_named_and_mounting_it_anew_heals(tmp_path: Path, small_disk: SmallDisk) -> None:
    shop = Shop(tmp_path, small_disk.folder)
    small_disk.remount("ro")
    with pytest.raises(StorageFault, match=rf"{small_disk.folder}\S* is read-only"):
        shop.build()
    with pytest.raises(StorageFault, match=r"the ledger.* is read-only"):
        Ledger(shop.runtime.ledger).find("shop", "anything")
    small_disk.remount("rw")
    assert shop.build() == ROWS
    shutil.rmtree(small_disk.folder / "lake")
