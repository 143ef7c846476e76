"""Feast's DuckDB offline store over the lake, at dataset versions that the caller pins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

# Feast imports this file by the class's name; the classes must inherit from Feast's.
from feast.data_source import DataSource  # noqa: TID253
from feast.feature_view import FeatureView  # noqa: TID253
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig  # noqa: TID253
from feast.infra.offline_stores.ibis import (  # noqa: TID253
    pull_all_from_table_or_query_ibis,
    pull_latest_from_table_or_query_ibis,
)
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata  # noqa: TID253

from tradewind.errors import SpecError, UsageError
from tradewind.features.pinned_datasets import (
    lake_settings,
    open_pinned_dataset,
    partitions_within,
    pinned_arrow_dataset,
    pinned_snapshot,
)
from tradewind.features.source import LakeSource
from tradewind.spec.partitions import Kind, Partitioning

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from feast import RepoConfig
    from feast.infra.registry.base_registry import BaseRegistry
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.saved_dataset import SavedDatasetStorage

    from tradewind.features.known_rows import KnownRows
    from tradewind.features.point_in_time import JoinedView

TYPE = "tradewind.features.offline_store.LakeOfflineStore"


class LakeOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """Where the datasets are, and which version of each is read. Feast finds the store beside it, by its name.

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


def known_rows_reader(config: RepoConfig) -> Callable[[LakeSource, datetime | None, datetime | None], list[KnownRows]]:
    """Reads the partitions of a source that can hold rows of a span of time, as they were known when."""

    def read(source: LakeSource, since: datetime | None, until: datetime | None) -> list[KnownRows]:
        from tradewind.features.known_rows import slice_known_rows
        from tradewind.lake.corrections import corrected_partitions
        from tradewind.lake.dataset import Lake

        settings = lake_settings(config)
        dataset = open_pinned_dataset(settings, _dataset_name(config, source))
        snapshot = pinned_snapshot(settings, dataset)
        keys = partitions_within(sorted(snapshot.partitions), settings.partitioning, since, until)
        found = {}
        # rows with a `created` column say themselves since when they are known
        if settings.corrections == "as_known" and not source.created_timestamp_column:
            lake = Lake(settings.lake, storage_options=settings.storage_options)
            found = corrected_partitions(lake, settings.pipeline, snapshot, keys)
        return slice_known_rows(dataset, snapshot, keys, revisions=found, partitioning=settings.partitioning)

    return read


def _dataset_name(config: RepoConfig, source: DataSource) -> str:
    if not isinstance(source, LakeSource):
        pipeline = lake_settings(config).pipeline
        raise SpecError(f"pipeline {pipeline}: source {source.name} is a {type(source).__name__}; use LakeSource")
    return source.dataset


def _feast_reader(
    config: RepoConfig, reach: tuple[datetime | None, datetime | None]
) -> Callable[[DataSource, str], Any]:
    """What Feast calls to read a source: a lazy table of the partitions within ``reach``."""

    def read(source: DataSource, _repo: str) -> Any:
        import ibis
        from feast.utils import make_tzaware

        since, until = reach
        name = _dataset_name(config, source)
        rows = pinned_arrow_dataset(
            config, name, since=since and make_tzaware(since), until=until and make_tzaware(until)
        )
        return ibis.memtable(rows)

    return read


def _refuse(*_: object) -> None:
    raise UsageError("Feast does not write to the lake; datasets are published by the etl stage")
