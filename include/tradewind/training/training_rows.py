"""The rows of a training as ``core.row_checks`` wants them, and what its findings mean for the training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tradewind.core import row_checks
from tradewind.core.row_checks import FeatureColumn, RowFinding, RowsPart
from tradewind.errors import ModelError
from tradewind.isolation import task_outputs
from tradewind.training.model_inputs import score_config, train_config

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.deployment import Deployment
    from tradewind.spec.pipeline import Pipeline
    from tradewind.training.model_frame import ModelFrame

log = logging.getLogger(__name__)

LabelCounts = Mapping[str, tuple[int, int]]
"""For each partition: rows whose label should be known, and how many of them have none."""


def count_due_labels(
    deployment: Deployment, keys: Sequence[str], *, version: int | None, known_by: datetime
) -> LabelCounts:
    """Count labels that should be known, and those that are missing, in partitions of the label dataset.

    :param version: table version of the label dataset
    :param known_by: labels that are known later than this moment (aware) are not due
    :raises MissingInput: a partition is not there
    """
    import pyarrow.compute as pc

    spec = deployment.spec
    label, timestamp = train_config(spec).label, score_config(spec).population.timestamp
    lake = deployment.lake
    snapshot = lake.dataset(spec.pipeline, label.dataset).snapshot(version)
    if snapshot is None:
        return {}
    due = pc.less_equal(pc.field(timestamp), known_by - label.available_after)
    table = snapshot.arrow(list(keys)).to_table(columns=["partition", label.column], filter=due)
    unknown = table.set_column(1, "unknown", pc.is_null(table[label.column]))
    counts = unknown.group_by("partition").aggregate([("unknown", "count"), ("unknown", "sum")]).to_pylist()
    return {row["partition"]: (row["unknown_count"], row["unknown_sum"]) for row in counts}


def check_training_rows(
    spec: Pipeline,
    *,
    fit: ModelFrame,
    judging: Mapping[str, ModelFrame],
    parts: Mapping[str, Sequence[str]],
    due: LabelCounts,
) -> tuple[RowFinding, ...]:
    """Check what is learned from and what judges, by the rules of the YAML.

    :param judging: frames by what they are called: ``test rows``
    :param parts: partitions of each frame by what it is called; ``training rows`` for ``fit``
    :param due: of :func:`count_due_labels`
    """
    train = train_config(spec)
    labels = {name: frame.labels() for name, frame in {"training rows": fit, **judging}.items()}
    order = (
        sorted({str(value) for values in labels.values() for value in set(values)})
        if _has_named_classes(train.task)
        else []
    )
    made = {name: _rows_to_check(name, parts[name], task_outputs.metric_targets(train.task, values, order), due)
            for name, values in labels.items()}  # fmt: skip
    findings = row_checks.find_row_problems(
        train.checks,
        train.task,
        fit=made.pop("training rows"),
        judging=list(made.values()),
        features=_features_to_check(fit.inputs()) if fit.table.num_rows else (),
        classes=order,
    )
    for finding in findings:
        log.warning("%s: %s: %s", spec.pipeline, finding.check, finding.sentence)
    return findings


def require_no_errors(findings: Sequence[RowFinding], what: str) -> None:
    """Stop if there is an error among the findings.

    :param what: whose rows these are, for the message
    :raises ModelError: there is one; the message lists all
    """
    errors = [finding.sentence for finding in findings if finding.severity == "error"]
    if errors:
        raise ModelError(f"{what}: nothing is fitted, because {'; '.join(errors)}")


def _has_named_classes(task: str) -> bool:
    return task == "multiclass"


def _rows_to_check(name: str, keys: Sequence[str], y: npt.NDArray[Any], due: LabelCounts) -> RowsPart:
    counts = [due.get(key, (0, 0)) for key in keys]
    where = f" ({keys[0]} … {keys[-1]})" if keys else ""
    return RowsPart(f"{name}{where}", y, sum(rows for rows, _ in counts), sum(unknown for _, unknown in counts))


def _features_to_check(inputs: pa.Table) -> list[FeatureColumn]:
    return [_feature_to_check(name, inputs[name]) for name in inputs.column_names]


def _feature_to_check(name: str, column: pa.ChunkedArray) -> FeatureColumn:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type):
        indices = pa.chunked_array([column.combine_chunks().dictionary_encode().indices])
        return FeatureColumn(name, pc.fill_null(indices, -1).to_numpy(), categorical=True)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return FeatureColumn(name, column.cast(pa.float64(), safe=False).to_numpy(), categorical=False)
