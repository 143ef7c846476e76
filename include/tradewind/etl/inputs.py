"""What one partition of a dataset is made from: what its sources gave, and partitions of other datasets."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.engine.query import FileView
from tradewind.errors import LeftOut, MissingInput, NotReady, SpecError
from tradewind.etl.late_inputs import apply_late_policy
from tradewind.ledger import skipped_partitions
from tradewind.sources.delivery import Delivery, hash_delivery
from tradewind.sources.fetched import fetch_source
from tradewind.sources.rejected_rows import RejectedRows
from tradewind.spec.sources import Source

if TYPE_CHECKING:
    import pyarrow.dataset as pads

    from tradewind.deployment import Deployment
    from tradewind.lake.snapshot import Snapshot

SOURCE = "source"


@dataclass(frozen=True)
class Inputs:
    """Everything that the SQL of one partition reads, pinned.

    :param deliveries: what sources gave, by the name of their view
    :param datasets: snapshot and partitions of each dataset that is read
    :param waited: time since the run's start, where what has not come may be waited for or left out; None: it is an
        error
    """

    deliveries: Mapping[str, Delivery]
    datasets: Mapping[str, tuple[Snapshot, list[str]]]
    waited: timedelta | None = None

    @property
    def digests(self) -> Mapping[str, str]:
        """Digest of each input: a view of a source, or ``dataset/partition``."""
        partitions = {
            f"{name}/{key}": snapshot.partitions[key].digest
            for name, (snapshot, keys) in self.datasets.items()
            for key in keys
        }
        return {**{name: delivery.digest for name, delivery in self.deliveries.items()}, **partitions}

    @property
    def bad(self) -> Mapping[str, RejectedRows]:
        """Malformed rows that were put aside, by view."""
        return {name: delivery.bad for name, delivery in self.deliveries.items() if delivery.bad is not None}

    def views(self) -> dict[str, pads.Dataset | FileView]:
        """The inputs by the name that SQL calls them.

        :raises EmptyInput: a delivery has no row
        :raises MalformedInput: a delivery is not as declared
        :raises NotDelivered: an empty one is waited for
        :raises LeftOut: the partition does without an empty one
        """
        views: dict[str, pads.Dataset | FileView] = {}
        for name, delivery in self.deliveries.items():
            with _late_policy(delivery.source, self.waited):
                views[name] = delivery.view()
        return views | {name: snapshot.arrow(keys) for name, (snapshot, keys) in self.datasets.items()}

    def sift(self, *, scratch: Path, quarantine: Path) -> Inputs:
        """Put malformed rows aside; see :meth:`tradewind.sources.delivery.Delivery.sift`.

        :raises MalformedInput: there are more than `max_bad_rows`
        """
        sifted = {
            name: delivery.sift(name, scratch=_make_folder(scratch / f"{name}-good"), quarantine=quarantine)
            for name, delivery in self.deliveries.items()
        }
        return replace(self, deliveries=sifted)

    def confirm(self) -> None:
        """See that the files are still those that were hashed.

        :raises Unavailable: a file changed while it was read
        """
        for delivery in self.deliveries.values():
            delivery.confirm()


def gather_inputs(deployment: Deployment, name: str, partition: str, *, scratch: Path) -> Inputs:
    """Find all inputs of one partition of the dataset ``name``, and hash what sources gave.

    :param scratch: folder for what is copied; it lives as long as the inputs are read
    :raises SpecError: two inputs have the same name
    :raises MissingInput: an input, or the partition itself in a dataset that is read, is not there
    :raises EmptyInput: an input has no row
    :raises NotDelivered: an input has not come yet and is waited for
    :raises LeftOut: an input has not come, and the partition does without
    :raises NotReady: an earlier partition that the lookback needs is not published yet
    """
    spec = deployment.spec
    dataset = spec.datasets[name]
    sources = {**({SOURCE: dataset.source} if dataset.source else {}), **dataset.references}
    names = [*([SOURCE] if dataset.source else []), *dataset.references, *dataset.inputs]
    if twice := {view for view in names if names.count(view) > 1}:
        raise SpecError(f"datasets.{name}: its SQL would see two views `{twice.pop()}`; give one of them another name")
    found = fetch_deliveries(deployment, sources, partition, scratch=scratch, waited=deployment.runtime.waited)
    lake = deployment.lake
    absent = skipped_partitions.left_out(deployment.ledger, spec.pipeline) if dataset.inputs else {}
    datasets = {}
    for other, part in dataset.inputs.items():
        snapshot = lake.dataset(spec.pipeline, other).snapshot()
        there = snapshot.partitions if snapshot else {}
        window = [key for key in spec.partitioning.window(partition, part.lookback) if key >= spec.start]
        keys = [key for key in window if key in there or key == partition or key not in absent]
        what = f"{spec.pipeline}: {name} of partition {partition}"
        datasets[other] = (_require_partitions(snapshot, keys, other, what, partition, absent.get(partition)), keys)
    return Inputs(found, datasets, deployment.runtime.waited)


def fetch_deliveries(
    deployment: Deployment, sources: Mapping[str, Source], partition: str, *, scratch: Path, waited: timedelta | None
) -> dict[str, Delivery]:
    """Fetch and hash what each source gives for one partition, by view, in the order given.

    :param waited: see :class:`Inputs`
    """
    found = {}
    for view, source in sources.items():
        with _late_policy(source, waited):
            fetched = fetch_source(source, partition, deployment=deployment, scratch=_make_folder(scratch / view))
        found[view] = hash_delivery(source, fetched)
    return found


def _late_policy(source: Source, waited: timedelta | None) -> AbstractContextManager[None]:
    return nullcontext() if waited is None else apply_late_policy(source, waited=waited)


def _make_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _require_partitions(
    snapshot: Snapshot | None, keys: list[str], other: str, what: str, partition: str, left_out: str | None
) -> Snapshot:
    missing = [key for key in keys if snapshot is None or key not in snapshot.partitions]
    earlier = [key for key in missing if key != partition]
    if earlier:
        raise NotReady(
            f"{what} looks back to {other} of {', '.join(earlier)}, not published yet; "
            "if no run of it is on its way, run the earlier partitions first",
            stage="etl",
            partition=earlier[-1],
        )
    if left_out and (missing or snapshot is None):
        raise LeftOut(f"{what} reads {other} of the same partition, which is left out: {left_out}")
    if missing or snapshot is None:
        raise MissingInput(f"{what} reads {other} of the same partition, not published yet; build it first")
    return snapshot
