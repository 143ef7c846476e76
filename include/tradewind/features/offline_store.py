"""Feast's DuckDB offline store over the lake, at dataset versions that the caller pins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

# Feast imports this file by the class's name; the classes must inherit from Feast's.
from feast.data_source import DataSource  # noqa: TID253
from feast.feature_view import FeatureView  # noqa: TID253
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig  # noqa: TID253
from feast.infra.offline_stores.ibis import (  # noqa: TID253
    pull_all_from_table_or_query_ibis,
    pull_latest_from_table_or_query_ibis,
)
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata  # noqa: TID253

from tradewind.errors import MissingInput, SpecError, UsageError
from tradewind.features.source import LakeSource
from tradewind.spec.partitions import Kind, Partitioning

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as pads
    from feast import RepoConfig
    from feast.infra.registry.base_registry import BaseRegistry
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.saved_dataset import SavedDatasetStorage

    from tradewind.features.known_rows import KnownRows
    from tradewind.features.point_in_time import JoinedView
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
    :param corrections: what a join sees of a corrected partition: ``as_known`` at the entity's time, or the ``newest``
    """

    type: str = TYPE
    lake: str
    pipeline: str
    versions: dict[str, int]
    storage_options: dict[str, str]
    partition_kind: Kind
    timezone: str
    start: str
    corrections: str = "as_known"

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
            data_source_reader=_feast_reader(config, (start_date, end_date)),
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
            data_source_reader=_feast_reader(config, (start_date, end_date)),
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
        """Point-in-time join; see :mod:`tradewind.features.point_in_time`. Created timestamps always count."""
        from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

        if isinstance(entity_df, str):
            raise UsageError("the lake's offline store joins data frames of entities, not SQL queries")
        time = infer_event_timestamp_from_entity_df(dict(entity_df.dtypes))
        views = [_view(view, feature_refs, full=full_feature_names) for view in feature_views]
        return LakeRetrievalJob(config, entity_df, views, time=time, full_feature_names=full_feature_names)


class LakeRetrievalJob(RetrievalJob):
    """A point-in-time join that runs when its result is asked for."""

    def __init__(
        self,
        config: RepoConfig,
        entities: pd.DataFrame,
        views: Sequence[JoinedView],
        *,
        time: str,
        full_feature_names: bool,
    ) -> None:
        super().__init__()
        self._config, self._entities, self._views, self._time = config, entities, views, time
        self._full = full_feature_names

    @property
    def full_feature_names(self) -> bool:
        """Whether the features' names carry their view's."""
        return self._full

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """None: the definitions may not hold any."""
        return []

    @property
    def metadata(self) -> RetrievalMetadata:
        """What was asked for."""
        times = self._entities[self._time]
        features = [f"{view.name}:{name}" for view in self._views for name in view.features]
        keys = [name for name in self._entities.columns if name != self._time]
        return RetrievalMetadata(features, keys, times.min(), times.max())

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Feast's saved datasets: refused."""
        _refuse()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        import pyarrow as pa

        from tradewind.features.point_in_time import join_point_in_time

        frame = self._entities
        if str(frame[self._time].dtype) in ("object", "string"):
            import pandas as pd

            frame = frame.assign(**{self._time: pd.to_datetime(frame[self._time], utc=True)})
        entities = pa.Table.from_pandas(frame, preserve_index=False)
        found = join_point_in_time(entities, self._views, time=self._time, read=known_rows_reader(self._config))
        for name in found.column_names:
            entities = entities.append_column(name, found[name])
        return entities


def _view(view: FeatureView, feature_refs: Sequence[str], *, full: bool) -> JoinedView:
    from tradewind.features.point_in_time import joined_view

    name = str(view.projection.name_to_use())  # type: ignore[no-untyped-call]  # Feast's has no annotations
    asked = [ref.split(":")[1] for ref in feature_refs if ref.startswith(f"{name}:")]
    prefix = f"{view.projection.name_alias or view.name}__" if full else ""
    return joined_view(view, {f"{prefix}{name}": name for name in asked})


def pinned_dataset(
    config: RepoConfig, source: DataSource, *, since: datetime | None = None, until: datetime | None = None
) -> pads.Dataset:
    """Arrow dataset of ``source`` at its pinned version.

    :param since: rows before this moment are not needed: their partitions may be left out
    :param until: rows after this moment are not needed
    :raises SpecError: the source is not a :class:`LakeSource`
    :raises UsageError: no version is pinned for its dataset
    :raises MissingInput: the dataset has no such version
    """
    settings = _settings(config)
    snapshot = _snapshot(settings, _dataset(settings, source))
    if since is None and until is None:
        return snapshot.arrow()
    return snapshot.arrow(_partitions_within(sorted(snapshot.partitions), settings.partitioning, since, until))


def known_rows_reader(config: RepoConfig) -> Callable[[LakeSource, datetime | None, datetime | None], list[KnownRows]]:
    """Reads the partitions of a source that can hold rows of a span of time, as they were known when."""

    def read(source: LakeSource, since: datetime | None, until: datetime | None) -> list[KnownRows]:
        from tradewind.features.known_rows import slice_known_rows
        from tradewind.lake.corrections import corrected_partitions
        from tradewind.lake.dataset import Lake

        settings = _settings(config)
        dataset = _dataset(settings, source)
        snapshot = _snapshot(settings, dataset)
        keys = _partitions_within(sorted(snapshot.partitions), settings.partitioning, since, until)
        found = {}
        # rows with a `created` column say themselves since when they are known
        if settings.corrections == "as_known" and not source.created_timestamp_column:
            lake = Lake(settings.lake, storage_options=settings.storage_options)
            found = corrected_partitions(lake, settings.pipeline, snapshot, keys)
        return slice_known_rows(dataset, snapshot, keys, revisions=found, partitioning=settings.partitioning)

    return read


def _settings(config: RepoConfig) -> LakeOfflineStoreConfig:
    return cast("LakeOfflineStoreConfig", config.offline_store)


def _dataset(settings: LakeOfflineStoreConfig, source: DataSource) -> Dataset:
    from tradewind.lake.dataset import Lake

    if not isinstance(source, LakeSource):
        raise SpecError(
            f"pipeline {settings.pipeline}: source {source.name} is a {type(source).__name__}; use LakeSource"
        )
    if source.dataset not in settings.versions:
        raise UsageError(
            f"pipeline {settings.pipeline}: no version given for dataset {source.dataset}, which features read"
        )
    return Lake(settings.lake, storage_options=settings.storage_options).dataset(settings.pipeline, source.dataset)


def _snapshot(settings: LakeOfflineStoreConfig, dataset: Dataset) -> Snapshot:
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


def _partitions_within(
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


def _feast_reader(
    config: RepoConfig, reach: tuple[datetime | None, datetime | None]
) -> Callable[[DataSource, str], Any]:
    """What Feast calls to read a source: a lazy table of the partitions within ``reach``."""

    def read(source: DataSource, _repo: str) -> Any:
        import ibis
        from feast.utils import make_tzaware

        since, until = reach
        rows = pinned_dataset(config, source, since=since and make_tzaware(since), until=until and make_tzaware(until))
        return ibis.memtable(rows)

    return read


def _refuse(*_: object) -> None:
    raise UsageError("Feast does not write to the lake; datasets are published by the etl stage")
