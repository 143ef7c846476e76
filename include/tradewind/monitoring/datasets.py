"""The datasets that monitoring writes: `profiles`, `drift` and `performance`, a few rows a partition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradewind.errors import MissingInput, UsageError
from tradewind.lake.dataset import Lake
from tradewind.lake.publish import Published

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.core.runtime import Runtime
    from tradewind.lake.cause import Cause
    from tradewind.lake.dataset import Dataset
    from tradewind.lake.snapshot import PartitionState
    from tradewind.spec.models import Monitor, Pipeline

PROFILES: Mapping[str, str] = {
    "feature": "string",
    "kind": "string",
    "rows": "int64",
    "model_version": "string",
    "profile": "string",
}
DRIFT: Mapping[str, str] = {
    "horizon": "int64",
    "feature": "string",
    "outcome": "string",
    "alarm": "bool",
    "psi": "float64",
    "null_mean": "float64",
    "null_high": "float64",
    "p": "float64",
    "q": "float64",
    "rows": "int64",
    "model_version": "string",
    "reason": "string",
}
PERFORMANCE: Mapping[str, str] = {
    "population": "string",
    "outcome": "string",
    "metric": "string",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "limit": "float64",
    "below": "bool",
    "rows": "int64",
    "without_label": "int64",
    "not_scored": "int64",
    "model_version": "string",
    "in_sample": "bool",
    "reason": "string",
}
_COLUMNS = {"profiles": PROFILES, "drift": DRIFT, "performance": PERFORMANCE}


def monitored(spec: Pipeline) -> Monitor:
    """The `monitor` part.

    :raises UsageError: there is none
    """
    if spec.monitor is None:
        raise UsageError(f"pipeline {spec.pipeline} has no `monitor` in its YAML")
    return spec.monitor


def publish(
    spec: Pipeline,
    runtime: Runtime,
    name: str,
    *,
    partition: str,
    cause: Cause,
    rows: Callable[[], Sequence[Mapping[str, Any]]],
) -> Published:
    """Publish the rows of one partition; they are made only if the partition is not there from the same cause.

    :param name: `profiles`, `drift` or `performance`
    :raises Conflict: another run published the partition meanwhile
    """
    import pyarrow as pa

    dataset = _dataset(spec, runtime, name)
    snapshot = dataset.snapshot()
    found = snapshot.partitions.get(partition) if snapshot else None
    if snapshot and found and found.cause == cause.hash:
        return Published(name, partition, snapshot.version, found.digest, found.rows, changed=False)
    schema = pa.schema([(column, pa.type_for_alias(kind)) for column, kind in _COLUMNS[name].items()])
    table = pa.Table.from_pylist([dict(row) for row in rows()], schema=schema)
    staged = dataset.stage(partition, table.to_reader())
    return dataset.publish(staged, cause=cause, run_id=runtime.run_id)


def read(spec: Pipeline, runtime: Runtime, name: str, *, partitions: Sequence[str]) -> pa.Table | None:
    """Rows of those of ``partitions`` that are there, with the column `partition`; None while there is no table."""
    snapshot = _dataset(spec, runtime, name).snapshot()
    if snapshot is None:
        return None
    return snapshot.arrow([key for key in partitions if key in snapshot.partitions]).to_table()


def state(spec: Pipeline, runtime: Runtime, name: str, partition: str) -> PartitionState | None:
    """The partition as it is now; None if it has not been published."""
    return states(spec, runtime, name).get(partition)


def states(spec: Pipeline, runtime: Runtime, name: str) -> Mapping[str, PartitionState]:
    """All partitions of a dataset as they are now."""
    snapshot = _dataset(spec, runtime, name).snapshot()
    return snapshot.partitions if snapshot else {}


def required(spec: Pipeline, runtime: Runtime, name: str, partition: str, *, hint: str) -> PartitionState:
    """The partition as it is now.

    :param hint: what to do when it is not there
    :raises MissingInput: it has not been published
    """
    found = state(spec, runtime, name, partition)
    if found is None:
        raise MissingInput(f"pipeline {spec.pipeline}: dataset {name} has no partition {partition}; {hint}")
    return found


def _dataset(spec: Pipeline, runtime: Runtime, name: str) -> Dataset:
    return Lake(runtime.lake, storage_options=runtime.storage_options).dataset(spec.pipeline, name)
