"""The verdict: a candidate beside the champion on the same rows, judged by every gate."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core import gates
from tradewind.core.gates import GateResult, TestRows
from tradewind.errors import UsageError
from tradewind.ledger.journal import Entry, Ledger
from tradewind.models import tasks, verdict_report
from tradewind.models.host import ModelHost
from tradewind.models.inputs import scoring, training
from tradewind.models.registry import Registry, Version, answering
from tradewind.spec.digest import config_hash
from tradewind.spec.gates import MetricGate

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.core.runtime import Runtime
    from tradewind.ledger.champions import Champion
    from tradewind.spec.models import Pipeline

log = logging.getLogger(__name__)

CODE = "verdict/1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gates say about a candidate.

    :param outcome: ``passed`` or ``rejected``
    :param gates: one result a gate, one for each slice
    :param candidate: version that was judged
    :param champion: version that it was compared with; None if there was none
    :param report: the self-contained HTML page
    """

    outcome: str
    reason: str
    gates: tuple[GateResult, ...]
    candidate: str
    champion: str | None
    mlflow_run_id: str
    experiment_id: str
    report: str


def verdict(spec: Pipeline, partition: str, runtime: Runtime) -> Verdict:
    """Judge the candidate of ``partition`` at the gates, and write the verdict into ledger, MLflow and a report.

    Both models predict the candidate's test rows afresh, each in a process of its own. A verdict that is there already,
    on the same candidate, champion and gates, is returned as it was.

    :raises UsageError: nothing was trained at this partition
    :raises ModelError: a model cannot be loaded, or fails
    :raises Unavailable: the model registry does not answer
    """
    ledger, registry = Ledger(runtime.ledger), Registry(runtime, spec.model_name)
    candidate = registry.get(_candidate(spec, partition, ledger))
    champion = opponent(spec, partition, ledger, candidate=candidate.version)
    key = _key(spec, candidate, champion)
    report = runtime.reports / spec.pipeline / f"verdict-{partition}-version-{candidate.version}.html"
    entry = ledger.get(spec.pipeline, "verdict", key=key)
    if entry is None:
        results = _judge(spec, runtime, registry, candidate=candidate, champion=champion)
        entry = _entry(spec, partition, runtime, key=key, candidate=candidate, champion=champion, results=results)
        _publish(entry, spec, registry, candidate=candidate, report=report)
    elif not report.exists():
        _write(report, verdict_report.page(spec, entry))
    _journal(ledger, entry, run_id=runtime.run_id)
    log.info("%s at %s: %s is %s: %s", spec.pipeline, partition, candidate, entry.outcome, entry.reason)
    results = tuple(GateResult(**result) for result in entry.evidence["gates"])
    against = champion.model_version if champion else None
    ids = (candidate.mlflow_run_id, candidate.experiment_id)
    return Verdict(entry.outcome, entry.reason, results, candidate.version, against, *ids, str(report))


def opponent(spec: Pipeline, partition: str, ledger: Ledger, *, candidate: str) -> Champion | None:
    """The champion that a candidate of ``partition`` would replace: the newest that was known to that partition's run.

    What a later partition, or a person later on, decided is not looked at: a replay compares as the first run did.
    """
    first = spec.partitioning.shift(partition, scoring(spec).ahead + 1)
    known = [
        change
        for change in ledger.champions(spec.pipeline)
        if change.model_version != candidate
        and (change.decided_at <= partition if change.decided_at else change.effective_from <= first)
    ]
    return known[-1] if known else None


def _candidate(spec: Pipeline, partition: str, ledger: Ledger) -> str:
    trained = ledger.find(spec.pipeline, "trained", partition=partition)
    if not trained:
        raise UsageError(
            f"{spec.pipeline}: no candidate was trained at {partition}; run train for this partition first"
        )
    return str(trained[-1].evidence["version"])


def _key(spec: Pipeline, candidate: Version, champion: Champion | None) -> str:
    change = champion.seq if champion else 0
    asked = config_hash(CODE, spec.gates, training(spec).seed, spec.timezone, change)
    return f"{candidate.version}/{champion.model_version if champion else '-'}/{asked}"


