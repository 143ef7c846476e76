from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Dataset, Lake
from tradewind.lake.publish import PublishedPartition

Publish = Callable[..., PublishedPartition]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Lake(str(tmp_path / "lake")).dataset("shop", "orders")


@pytest.fixture
def publish(dataset: Dataset) -> Publish:
    """Publish ``values`` as one partition; the cause is ``why``, or follows from the values."""

    def run(key: str, values: list[int], why: str = "") -> PublishedPartition:
        import pyarrow as pa

        staged = dataset.stage(key, pa.table({"value": pa.array(values, pa.int64())}).to_reader())
        return dataset.publish(staged, cause=Cause({"rows": why or staged.digest}, "config", "1"), run_id="test")

    return run
