"""Datasets at the table versions that a call pins, and the part of Feast's configuration that names them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, cast

from tradewind.errors import MissingInput, UsageError
from tradewind.spec.partitions import Partitioning

if TYPE_CHECKING:
    import pyarrow.dataset as pads
    from feast import RepoConfig

    from tradewind.lake.dataset import Dataset
    from tradewind.lake.snapshot import Snapshot


class LakeSettings(Protocol):
    """The lake's part of Feast's configuration, whose class Feast wants beside the offline store.

    :param versions: table version of every dataset that may be read
    :param partitioning: how the pipeline slices time
    :param corrections: what a join sees of a corrected partition: ``as_known`` at the entity's time, or the ``newest``
    """

    lake: str
    pipeline: str
    versions: dict[str, int]
    storage_options: dict[str, str]
    corrections: str

    @property
    def partitioning(self) -> Partitioning:
        """How the pipeline slices time."""


def lake_settings(config: RepoConfig) -> LakeSettings:
    """The lake's part of Feast's configuration."""
    return cast("LakeSettings", config.offline_store)


def pinned_arrow_dataset(
    config: RepoConfig, name: str, *, since: datetime | None = None, until: datetime | None = None
) -> pads.Dataset:
    """Arrow dataset of the dataset ``name`` at its pinned version.

    :param since: rows before this moment are not needed: their partitions may be left out
    :param until: rows after this moment are not needed
    :raises UsageError: no version is pinned for the dataset
    :raises MissingInput: the dataset has no such version
    """
    settings = lake_settings(config)
    snapshot = pinned_snapshot(settings, open_pinned_dataset(settings, name))
    if since is None and until is None:
        return snapshot.arrow()
    return snapshot.arrow(partitions_within(sorted(snapshot.partitions), settings.partitioning, since, until))


def open_pinned_dataset(settings: LakeSettings, name: str) -> Dataset:
    """A dataset of the pipeline that may be read.

    :raises UsageError: no version is pinned for it
    """
    from tradewind.lake.dataset import Lake

    if name not in settings.versions:
        raise UsageError(f"pipeline {settings.pipeline}: no version given for dataset {name}, which features read")
    return Lake(settings.lake, storage_options=settings.storage_options).dataset(settings.pipeline, name)


def pinned_snapshot(settings: LakeSettings, dataset: Dataset) -> Snapshot:
    """The dataset at its pinned version.

    :raises MissingInput: it has no such version
    """
    from deltalake.exceptions import DeltaError

    version = settings.versions[dataset.name]
    missing = f"pipeline {settings.pipeline}: dataset {dataset.name} has no version {version}"
    try:
        snapshot = dataset.snapshot(version)
    except DeltaError as exc:
        raise MissingInput(f"{missing}: {exc}") from exc
    if snapshot is None:
        raise MissingInput(f"{missing}: nothing has been published to it")
    return snapshot


def partitions_within(
    keys: Sequence[str], partitioning: Partitioning, since: datetime | None, until: datetime | None
) -> list[str]:
    """Those of ``keys`` whose ``[start, end]`` meets ``[since, until]``; keys sort as text in the order of time."""
    first = last = None
    if since is not None:
        first = partitioning.key_at(since)
        if partitioning.bounds(first).start == since:  # a row known at this very moment belongs to the partition before
            first = partitioning.shift(first, -1)
    if until is not None:
        last = partitioning.key_at(until)
    return [key for key in keys if (first is None or key >= first) and (last is None or key <= last)]
