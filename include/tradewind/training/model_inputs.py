"""What training sets and populations are made from: table versions to travel to, digests that say "the same data"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tradewind.errors import NotReady, UsageError
from tradewind.features import definitions
from tradewind.lake.corrections import corrected_partitions
from tradewind.lake.dataset import Lake

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.lake.snapshot import Snapshot
    from tradewind.spec.pipeline import Pipeline, Score
    from tradewind.spec.training import Train


@dataclass(frozen=True, slots=True)
class PinnedInputs:
    """The datasets that one piece of work reads.

    :param versions: table version of each dataset
    :param digests: content of each partition that matters, by dataset. Partitions that cannot matter are not there, so
        publishing them changes nothing. ``key@reached`` is what a corrected partition was when the table reached no
        further than there
    """

    versions: Mapping[str, int]
    digests: Mapping[str, Mapping[str, str]]

    def by_name(self) -> dict[str, str]:
        """Digests by ``dataset/partition``, as a cause wants them."""
        return {f"{dataset}/{key}": digest for dataset, found in self.digests.items() for key, digest in found.items()}


def pin_inputs(
    deployment: Deployment, *, since: datetime, last: str, rows: Mapping[str, Iterable[str]] | None = None
) -> PinnedInputs:
    """Take the newest versions of what the feature service reads, and say which partitions matter.

    :param since: earliest time for which features are asked, aware
    :param last: newest partition whose features may be used
    :param rows: partitions of datasets that are read for their rows, by dataset
    :raises NotReady: a dataset has not been published yet
    """
    spec = deployment.spec
    lake = deployment.lake
    reach = _feature_lifetimes(deployment)
    versions: dict[str, int] = {}
    digests: dict[str, dict[str, str]] = {}
    for name in sorted({*reach, *(rows or {})}):
        snapshot = lake.dataset(spec.pipeline, name).snapshot()
        if snapshot is None:
            raise NotReady(f"pipeline {spec.pipeline}: dataset {name} has not been published yet; run its etl first")
        versions[name] = snapshot.version
        keys = set((rows or {}).get(name, ()))
        if name in reach:
            keys |= set(_partitions_in_reach(spec, snapshot, since - reach[name] if reach[name] else None, last))
        digests[name] = {key: snapshot.partitions[key].digest for key in sorted(keys) if key in snapshot.partitions}
        if name in reach and spec.features and spec.features.corrections == "as_known":
            digests[name] |= _before_corrections(spec, lake, snapshot, keys)
    return PinnedInputs(versions, digests)


def feature_time(spec: Pipeline, partition: str) -> datetime | None:
    """When features of a partition's entities are looked up; None: each at its own, up to :func:`knowledge_end`."""
    if score_config(spec).predict_at == "event":
        return None
    return min(spec.partitioning.bounds(partition).start, knowledge_end(spec, partition))


def knowledge_end(spec: Pipeline, partition: str) -> datetime:
    """End of what the run that scores ``partition`` can know: the end of the partition ``ahead`` earlier.

    Training uses the same bound, or a model would learn from features that it does not get when it scores.
    """
    return spec.partitioning.bounds(spec.partitioning.shift(partition, -score_config(spec).ahead)).end


def score_config(spec: Pipeline) -> Score:
    """The `score` part.

    :raises UsageError: there is none
    """
    if spec.score is None:
        raise UsageError(f"pipeline {spec.pipeline} has no `score`; without it nobody says what an entity is")
    return spec.score


def train_config(spec: Pipeline) -> Train:
    """The `train` part.

    :raises UsageError: there is none
    """
    if spec.train is None:
        raise UsageError(f"pipeline {spec.pipeline} has no `train`")
    return spec.train


def definitions_digest(deployment: Deployment) -> str:
    """Digest of the feature definitions."""
    return definitions.load_definitions(deployment).digest


def _before_corrections(spec: Pipeline, lake: Lake, snapshot: Snapshot, keys: set[str]) -> dict[str, str]:
    """What corrected partitions were before: entities of that time get it still."""
    found = corrected_partitions(lake, spec.pipeline, snapshot, keys)
    return {f"{key}@{one.reached}": one.digest for key, made in found.items() for one in made[:-1]}


def _feature_lifetimes(deployment: Deployment) -> dict[str, timedelta]:
    """For each dataset of the service: the longest time for which a feature stays valid; zero for ever."""
    loaded = definitions.load_definitions(deployment)
    service = definitions.train_service(deployment.spec, loaded)
    used = {projection.name for projection in service.feature_view_projections}
    reach: dict[str, timedelta] = {}
    for view in loaded.views:
        if view.name in used:
            (dataset,), ttl = loaded.datasets([view]), view.ttl or timedelta(0)
            known = reach.get(dataset, ttl)
            reach[dataset] = max(known, ttl) if known and ttl else timedelta(0)
    return reach


def _partitions_in_reach(spec: Pipeline, snapshot: Snapshot, since: datetime | None, last: str) -> list[str]:
    """Partitions with rows known from ``since`` to the end of ``last``; that may be at a partition's very end."""
    slices = spec.partitioning
    return [key for key in snapshot.partitions if key <= last and (since is None or slices.bounds(key).end >= since)]
