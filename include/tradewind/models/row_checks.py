"""The rows of a training as ``core.row_checks`` wants them, and what its findings mean for the training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tradewind.core import row_checks
from tradewind.core.row_checks import Feature, Finding, Part
from tradewind.errors import ModelError
from tradewind.lake.dataset import Lake
from tradewind.models import tasks
from tradewind.models.inputs import scoring, training

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.core.runtime import Runtime
    from tradewind.models.frame import Frame
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)

Labels = Mapping[str, tuple[int, int]]
"""For each partition: rows whose label should be known, and how many of them have none."""


def labels_due(
    spec: Pipeline, keys: Sequence[str], runtime: Runtime, *, version: int | None, known_by: datetime
) -> Labels:
    """Count labels that should be known, and those that are missing, in partitions of the label dataset.

    :param version: table version of the label dataset
    :param known_by: labels that are known later than this moment (aware) are not due
    :raises MissingInput: a partition is not there
    """
    import pyarrow.compute as pc

    label, timestamp = training(spec).label, scoring(spec).population.timestamp
    lake = Lake(runtime.lake, storage_options=runtime.storage_options)
    snapshot = lake.dataset(spec.pipeline, label.dataset).snapshot(version)
    if snapshot is None:
        return {}
    due = pc.less_equal(pc.field(timestamp), known_by - label.available_after)
    table = snapshot.arrow(list(keys)).to_table(columns=["partition", label.column], filter=due)
    unknown = table.set_column(1, "unknown", pc.is_null(table[label.column]))
    counts = unknown.group_by("partition").aggregate([("unknown", "count"), ("unknown", "sum")]).to_pylist()
    return {row["partition"]: (row["unknown_count"], row["unknown_sum"]) for row in counts}


def check(
    spec: Pipeline, *, fit: Frame, judging: Mapping[str, Frame], parts: Mapping[str, Sequence[str]], due: Labels
) -> tuple[Finding, ...]:
    """Check what is learned from and what judges, by the rules of the YAML.

    :param judging: frames by what they are called: ``test rows``
    :param parts: partitions of each frame by what it is called; ``training rows`` for ``fit``
    :param due: of :func:`labels_due`
    """
    train = training(spec)
    labels = {name: frame.labels() for name, frame in {"training rows": fit, **judging}.items()}
    order = sorted({str(value) for values in labels.values() for value in set(values)}) if _named(train.task) else []
    made = {name: _part(name, parts[name], tasks.targets(train.task, values, order), due)
            for name, values in labels.items()}  # fmt: skip
    findings = row_checks.check(
        train.checks,
        train.task,
        fit=made.pop("training rows"),
        judging=list(made.values()),
        features=_features(fit.inputs()) if fit.table.num_rows else (),
        classes=order,
    )
    for finding in findings:
        log.warning("%s: %s: %s", spec.pipeline, finding.check, finding.sentence)
    return findings


def require(findings: Sequence[Finding], what: str) -> None:
    """Stop if there is an error among the findings.

    :param what: whose rows these are, for the message
    :raises ModelError: there is one; the message lists all
    """
    errors = [finding.sentence for finding in findings if finding.severity == "error"]
    if errors:
        raise ModelError(f"{what}: nothing is fitted, because {'; '.join(errors)}")


def _named(task: str) -> bool:
    return task == "multiclass"


def _part(name: str, keys: Sequence[str], y: npt.NDArray[Any], due: Labels) -> Part:
    counts = [due.get(key, (0, 0)) for key in keys]
    where = f" ({keys[0]} … {keys[-1]})" if keys else ""
    return Part(f"{name}{where}", y, sum(rows for rows, _ in counts), sum(unknown for _, unknown in counts))


def _features(inputs: pa.Table) -> list[Feature]:
    return [_feature(name, inputs[name]) for name in inputs.column_names]


def _feature(name: str, column: pa.ChunkedArray) -> Feature:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type):
        indices = pa.chunked_array([column.combine_chunks().dictionary_encode().indices])
        return Feature(name, pc.fill_null(indices, -1).to_numpy(), categorical=True)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return Feature(name, column.cast(pa.float64(), safe=False).to_numpy(), categorical=False)
