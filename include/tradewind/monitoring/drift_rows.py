"""Drift of one partition: the inputs of the model and its predictions against the champion's baseline."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.core import drift, profiles
from tradewind.core.drift_tests import load_drift_tests
from tradewind.core.monitoring_rows import DRIFT_TABLE, DriftRow
from tradewind.errors import MissingInput
from tradewind.lake.cause import Cause
from tradewind.monitoring import monitoring_datasets
from tradewind.monitoring.profile_rows import PREDICTION
from tradewind.spec.digest import config_hash

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.lake.publish import PublishedPartition
    from tradewind.lake.snapshot import Snapshot
    from tradewind.ledger.champions import ChampionChange
    from tradewind.spec.pipeline import Pipeline

log = logging.getLogger(__name__)

CODE = "2"  # raise it when the same profiles are judged otherwise

_NO_CHAMPION = "there is no champion for this population, so there is no baseline"

PartitionProfiles = Mapping[str, Mapping[str, profiles.ColumnProfile]]


@dataclass(frozen=True, slots=True)
class _KnownProfiles:
    """Profiles by partition, then by feature; and which model version made each partition's predictions."""

    by_partition: PartitionProfiles
    predicted_by: Mapping[str, str]


def publish_drift(deployment: Deployment, partition: str) -> PublishedPartition:
    """Publish the dataset `drift` of one partition: one row for each feature, horizon and drift test.

    The baseline of a feature are the profiles of the partitions that the champion was fitted on. A prediction has none
    there (the model has seen these rows), so its baseline are the partitions that the champion scored before.
    With a horizon h the last h partitions are merged; all of them must lie after the champion's training. Where no
    champion serves the population of ``partition``, the outcome is `no champion`.

    :raises MissingInput: the partition has not been profiled
    :raises Conflict: another run published the partition meanwhile
    """
    spec = deployment.spec
    base = monitoring_datasets.monitoring_base(deployment, DRIFT_TABLE, partition)
    champion = deployment.ledger.champion_for(spec.pipeline, partition)
    profiled = monitoring_datasets.monitoring_snapshot(deployment, "profiles")
    states = monitoring_datasets.partition_states(profiled)
    if partition not in states:
        raise MissingInput(f"pipeline {spec.pipeline}: dataset profiles has no partition {partition}; profile it first")
    wanted = _needed_partitions(spec, partition, champion)
    inputs = {f"profiles/{key}": states[key].digest for key in wanted if key in states}
    if champion is not None:
        inputs["champion"] = f"{champion.seq}:{champion.model_version}"
    return monitoring_datasets.publish_monitoring_rows(
        deployment,
        DRIFT_TABLE,
        partition=partition,
        cause=Cause(inputs, drift_config_hash(spec), CODE),
        base=base,
        rows=lambda: _drift_rows(spec, partition, _read_profiles(profiled, wanted), champion=champion),
    )


def drift_config_hash(spec: Pipeline) -> str:
    """Hash of the configuration that determines drift, the code of its tests included."""
    monitor = monitoring_datasets.require_monitor(spec)
    # A test whose code has not been raised adds nothing: what was published before tests had a code stays.
    raised = [f"{test.name} {test.code}" for test in load_drift_tests(monitor.drift.tests) if test.code != "1"]
    return config_hash(monitor.horizons, monitor.drift, *raised)


def _needed_partitions(spec: Pipeline, partition: str, champion: ChampionChange | None) -> list[str]:
    """Partitions whose profiles matter, in order."""
    if champion is None:
        return [partition]
    recent = _window(spec, partition, max(monitoring_datasets.require_monitor(spec).horizons))
    served = spec.partitioning.between(max(champion.effective_from, spec.start), partition)
    return sorted({*train_partitions(champion), *recent, *served})


def train_partitions(champion: ChampionChange) -> list[str]:
    """Partitions that the champion was fitted on, in order."""
    return sorted(champion.evidence.get("train_partitions", ()))


def _drift_rows(
    spec: Pipeline, partition: str, known: _KnownProfiles, *, champion: ChampionChange | None
) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    for horizon in monitoring_datasets.require_monitor(spec).horizons:
        if champion is None:
            current = known.by_partition[partition]
            found = _every_judgement(spec, current, _NO_CHAMPION)
            rows += [_drift_row(result, partition, horizon, None).as_record() for result in found]
        else:
            judged = _judge_horizon(spec, partition, champion, known, horizon=horizon)
            rows += [_drift_row(result, partition, horizon, champion).as_record() for result in judged]
    return rows


