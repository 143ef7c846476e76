"""Partitions at which drift was alarmed: what the policy counts, and how many of them a training has seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.lake.dataset import Lake

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.ledger.journal import Entry
    from tradewind.spec.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class JudgedPartition:
    """One partition (of drift) or population (of performance): was it bad, and which numbers say so.

    :param violated: None where there was not enough data to say
    """

    key: str
    violated: bool | None
    numbers: Sequence[dict[str, Any]] = ()


def drift_judgements(spec: Pipeline, keys: Sequence[str], lake: Lake) -> list[JudgedPartition]:
    """How drift over the shortest horizon was judged at these partitions; one that was not judged has no data."""
    assert spec.monitor is not None
    shortest = min(spec.monitor.horizons)
    snapshot = lake.dataset(spec.pipeline, "drift").snapshot()
    known = [key for key in keys if snapshot and key in snapshot.partitions]
    found: dict[str, list[dict[str, Any]]] = {key: [] for key in keys}
    if snapshot is not None and known:
        for row in snapshot.arrow(known).to_table().to_pylist():
            if row["horizon"] == shortest:
                found[str(row["partition"])].append(row)
    return [_judge_rows(key, found[key]) for key in keys]


def drifted_partitions(deployment: Deployment, trained: Entry | None) -> Mapping[str, list[str]]:
    """Partitions of a training's window at which drift was alarmed, by what they were to it: ``fit`` and ``test``.

    Empty where the pipeline is not monitored, or where the ledger knows no training.
    """
    if deployment.spec.monitor is None or trained is None:
        return {}
    lake, known = deployment.lake, trained.evidence
    parts = {"fit": known.get("train_partitions", ()), "test": known.get("test_partitions", ())}
    return {name: _alarmed_keys(drift_judgements(deployment.spec, list(keys), lake)) for name, keys in parts.items()}


def any_true(values: Iterable[Any]) -> bool | None:
    """Whether any value is true; None where none is known."""
    known = [bool(value) for value in values if value is not None]
    return any(known) if known else None


def _alarmed_keys(judged: Iterable[JudgedPartition]) -> list[str]:
    return [one.key for one in judged if one.violated]


def _judge_rows(key: str, rows: Sequence[dict[str, Any]]) -> JudgedPartition:
    alarms = [{name: row[name] for name in ("feature", "horizon", "psi", "null_high")} for row in rows if row["alarm"]]
    return JudgedPartition(
        key, any_true(None if row["outcome"] == "insufficient" else row["alarm"] for row in rows), alarms
    )
