"""What monitoring judged, read back: partitions that drifted, populations that decayed.

The policy counts them, the alarms name them, and a verdict says how many of them a training has seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tradewind.core.monitoring_rows import DRIFT_TABLE, PERFORMANCE_TABLE, DriftRow, PerformanceRow
from tradewind.lake.dataset import Lake

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.ledger.journal import Entry
    from tradewind.spec.pipeline import Pipeline

Row = TypeVar("Row", DriftRow, PerformanceRow)


@dataclass(frozen=True, slots=True)
class JudgedPartition(Generic[Row]):
    """One partition (of drift) or population (of performance): was it bad, and which rows say so.

    :param violated: None where there was not enough data to say
    """

    key: str
    violated: bool | None
    rows: Sequence[Row] = ()


def read_drift_rows(spec: Pipeline, keys: Sequence[str], lake: Lake) -> dict[str, list[DriftRow]]:
    """What was judged over the shortest horizon at these partitions, in their order; nothing where nothing was."""
    assert spec.monitor is not None
    shortest = min(spec.monitor.horizons)
    found: dict[str, list[DriftRow]] = {key: [] for key in keys}
    for record in _read_records(spec, DRIFT_TABLE, keys, lake):
        if (row := DriftRow.from_record(record)).horizon == shortest:
            found[row.partition].append(row)
    return found


def read_performance_rows(spec: Pipeline, keys: Sequence[str], lake: Lake) -> list[PerformanceRow]:
    """What was judged at these partitions, in order of partition and population."""
    rows = [PerformanceRow.from_record(one) for one in _read_records(spec, PERFORMANCE_TABLE, keys, lake)]
    # Rows come in any order, and the journal says what was found in them.
    return sorted(rows, key=lambda row: (row.partition, row.population))


def performance_partitions(spec: Pipeline, lake: Lake) -> list[str]:
    """Partitions in which labels fell due and populations were judged, in order."""
    snapshot = lake.dataset(spec.pipeline, PERFORMANCE_TABLE).snapshot()
    return [key for key, state in snapshot.partitions.items() if state.rows] if snapshot else []


def drift_judgements(spec: Pipeline, keys: Sequence[str], lake: Lake) -> list[JudgedPartition[DriftRow]]:
    """How drift over the shortest horizon was judged at these partitions; one that was not judged has no data."""
    return [
        JudgedPartition(key, has_drifted(rows), [row for row in rows if row.alarm])
        for key, rows in read_drift_rows(spec, keys, lake).items()
    ]


def drifted_partitions(deployment: Deployment, trained: Entry | None) -> Mapping[str, list[str]]:
    """Partitions of a training's window at which drift was alarmed, by what they were to it: ``fit`` and ``test``.

    Empty where the pipeline is not monitored, or where the ledger knows no training.
    """
    if deployment.spec.monitor is None or trained is None:
        return {}
    lake, known = deployment.lake, trained.evidence
    parts = {"fit": known.get("train_partitions", ()), "test": known.get("test_partitions", ())}
    return {
        name: [one.key for one in drift_judgements(deployment.spec, list(keys), lake) if one.violated]
        for name, keys in parts.items()
    }


def has_drifted(rows: Iterable[DriftRow]) -> bool | None:
    """Whether any judgement is an alarm; None where none could be made."""
    return any_true(None if row.outcome == "insufficient" else row.alarm for row in rows)


def any_true(values: Iterable[bool | None]) -> bool | None:
    """Whether any value is true; None where none is known."""
    known = [value for value in values if value is not None]
    return any(known) if known else None


def _read_records(spec: Pipeline, table: str, keys: Sequence[str], lake: Lake) -> list[dict[str, Any]]:
    snapshot = lake.dataset(spec.pipeline, table).snapshot()
    known = [key for key in keys if snapshot and key in snapshot.partitions]
    if snapshot is None or not known:
        return []
    records: list[dict[str, Any]] = snapshot.arrow(known).to_table().to_pylist()
    return records
