"""The data source of a feature view: a dataset of the pipeline, read at the versions its caller pins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

# Feast finds a source by its class, so the class must inherit from Feast's. Only feature definitions and Feast
# itself import this file; nothing that builds DAGs does.
from feast.data_source import DataSource  # noqa: TID253
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto  # noqa: TID253

if TYPE_CHECKING:
    from feast import RepoConfig, ValueType

_CLASS = "tradewind.features.source.LakeSource"


class LakeSource(DataSource):
    """A dataset of the pipeline as the source of a feature view.

    It names the dataset only. Which version of it is read is given with every call, never kept here, so the same
    definitions serve training on old versions and materialisation of new ones.

    :param dataset: name of the dataset in the pipeline's YAML
    :param timestamp_field: column (timestamp with time zone) with the moment from which the row is known; it must
        lie after its partition's start and not after its end: the end is right for what is known when the partition is
        over; the start would be seen by the partition's own training rows, which were scored before the row existed
    :param name: name in Feast; the dataset's by default
    :param created_timestamp_column: column with the moment at which the row was written, if there is one
    :param field_mapping: column names of the dataset mapped to feature names
    :param description: shown by Feast
    """

    def __init__(
        self,
        dataset: str,
        *,
        timestamp_field: str,
        name: str | None = None,
        created_timestamp_column: str | None = None,
        field_mapping: Mapping[str, str] | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
    ) -> None:
        super().__init__(
            name=name or dataset,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            field_mapping=dict(field_mapping or {}),
            description=description,
            tags=dict(tags or {}),
            owner=owner,
        )
        self.dataset = dataset

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LakeSource) and self.dataset == other.dataset and bool(super().__eq__(other))  # type: ignore[no-untyped-call]  # Feast's has no annotations

    def __hash__(self) -> int:
        return hash((self.name, self.dataset))

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> LakeSource:
        """The source that Feast's registry holds as ``data_source``."""
        return LakeSource(
            json.loads(data_source.custom_options.configuration)["dataset"],
            name=data_source.name,
            timestamp_field=data_source.timestamp_field,
            created_timestamp_column=data_source.created_timestamp_column,
            field_mapping=data_source.field_mapping,
            description=data_source.description,
            tags=data_source.tags,
            owner=data_source.owner,
        )

    def _to_proto_impl(self) -> DataSourceProto:
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=_CLASS,
            custom_options=DataSourceProto.CustomSourceOptions(
                configuration=json.dumps({"dataset": self.dataset}).encode()
            ),
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self.created_timestamp_column,
            field_mapping=self.field_mapping,
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )

    def validate(self, config: RepoConfig) -> None:
        """Nothing to check here: the definitions are checked against the YAML when they are loaded."""

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        """How Feast reads the type names of :meth:`get_table_column_names_and_types`: they are Arrow's."""
        from feast.type_map import pa_to_feast_value_type

        return pa_to_feast_value_type

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Columns of the dataset at the version pinned in ``config``, with their Arrow types."""
        from tradewind.features.pinned_datasets import pinned_arrow_dataset

        schema = pinned_arrow_dataset(config, self.dataset).schema
        # Feast takes Arrow's long and view strings for JSON
        return [(f.name, "string" if "string" in str(f.type) else str(f.type)) for f in schema if f.name != "partition"]

    def source_type(self) -> Any:
        """Feast's word for a source that it does not know itself."""
        return DataSourceProto.CUSTOM_SOURCE
