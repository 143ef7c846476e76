"""What came of a replay, as plain values: from the ledger, the lake and the registry, never from memory of the run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core.monitoring_rows import DRIFT_TABLE, DriftRow
from tradewind.deployment import Deployment
from tradewind.ledger.journal import Ledger
from tradewind.local_airflow.home import Home

if TYPE_CHECKING:
    from tradewind.lake.snapshot import Snapshot
    from tradewind.spec.pipeline import Pipeline

MONITORING_DATASETS = ("profiles", "drift", "performance")


def summarise_demo(deployment: Deployment) -> dict[str, Any]:
    """Everything that the demo's tables show."""
    realised = _realised_performance(deployment)
    return {
        **summarise_pipeline(deployment),
        "realised": realised,
        "policy": _compare_policy(deployment, realised),
        "drift": _drift(deployment),
        "judgements": _judgements(deployment),
    }


def summarise_pipeline(deployment: Deployment) -> dict[str, Any]:
    """Rows, versions with their verdicts, champions, decisions and open incidents of any pipeline."""
    from tradewind.alerting.incidents import open_incidents

    spec, ledger = deployment.spec, deployment.ledger
    return {
        "pipeline": spec.pipeline,
        "datasets": _datasets(deployment),
        "quarantined": _quarantined(deployment),
        "features": _features(spec, ledger),
        "versions": _versions(spec, ledger),
        "champions": _champions(spec, ledger),
        "decisions": _decisions(spec, ledger),
        "incidents": [
            {"fingerprint": one.fingerprint, "partitions": list(one.partitions), "message": one.message}
            for one in open_incidents(ledger, spec.pipeline)
        ],
    }


def _snapshot(deployment: Deployment, name: str) -> Snapshot | None:
    return deployment.lake.dataset(deployment.spec.pipeline, name).snapshot()


def _rows(deployment: Deployment, name: str) -> list[dict[str, Any]]:
    snapshot = _snapshot(deployment, name)
    rows: list[dict[str, Any]] = snapshot.arrow().to_table().to_pylist() if snapshot else []
    return rows


def _datasets(deployment: Deployment) -> dict[str, dict[str, Any]]:
    found = {}
    for name in (*deployment.spec.datasets, *MONITORING_DATASETS, "predictions"):
        if snapshot := _snapshot(deployment, name):
            states = snapshot.partitions
            rows = {key: state.rows for key, state in states.items()}
            found[name] = {
                "version": snapshot.version,
                "partitions": len(states),
                "rows": sum(rows.values()),
                "by_partition": rows,
            }
    return found


def _quarantined(deployment: Deployment) -> list[dict[str, str]]:
    """Partitions of which something lies in quarantine; the lake of the demo is a local folder."""
    places = sorted(Path(deployment.runtime.lake).glob(f"{deployment.spec.pipeline}/*/_quarantine/*"))
    return [{"dataset": place.parent.parent.name, "partition": place.name} for place in places]


def _features(spec: Pipeline, ledger: Ledger) -> dict[str, int]:
    """Entity rows written to the online store, by feature view; the newest materialisation of each partition counts."""
    newest = {entry.partition: entry for entry in ledger.find(spec.pipeline, "materialised")}
    total: dict[str, int] = {}
    for entry in newest.values():
        for view, rows in entry.evidence["rows"].items():
            total[view] = total.get(view, 0) + rows
    return total


def _versions(spec: Pipeline, ledger: Ledger) -> list[dict[str, Any]]:
    verdicts = {str(entry.evidence["version"]): entry for entry in ledger.find(spec.pipeline, "verdict")}
    found = []
    for entry in ledger.find(spec.pipeline, "trained"):
        verdict = verdicts.get(entry.evidence.get("refit_of") or entry.subject)
        found.append(
            {
                "version": entry.subject,
                "partition": entry.partition,
                "train_partitions": entry.evidence["train_partitions"],
                "test_partitions": entry.evidence["test_partitions"],
                "refit_of": entry.evidence.get("refit_of"),
                "verdict": verdict.outcome if verdict else None,
                "reason": verdict.reason if verdict else None,
                "gates": list(verdict.evidence["gates"]) if verdict and "refit_of" not in entry.evidence else [],
            }
        )
    return found


def _champions(spec: Pipeline, ledger: Ledger) -> list[dict[str, Any]]:
    return [
        {
            "version": change.model_version,
            "effective_from": change.effective_from,
            "decided_at": change.decided_at,
            "reason": change.reason,
            "actor": change.actor,
        }
        for change in ledger.champions(spec.pipeline)
    ]


