"""How every dataset of every partition stands: compared with what `etl` would make it from now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tradewind.deployment import Deployment
from tradewind.errors import InputError, MissingInput
from tradewind.etl.dataset_build import CODE
from tradewind.etl.dataset_hash import DatasetHash, hash_dataset_config
from tradewind.etl.inputs import SOURCE
from tradewind.etl.quarantine_release import Quarantined, list_quarantined
from tradewind.lake.cause import Cause
from tradewind.planning import recorded_causes
from tradewind.planning.cause_differences import explain_cause_change
from tradewind.planning.delivery_digests import DeliveryDigests
from tradewind.planning.plan_item import DOUBT, NOT_DETERMINISTIC, UNSURE, ItemState, PlanItem, Reason
from tradewind.spec.dataset_order import dataset_order

if TYPE_CHECKING:
    from tradewind.lake.snapshot import PartitionState, Snapshot
    from tradewind.ledger.journal import Entry
    from tradewind.spec.pipeline import DatasetSpec
    from tradewind.spec.sources import Source


@dataclass
class _CurrentInputs:
    """What one partition would be made from now.

    :param digests: of what can be looked at
    :param waits: why it cannot be made now
    :param unseen: views whose input cannot be compared, with the reason
    :param doubts: partitions that it reads and that will, or may, change
    """

    digests: dict[str, str] = field(default_factory=dict)
    waits: list[Reason] = field(default_factory=list)
    unseen: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


def examine_datasets(
    deployment: Deployment,
    keys: Sequence[str],
    *,
    deliveries: DeliveryDigests,
    left_out: Mapping[str, str],
    skipped: Mapping[str, Entry],
) -> list[PlanItem]:
    """How each dataset of each of ``keys`` stands, dataset by dataset in the order in which they are built.

    :param left_out: partitions that stay out, with the reason
    :param skipped: partitions that a person keeps out
    :raises SpecError: a file that the YAML names cannot be read
    """
    spec = deployment.spec
    tables = {name: _PublishedDataset(deployment, name) for name in spec.datasets}
    looking = _DatasetExamination(deployment, deliveries, tables, left_out, skipped)
    return [looking.item(name, key) for name in dataset_order(spec.datasets) for key in keys]


class _PublishedDataset:
    """One dataset as it is published, in quarantine, and configured."""

    def __init__(self, deployment: Deployment, name: str) -> None:
        self._dataset = deployment.lake.dataset(deployment.spec.pipeline, name)
        self.snapshot: Snapshot | None = self._dataset.snapshot()
        self.partitions: Mapping[str, PartitionState] = self.snapshot.partitions if self.snapshot else {}
        self.configuration: DatasetHash = hash_dataset_config(deployment, name)

    @cached_property
    def causes(self) -> Mapping[str, Cause]:
        return recorded_causes.read_recorded_causes(self.snapshot, self.partitions) if self.snapshot else {}

    @cached_property
    def quarantine(self) -> Mapping[str, Quarantined]:
        return {one.partition: one for one in list_quarantined(self._dataset)}


@dataclass
class _DatasetExamination:
    deployment: Deployment
    deliveries: DeliveryDigests
    tables: Mapping[str, _PublishedDataset]
    left_out: Mapping[str, str]
    skipped: Mapping[str, Entry]
    _known: dict[tuple[str, str], PlanItem] = field(default_factory=dict)

    def item(self, name: str, key: str) -> PlanItem:
        if (name, key) not in self._known:
            self._known[name, key] = self._item(name, key)
        return self._known[name, key]

    def _item(self, name: str, key: str) -> PlanItem:
        if key in self.skipped:
            entry = self.skipped[key]
            return PlanItem("etl", name, key, "skipped", (Reason("person", f"by {entry.actor}: {entry.reason}"),))
        table = self.tables[name]
        inputs = self._inputs(name, key)
        if key in table.partitions:
            state, why = self._published(table, key, inputs)
        else:
            state, why = self._absent(table, key, inputs)
        if not self.deployment.spec.datasets[name].deterministic:
            why = [*why, Reason("note", NOT_DETERMINISTIC)]
        return PlanItem("etl", name, key, state, tuple(why))

    def _published(self, table: _PublishedDataset, key: str, inputs: _CurrentInputs) -> tuple[ItemState, list[Reason]]:
        now = self._cause(table, key, inputs)
        notes = [Reason("note", text, (view,)) for view, text in inputs.unseen.items()]
        if now.hash != table.partitions[key].cause:
            return "stale", [*explain_cause_change(table.causes.get(key), now), *notes]
        if inputs.doubts:
            doubt = Reason("upstream", DOUBT, tuple(inputs.doubts))
            return "possibly stale", [doubt, *notes]
        return "current", notes

    def _absent(self, table: _PublishedDataset, key: str, inputs: _CurrentInputs) -> tuple[ItemState, list[Reason]]:
        if key in self.left_out and not self._came(key):
            return "left out", [Reason("left out", self.left_out[key])]
        held = table.quarantine.get(key)
        same = held is not None and (bool(inputs.unseen) or held.cause == self._cause(table, key, inputs).hash)
        if held is not None and same and not inputs.waits:
            return "quarantined", [Reason("audit", reason) for reason in held.reasons]
        return ("waiting", inputs.waits) if inputs.waits else ("missing", [])

    def _came(self, key: str) -> bool:
        """Whether everything has been delivered since that is read for a partition that was left out."""
        found = _CurrentInputs()
        for name, part in self.deployment.spec.datasets.items():
            self._delivered(found, name, part, key)
        return not found.waits and not found.unseen

    def _cause(self, table: _PublishedDataset, key: str, inputs: _CurrentInputs) -> Cause:
        """The cause that the partition would have now; what cannot be seen is taken to be what it was."""
        digests = dict(inputs.digests)
        if inputs.unseen and key in table.partitions and (known := table.causes.get(key)):
            digests |= {view: known.inputs[view] for view in inputs.unseen if view in known.inputs}
        config = table.configuration
        return Cause(digests, config.hash, CODE, {"configuration": config.parts})

    def _inputs(self, name: str, key: str) -> _CurrentInputs:
        part, found = self.deployment.spec.datasets[name], _CurrentInputs()
        self._delivered(found, name, part, key)
        for other, read in part.inputs.items():
            for earlier in self.deployment.spec.partitioning.window(key, read.lookback):
                if earlier >= self.deployment.spec.start:
                    self._read(found, other, earlier)
        return found

    def _delivered(self, found: _CurrentInputs, name: str, part: DatasetSpec, key: str) -> None:
        for view, source in {**({SOURCE: part.source} if part.source else {}), **part.references}.items():
            self._deliver(found, view, source, name=name, key=key)

    def _deliver(self, found: _CurrentInputs, view: str, source: Source, *, name: str, key: str) -> None:
        if not source.is_local(self.deployment.runtime.landing):
            found.unseen[view] = "what is not a local file is not compared: only fetching it would tell"
            return
        try:
            found.digests[view] = self.deliveries.digest(source, key, deployment=self.deployment)
        except InputError as exc:
            published, missing = key in self.tables[name].partitions, isinstance(exc, MissingInput)
            if published and missing:
                found.unseen[view] = "its files are not there any more, so they are not compared"
            elif published:
                found.digests[view] = f"unusable: {exc}"  # so that it differs from what it was
            else:
                text = "its input has not been delivered" if missing else "its input cannot be used as it is"
                found.waits.append(Reason("input", text, (f"{view}: {exc}",)))

    def _read(self, found: _CurrentInputs, other: str, key: str) -> None:
        published = self.tables[other].partitions.get(key)
        state = self.item(other, key).state
        if published is not None:
            found.digests[f"{other}/{key}"] = published.digest
        if state in UNSURE:
            found.doubts.append(f"{other}/{key}")
        elif state in ("waiting", "quarantined"):
            found.waits.append(Reason("upstream", f"it reads what is {state}", (f"{other}/{key}",)))