def _judge_horizon(
    spec: Pipeline, partition: str, champion: ChampionChange, known: _KnownProfiles, *, horizon: int
) -> Sequence[drift.FeatureDrift]:
    window = _window(spec, partition, horizon)
    current = known.by_partition[partition]
    impossible = _insufficient_reason(champion, known, window, horizon)
    if impossible:
        return _every_judgement(spec, current, impossible)
    baselines, merged = {}, {}
    refused: list[drift.FeatureDrift] = []
    for name, profile in current.items():
        before = _baseline(name, champion, known, window[0])
        parts = [known.by_partition[key].get(name) for key in window if _same_model(name, key, champion, known)]
        usable = [part for part in parts if part is not None]
        if len(usable) < horizon or len({part.kind for part in usable}) > 1:
            reason = f"not the same {name} in all of {', '.join(window)}"
            refused += _every_judgement(spec, {name: profile}, reason)
        else:
            baselines[name], merged[name] = before, profiles.merge_profiles(usable)
    policy = monitoring_datasets.require_monitor(spec).drift
    tests = load_drift_tests(policy.tests)
    return [*drift.judge_drift(baselines, merged, tests=tests, policy=policy, horizon=horizon), *refused]


def _every_judgement(
    spec: Pipeline, current: Mapping[str, profiles.ColumnProfile], reason: str
) -> list[drift.FeatureDrift]:
    """What each test says of each feature that it could judge, where nothing can be: why not."""
    tests = load_drift_tests(monitoring_datasets.require_monitor(spec).drift.tests)
    return [
        drift.FeatureDrift(name, test.name, "insufficient", reason, profile.rows)
        for name, profile in current.items()
        for test in tests
        if profile.kind in test.kinds
    ]


def _insufficient_reason(
    champion: ChampionChange, known: _KnownProfiles, window: Sequence[str], horizon: int
) -> str | None:
    """Why nothing can be judged over ``window``; None if it can."""
    trained = train_partitions(champion)
    if not trained:
        return f"the journal does not say what version {champion.model_version} was trained on"
    missing = [key for key in window if key not in known.by_partition]
    if len(window) < horizon or missing:
        return f"{len(window) - len(missing)} of the last {horizon} partitions are profiled"
    if window[0] <= trained[-1]:
        return f"the last {horizon} partitions {drift.IN_TRAINING}, which ended with {trained[-1]}"
    return None


def _baseline(name: str, champion: ChampionChange, known: _KnownProfiles, first: str) -> list[profiles.ColumnProfile]:
    if name == PREDICTION:
        keys = [key for key in known.by_partition if key < first and _same_model(name, key, champion, known)]
    else:
        keys = [key for key in train_partitions(champion) if key in known.by_partition]
    return [known.by_partition[key][name] for key in sorted(keys) if name in known.by_partition[key]]


def _same_model(name: str, key: str, champion: ChampionChange, known: _KnownProfiles) -> bool:
    """Predictions can be compared only with those of the same version."""
    return name != PREDICTION or known.predicted_by.get(key) == champion.model_version


def _read_profiles(profiled: Snapshot | None, wanted: Sequence[str]) -> _KnownProfiles:
    table = monitoring_datasets.snapshot_rows(profiled, wanted)
    found: dict[str, dict[str, profiles.ColumnProfile]] = {}
    predicted_by = {}
    rows = table.sort_by([("partition", "ascending"), ("feature", "ascending")]) if table is not None else None
    for row in rows.to_pylist() if rows is not None else []:
        found.setdefault(row["partition"], {})[row["feature"]] = profiles.from_json(row["profile"])
        if row["feature"] == PREDICTION:
            predicted_by[row["partition"]] = row["model_version"]
    return _KnownProfiles(found, predicted_by)


def _window(spec: Pipeline, partition: str, length: int) -> list[str]:
    return [key for key in spec.partitioning.window(partition, length) if key >= spec.start]


def _drift_row(result: drift.FeatureDrift, partition: str, horizon: int, champion: ChampionChange | None) -> DriftRow:
    judged = result.outcome != "insufficient"
    return DriftRow(
        partition=partition,
        feature=result.feature,
        horizon=horizon,
        outcome=result.outcome if champion else "no champion",
        alarm=result.alarm if judged else None,
        test=result.test,
        statistic=result.statistic,
        null_mean=result.null_mean,
        null_high=result.null_high,
        p=result.p,
        q=result.q,
        rows=result.rows,
        model_version=champion.model_version if champion else None,
        reason=result.reason,
    )
