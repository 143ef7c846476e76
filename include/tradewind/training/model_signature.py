"""The columns that a model wants, and those that it would get now: names, order, and MLflow's names of their types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.errors import ModelError, TradewindError
from tradewind.features import definitions
from tradewind.training.model_frame import cast_model_inputs
from tradewind.training.model_inputs import train_config

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.deployment import Deployment

    Columns = list[tuple[str, str]]

_KINDS = {"double": "double", "string": "string", "timestamp[us]": "datetime"}


def expected_input_columns(deployment: Deployment) -> Columns | TradewindError:
    """Columns that a model of this pipeline gets now, in order, with MLflow's names of their types; else why not."""
    try:
        schema = cast_model_inputs(_input_fields(deployment).empty_table()).schema
    except TradewindError as exc:
        return exc
    return [(field.name, _KINDS[str(field.type)]) for field in schema]


def _input_fields(deployment: Deployment) -> pa.Schema:
    """`train.columns` as the label dataset has them, and the features as the service declares them."""
    import pyarrow as pa

    spec = deployment.spec
    train = train_config(spec)
    service = definitions.train_service(spec, definitions.load_definitions(deployment))
    from feast.type_map import feast_value_type_to_pa  # after the definitions, which import Feast as it has to be

    features = [feature for projection in service.feature_view_projections for feature in projection.features]
    lake = deployment.lake
    snapshot = lake.dataset(spec.pipeline, train.label.dataset).snapshot()
    if snapshot is None:
        raise ModelError(f"the dataset {train.label.dataset} has not been published")
    if missing := sorted(set(train.columns) - set(snapshot.schema.names)):
        raise ModelError(f"the dataset {train.label.dataset} has no column {', '.join(missing)}")
    fields = [(name, snapshot.schema.field(name).type) for name in train.columns]
    fields += [(feature.name, feast_value_type_to_pa(feature.dtype.to_value_type())) for feature in features]
    return pa.schema(fields)


def logged_input_columns(folder: Path) -> Columns:
    """Columns of the model's signature, in order, with their types.

    :raises ModelError: it has none, or cannot be read
    """
    import yaml

    try:
        described = yaml.safe_load((folder / "MLmodel").read_text())
    except (OSError, ValueError, yaml.YAMLError) as exc:
        raise ModelError(f"the model's description cannot be read: {exc}") from exc
    if not isinstance(described, dict) or not described.get("signature"):
        raise ModelError("the model has no signature, so nobody can say what it takes")
    return [(column["name"], column["type"]) for column in json.loads(described["signature"]["inputs"])]