def _judge(
    spec: Pipeline, runtime: Runtime, registry: Registry, *, candidate: Version, champion: Champion | None
) -> tuple[GateResult, ...]:
    against = registry.get(champion.model_version) if champion else None
    ends = {gates.CANDIDATE: candidate, **({gates.CHAMPION: against} if against else {})}
    with ExitStack() as stack:
        # Hosts first: a warm one is a fork, and this process has used nothing yet.
        hosts = [
            stack.enter_context(
                ModelHost(stack.enter_context(registry.folder(version)), name=str(version), warm=runtime.warm)
            )
            for version in (candidate, against)
            if version is not None
        ]
        rows = _read_rows(registry, candidate)
        predicted = [_predict(host, rows) for host in hosts]
    test = _test_rows(spec, rows, predicted)
    test = replace(test, fit_end={name: _fit_end(spec, version) for name, version in ends.items()})
    return gates.judge(spec.gates, test, measurements={}, verdict=spec.verdict, seed=training(spec).seed)


def _read_rows(registry: Registry, candidate: Version) -> pa.Table:
    import pyarrow.parquet as pq

    with registry.evidence(candidate) as folder:
        return pq.read_table(folder / "test.parquet")


def _predict(host: ModelHost, rows: pa.Table) -> npt.NDArray[Any]:
    """Probability of the label 1. A model that needs columns which the rows do not have predicts nothing: NaN,
    which the gates call insufficient, so that it can neither win nor be skipped.
    """
    import numpy as np

    if missing := sorted(set(host.columns) - set(rows.column_names)):
        log.warning("%s cannot be compared: the test rows have no column %s", host.name, ", ".join(missing))
        return np.full(rows.num_rows, np.nan)
    return tasks.scores("binary", host.predict(rows), host.classes)


def _test_rows(spec: Pipeline, rows: pa.Table, predicted: Sequence[npt.NDArray[Any]]) -> TestRows:
    import pyarrow as pa

    label, timestamp = training(spec).label.column, scoring(spec).population.timestamp
    sliced = {gate.slice for gate in spec.gates if isinstance(gate, MetricGate) and gate.slice in rows.column_names}
    return TestRows(
        task=training(spec).task,
        y=tasks.labels(rows[label], "binary", label),
        scores=dict(zip((gates.CANDIDATE, gates.CHAMPION), predicted, strict=False)),
        timestamp=rows[timestamp].cast(pa.timestamp("us")).to_numpy(),
        timezone=spec.timezone,
        columns={name: rows[name].to_numpy(zero_copy_only=False) for name in sorted(filter(None, sliced))},
    )


def _fit_end(spec: Pipeline, version: Version) -> Any:
    return spec.partitioning.bounds(json.loads(version.tags["tradewind.train_partitions"])[-1]).end


def _entry(
    spec: Pipeline, partition: str, runtime: Runtime, *,
    key: str, candidate: Version, champion: Champion | None, results: Sequence[GateResult],
) -> Entry:  # fmt: skip
    outcome, reason = gates.decision(results)
    evidence = {
        "version": candidate.version,
        "champion": champion.model_version if champion else None,
        # Promotion is refused when somebody else changed the champion in between.
        "expected_seq": champion.seq if champion else 0,
        "test_partitions": json.loads(candidate.tags["tradewind.test_partitions"]),
        "gates": [asdict(result) for result in results],
    }
    return Entry(
        spec.pipeline, "verdict", candidate.version, partition, key,
        outcome=outcome, reason=reason, evidence=evidence, actor=runtime.actor, run_id=runtime.run_id,
    )  # fmt: skip


def _journal(ledger: Ledger, entry: Entry, *, run_id: str) -> None:
    """The newest entry of a partition is its verdict, also when its candidate changed and changed back."""
    earlier = ledger.find(entry.pipeline, "verdict", partition=entry.partition)
    if earlier and earlier[-1].key.split("#")[0] == entry.key:
        return
    key = entry.key if entry.id is None else f"{entry.key}#{len(earlier)}"
    ledger.append(replace(entry, key=key, id=None, run_id=run_id, at=datetime.now(UTC)))


def _publish(entry: Entry, spec: Pipeline, registry: Registry, *, candidate: Version, report: Path) -> None:
    """Into MLflow and the reports folder; before the ledger, so that what the ledger knows of is there."""
    page = verdict_report.page(spec, entry)
    _write(report, page)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        document = {"outcome": entry.outcome, "reason": entry.reason, "partition": entry.partition, **entry.evidence}
        (folder / "verdict.json").write_text(json.dumps(document, indent=1))
        (folder / "verdict.html").write_text(page, encoding="utf-8")
        with answering(f"the verdict on {candidate} cannot be logged"):
            registry.client.log_artifacts(candidate.mlflow_run_id, scratch, "verdict")
            tagged = (spec.model_name, candidate.version, "tradewind.verdict", entry.outcome)
            registry.client.set_model_version_tag(*tagged)


def _write(report: Path, page: str) -> None:
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(page, encoding="utf-8")
