"""What one partition of a dataset is made from: delivered files and partitions of other datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from tradewind.core.runtime import Runtime
from tradewind.errors import MissingInput, NotReady, SpecError
from tradewind.lake.dataset import Lake
from tradewind.sources import files
from tradewind.sources.delivery import Delivery, deliver
from tradewind.spec.models import Pipeline
from tradewind.spec.sources import Files
from tradewind.transform.sql import CsvView

if TYPE_CHECKING:
    import pyarrow.dataset as pads

    from tradewind.lake.snapshot import Snapshot

SOURCE = "source"


@dataclass(frozen=True)
class Inputs:
    """Everything that the SQL of one partition reads, pinned.

    :param deliveries: delivered files by the name of their view
    :param datasets: snapshot and partitions of each dataset that is read
    """

    deliveries: Mapping[str, Delivery]
    datasets: Mapping[str, tuple[Snapshot, list[str]]]

    @property
    def digests(self) -> Mapping[str, str]:
        """Digest of each input: a view of files, or ``dataset/partition``."""
        partitions = {
            f"{name}/{key}": snapshot.partitions[key].digest
            for name, (snapshot, keys) in self.datasets.items()
            for key in keys
        }
        return {**{name: delivery.digest for name, delivery in self.deliveries.items()}, **partitions}

    def views(self) -> dict[str, pads.Dataset | CsvView]:
        """The inputs by the name that SQL calls them.

        :raises MalformedInput: a delivered file is not as declared
        """
        tables = {name: snapshot.arrow(keys) for name, (snapshot, keys) in self.datasets.items()}
        return {**{name: delivery.view() for name, delivery in self.deliveries.items()}, **tables}

    def confirm(self) -> None:
        """See that the files are still those that were hashed.

        :raises Unavailable: a file changed while it was read
        """
        for delivery in self.deliveries.values():
            delivery.confirm()


def gather(spec: Pipeline, name: str, partition: str, runtime: Runtime) -> Inputs:
    """Find all inputs of one partition of the dataset ``name``, and hash the files.

    :raises SpecError: two inputs have the same name
    :raises MissingInput: files, or the partition itself in a dataset that is read, are not there
    :raises NotReady: an earlier partition that the lookback needs is not published yet
    """
    dataset = spec.datasets[name]
    delivered = {**({SOURCE: dataset.source} if dataset.source else {}), **dataset.references}
    names = [*([SOURCE] if dataset.source else []), *dataset.references, *dataset.inputs]
    if twice := {view for view in names if names.count(view) > 1}:
        raise SpecError(f"datasets.{name}: its SQL would see two views `{twice.pop()}`; give one of them another name")
    deliveries = {view: delivery(spec, part, partition, runtime) for view, part in delivered.items()}
    lake = Lake(runtime.lake, storage_options=runtime.storage_options)
    datasets = {}
    for other, part in dataset.inputs.items():
        keys = [key for key in spec.partitioning.window(partition, part.lookback) if key >= spec.start]
        snapshot = lake.dataset(spec.pipeline, other).snapshot()
        datasets[other] = (_complete(snapshot, keys, other, f"{spec.pipeline}: {name}", partition), keys)
    return Inputs(deliveries, datasets)


def delivery(spec: Pipeline, part: Files, partition: str, runtime: Runtime) -> Delivery:
    """Find and hash the files that ``part`` names for one partition.

    :raises MissingInput: files are not there; every one is named
    """
    fetched = files.fetch(part, partition, spec=spec, runtime=runtime, scratch=Path(gettempdir()))
    return deliver(part, fetched)


def _complete(snapshot: Snapshot | None, keys: list[str], other: str, what: str, partition: str) -> Snapshot:
    missing = [key for key in keys if snapshot is None or key not in snapshot.partitions]
    earlier = [key for key in missing if key != partition]
    if earlier:
        raise NotReady(
            f"{what} of partition {partition} looks back to {other} of {', '.join(earlier)}, not published yet; "
            "if no run of it is on its way, run the earlier partitions first",
            stage="etl",
            partition=earlier[-1],
        )
    if missing or snapshot is None:
        raise MissingInput(
            f"{what} of partition {partition} reads {other} of the same partition, not published yet; build it first"
        )
    return snapshot
