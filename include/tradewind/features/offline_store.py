"""Feast's DuckDB offline store over the lake, at dataset versions that the caller pins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

# Feast imports this file by the class's name; the classes must inherit from Feast's.
from feast.data_source import DataSource  # noqa: TID253
from feast.feature_view import FeatureView  # noqa: TID253
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig  # noqa: TID253
from feast.infra.offline_stores.ibis import (  # noqa: TID253
    get_historical_features_ibis,
    pull_all_from_table_or_query_ibis,
    pull_latest_from_table_or_query_ibis,
)

from tradewind.errors import MissingInput, SpecError, UsageError
from tradewind.features.source import LakeSource
from tradewind.spec.partitions import Kind, Partitioning

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.dataset as pads
    from feast import RepoConfig
    from feast.infra.offline_stores.offline_store import RetrievalJob
    from feast.infra.registry.base_registry import BaseRegistry

    from tradewind.lake.dataset import Dataset
    from tradewind.lake.snapshot import Snapshot

TYPE = "tradewind.features.offline_store.LakeOfflineStore"


class LakeOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """Where the datasets are, and which version of each is read.

    :param lake: root of the lake
    :param pipeline: whose datasets they are
    :param versions: table version of every dataset that may be read
    :param storage_options: credentials of the lake, as deltalake takes them
    :param partition_kind: with ``timezone`` and ``start``: how the pipeline slices time
    """

    type: str = TYPE
    lake: str
    pipeline: str
    versions: dict[str, int]
    storage_options: dict[str, str]
    partition_kind: Kind
    timezone: str
    start: str

    @property
    def partitioning(self) -> Partitioning:
        """How the pipeline slices time."""
        return Partitioning(self.partition_kind, self.timezone, self.start)


class LakeOfflineStore(DuckDBOfflineStore):
    """Feast's DuckDB store, reading only the partitions that can hold rows of the time asked for."""

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Newest row of every entity with a timestamp in ``[start_date, end_date]``."""
        return pull_latest_from_table_or_query_ibis(
            config=config,
            data_source=data_source,
            join_key_columns=join_key_columns,
            feature_name_columns=feature_name_columns,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            start_date=start_date,
            end_date=end_date,
            data_source_reader=_reader(config, (start_date, end_date)),
            data_source_writer=_refuse,
        )

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """All rows with a timestamp in ``[start_date, end_date]``; None for no limit."""
        return pull_all_from_table_or_query_ibis(
            config=config,
            data_source=data_source,
            join_key_columns=join_key_columns,
            feature_name_columns=feature_name_columns,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            start_date=start_date,
            end_date=end_date,
            data_source_reader=_reader(config, (start_date, end_date)),
            data_source_writer=_refuse,
        )

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """Point-in-time join. Feast's own, over no more partitions than entity times and ttl can reach."""
        if isinstance(entity_df, str):
            raise UsageError("the lake's offline store joins data frames of entities, not SQL queries")
        return get_historical_features_ibis(
            config=config,
            feature_views=feature_views,
            feature_refs=feature_refs,
            entity_df=entity_df,
            registry=registry,
            project=project,
            full_feature_names=full_feature_names,
            filter_by_created_timestamp=filter_by_created_timestamp,
            data_source_reader=_reader(config, _reach(feature_views, entity_df)),
            data_source_writer=_refuse,
        )


def pinned(
    config: RepoConfig, source: DataSource, *, since: datetime | None = None, until: datetime | None = None
) -> pads.Dataset:
    """Arrow dataset of ``source`` at its pinned version.

    :param since: rows before this moment are not needed: their partitions may be left out
    :param until: rows after this moment are not needed
    :raises SpecError: the source is not a :class:`LakeSource`
    :raises UsageError: no version is pinned for its dataset
    :raises MissingInput: the dataset has no such version
    """
    from tradewind.lake.dataset import Lake

    settings = cast("LakeOfflineStoreConfig", config.offline_store)
    if not isinstance(source, LakeSource):
        raise SpecError(
            f"pipeline {settings.pipeline}: source {source.name} is a {type(source).__name__}; use LakeSource"
        )
    if source.dataset not in settings.versions:
        raise UsageError(
            f"pipeline {settings.pipeline}: no version given for dataset {source.dataset}, which features read"
        )
    version = settings.versions[source.dataset]
    dataset = Lake(settings.lake, storage_options=settings.storage_options).dataset(settings.pipeline, source.dataset)
    snapshot = _snapshot(dataset, version, pipeline=settings.pipeline)
    if since is None and until is None:
        return snapshot.arrow()
    return snapshot.arrow(_reached(sorted(snapshot.partitions), settings.partitioning, since, until))


def _snapshot(dataset: Dataset, version: int, *, pipeline: str) -> Snapshot:
    from deltalake.exceptions import DeltaError

    missing = f"pipeline {pipeline}: dataset {dataset.name} has no version {version}"
    try:
        snapshot = dataset.snapshot(version)
    except DeltaError as exc:
        raise MissingInput(f"{missing}: {exc}") from exc
    if snapshot is None:
        raise MissingInput(f"{missing}: nothing has been published to it")
    return snapshot


def _reached(
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


Reach = tuple[datetime | None, datetime | None]
"""Time from which, and up to which, rows are needed; None for no limit."""


def _reach(views: Sequence[FeatureView], entities: pd.DataFrame) -> dict[str, Reach]:
    """By source: the time of the feature rows that can be joined to ``entities``."""
    from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

    times = entities[infer_event_timestamp_from_entity_df(dict(entities.dtypes))]
    first, last = times.min().to_pydatetime(), times.max().to_pydatetime()
    reach: dict[str, Reach] = {}
    for view in views:
        # Feast: no ttl, or one of zero, means for ever
        since = first - view.ttl if view.ttl else None
        name = str(view.batch_source.name)  # type: ignore[union-attr]  # checked to be a LakeSource
        earlier = reach.get(name, (since, last))[0]
        reach[name] = (min(since, earlier) if since and earlier else None, last)
    return reach


def _reader(config: RepoConfig, reach: Mapping[str, Reach] | Reach) -> Callable[[DataSource, str], Any]:
    """What Feast calls to read a source: a lazy table of the partitions within ``reach``."""

    def read(source: DataSource, _repo: str) -> Any:
        import ibis
        from feast.utils import make_tzaware

        since, until = reach[str(source.name)] if isinstance(reach, Mapping) else reach
        rows = pinned(config, source, since=since and make_tzaware(since), until=until and make_tzaware(until))
        return ibis.memtable(rows)

    return read


def _refuse(*_: object) -> None:
    raise UsageError("Feast does not write to the lake; datasets are published by the etl stage")