def _realised_performance(deployment: Deployment) -> list[dict[str, Any]]:
    """Performance of each scored population as it was judged last."""
    newest: dict[str, dict[str, Any]] = {}
    for row in sorted(_rows(deployment, "performance"), key=lambda row: str(row["partition"])):
        if row["outcome"] != "no data":
            newest[row["population"]] = row
    return [newest[population] for population in sorted(newest)]


def _drift(deployment: Deployment) -> list[dict[str, Any]]:
    alarms = [row for row in _rows(deployment, "drift") if row["alarm"]]
    return sorted(alarms, key=lambda row: (row["partition"], row["horizon"], row["feature"]))


def _judgements(deployment: Deployment) -> dict[str, Any]:
    """How many judgements of drift there are, by outcome."""
    from tradewind.monitoring.partition_judgement import count_judgements

    return count_judgements(DriftRow.from_record(row) for row in _rows(deployment, DRIFT_TABLE))


def _decisions(spec: Pipeline, ledger: Ledger) -> list[dict[str, Any]]:
    newest = {entry.partition: entry for entry in ledger.find(spec.pipeline, "decision")}
    return [
        {"partition": partition, "outcome": entry.outcome, "reason": entry.reason}
        for partition, entry in newest.items()
    ]


def _compare_policy(deployment: Deployment, realised: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Mean of the realised metric beside that of the first champion, had it never been replaced."""
    judged = [row for row in realised if row["value"] is not None and not row["in_sample"]]
    champions = deployment.ledger.champions(deployment.spec.pipeline)
    if not judged or not champions:
        return None
    first = champions[0].model_version
    others = [row["population"] for row in judged if row["model_version"] != first]
    kept = {row["population"]: row["value"] for row in judged if row["model_version"] == first}
    kept |= _score_with_version(deployment, first, others) if others else {}
    return {
        "metric": judged[0]["metric"],
        "mean": sum(row["value"] for row in judged) / len(judged),
        "never_retrain": sum(kept.values()) / len(kept),
        "by_population": {population: kept[population] for population in sorted(kept)},
        "populations": len(judged),
    }


def _score_with_version(deployment: Deployment, version: str, populations: Sequence[str]) -> dict[str, float]:
    """ROC AUC of one model version on populations that another one scored."""
    from tradewind.registry.model_registry import open_registry
    from tradewind.registry.version_files import open_model

    found = open_registry(deployment).get(version)
    with open_model(deployment, found, warm=False) as opened:
        return {population: _auc(deployment, opened.host, population) for population in populations}


def _auc(deployment: Deployment, host: Any, population: str) -> float:
    from tradewind.features.dataset_versions import newest_versions
    from tradewind.isolation import task_outputs
    from tradewind.metrics.metric_list import roc_auc
    from tradewind.training.model_frame import population_frame

    spec = deployment.spec
    assert spec.train is not None
    label = spec.train.label
    frame = population_frame(deployment, population, versions=newest_versions(deployment, list(spec.datasets)))
    predicted = task_outputs.metric_scores("binary", host.predict(frame.inputs()), host.classes)
    scores = dict(zip(frame.table[frame.key].to_pylist(), predicted.tolist(), strict=True))
    snapshot = _snapshot(deployment, label.dataset)
    assert snapshot is not None
    truth = snapshot.arrow([population]).to_table(columns=[frame.key, label.column]).to_pylist()
    known = [(row[label.column], scores[row[frame.key]]) for row in truth if row[label.column] is not None]
    return float(_metric(roc_auc, known))


def _metric(function: Any, known: Sequence[tuple[bool, float]]) -> float:
    import numpy as np

    truth, scores = zip(*known, strict=True)
    return float(function(np.array(truth, dtype=np.int64), np.array(scores)))


def main(root: str, project: str, target: str) -> None:
    """Write the summary of a home's example pipeline as JSON."""
    from tradewind.local_airflow.demo import PIPELINE
    from tradewind.spec.load import load_pipeline

    home = Home(root=Path(root), project=Path(project))
    spec = load_pipeline(home.project / "dags" / f"{PIPELINE}.yaml")
    found = summarise_demo(Deployment(spec, home.runtime()))
    Path(target).write_text(json.dumps(found, indent=2, default=str), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
    # The result is written. Threads of the native libraries that are still there when the interpreter is taken down
    # have been seen to abort the process.
    os._exit(0)
