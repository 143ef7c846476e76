"""Who a candidate is compared with on the same rows: the deployed champion, the majority, rules of the project.

A model that cannot answer is absent, with the reason: gates against it are insufficient, never skipped.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from tradewind.errors import MetricError, ModelError
from tradewind.isolation import task_outputs
from tradewind.isolation.heuristic_process import HeuristicProcess
from tradewind.isolation.project_metric import open_metric
from tradewind.ledger.journal import Ledger
from tradewind.metrics.judged_rows import CANDIDATE, CHAMPION, MAJORITY, TestRows
from tradewind.spec.gates import prediction_gates
from tradewind.training.model_inputs import score_config, train_config
from tradewind.verdict import gate_conditions

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.deployment import Deployment
    from tradewind.ledger.champions import ChampionChange
    from tradewind.metrics.metric import ModelMetric
    from tradewind.registry.model_registry import RegisteredVersion
    from tradewind.spec.pipeline import Pipeline

    Answer = tuple[npt.NDArray[Any], Sequence[Any] | None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreparedRows:
    """The rows that judge with everybody's answers, ready for the gates.

    :param classes: the classes by number, for ``multiclass``; empty otherwise
    :param notes: what a reader of the verdict should know of the rows
    """

    test: TestRows
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_champion_to_replace(
    spec: Pipeline, partition: str, ledger: Ledger, *, candidate: str
) -> ChampionChange | None:
    """The champion that a candidate of ``partition`` would replace: the newest that was known to that partition's run.

    What a later partition, or a person later on, decided is not looked at: a replay compares as the first run did.
    """
    first = spec.partitioning.shift(partition, score_config(spec).ahead + 1)
    known = [
        change
        for change in ledger.champions(spec.pipeline)
        if candidate not in (change.model_version, change.evidence.get("refit_of"))
        and (change.decided_at <= partition if change.decided_at else change.effective_from <= first)
    ]
    return known[-1] if known else None


def prepare_test_rows(
    deployment: Deployment,
    table: pa.Table,
    *,
    answers: Mapping[str, Answer | ModelError],
    candidate: RegisteredVersion,
    champion: RegisteredVersion | None,
) -> PreparedRows:
    """Put labels, answers, conditions and columns of the test rows together.

    The majority of the candidate's training rows and the heuristics that gates name are asked here if they are not
    among the answers. Classes are the same, in the same order, for everybody.

    :param table: key, time, partition, label, `verdict.columns` and the model's inputs, as training logs them
    :param answers: by ``candidate``, ``champion`` and so on: output and classes of a model, or why there is none
    """
    spec = deployment.spec
    task, label = train_config(spec).task, train_config(spec).label.column
    rows = table.drop_columns([label])
    if _named_comparators(spec) - set(answers):
        with start_heuristics(deployment) as running:
            answers = {**predict_comparators(deployment, table, candidate=candidate, rules=running), **answers}
    labels = task_outputs.task_labels(table[label], task, label)
    given = {name: answer for name, answer in answers.items() if not isinstance(answer, ModelError)}
    absent = {name: str(answer) for name, answer in answers.items() if isinstance(answer, ModelError)}
    if task == "multiclass":
        absent |= _unknown_class_reasons(spec, given, labels)
        given = {name: answer for name, answer in given.items() if name not in absent}
    classes = task_outputs.class_order(*(known for _, known in given.values())) if task == "multiclass" else []
    scores: dict[str, npt.NDArray[Any]] = {}
    for name, (output, known) in given.items():
        try:
            scores[name] = task_outputs.metric_scores(task, output, known, order=classes)
        except ModelError as exc:
            absent[name] = str(exc)
    for name, why in absent.items():
        log.warning("%s: the %s cannot be asked: %s", spec.pipeline, name, why)
    scores.setdefault(CANDIDATE, _missing_scores(table.num_rows, len(classes)))
    masks = gate_conditions.evaluate_conditions(rows, _gate_conditions(spec))
    fitted = {CANDIDATE: candidate, CHAMPION: champion}
    metrics, unopened = _open_gate_metrics(deployment)
    test = TestRows(
        task=task,
        y=task_outputs.metric_targets(task, labels, classes),
        scores=scores,
        timestamp=_row_times(rows, score_config(spec).population.timestamp),
        timezone=spec.timezone,
        columns={name: _column_values(rows[name]) for name in _gate_columns(spec) if name in rows.column_names},
        masks=masks.fulfilled,
        fit_end={
            name: learned_rows_end(spec, version) for name, version in fitted.items() if version and name in scores
        },
        absent={**absent, **masks.absent, **unopened},
        project_metrics=metrics,
    )
    return PreparedRows(test, tuple(classes), _row_notes(test, masks.unknown))


prepare_test_rows.__test__ = False  # type: ignore[attr-defined]  # pytest would take the name for a test


def learned_rows_end(spec: Pipeline, version: RegisteredVersion) -> datetime:
    """End (aware) of the time whose rows a version learned from: a row of this very moment it has not seen."""
    if (until := version.tags.get("tradewind.fit_until")) is not None:
        return datetime.fromisoformat(until) + timedelta(microseconds=1)  # that moment's rows it has
    return spec.partitioning.bounds(json.loads(version.tags["tradewind.train_partitions"])[-1]).end


def gate_heuristics(spec: Pipeline) -> dict[str, str]:
    """The heuristics that a gate names, by name."""
    return {name: reference for name, reference in spec.verdict.heuristics.items() if name in _named_comparators(spec)}


@contextmanager
def start_heuristics(deployment: Deployment) -> Iterator[Mapping[str, HeuristicProcess]]:
    """The heuristics that a gate names, each in a process that starts at once."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(HeuristicProcess(reference, deployment.runtime.project))
            for name, reference in gate_heuristics(deployment.spec).items()
        }


def predict_comparators(
    deployment: Deployment, table: pa.Table, *, candidate: RegisteredVersion, rules: Mapping[str, HeuristicProcess]
) -> dict[str, Answer | ModelError]:
    """What the majority and the heuristics say of the rows, or why they say nothing. None is shown the label."""
    spec = deployment.spec
    rows = table.drop_columns([train_config(spec).label.column])
    asked: dict[str, Callable[[], Answer]] = {
        name: partial(rule.answer, rows, train_config(spec).task) for name, rule in rules.items()
    }
    if MAJORITY in _named_comparators(spec):
        asked[MAJORITY] = partial(_predict_majority, deployment, candidate, rows.num_rows)
    found: dict[str, Answer | ModelError] = {}
    for name, ask in asked.items():
        try:
            found[name] = ask()
        except ModelError as exc:
            found[name] = exc
    return found


def _unknown_class_reasons(spec: Pipeline, given: Mapping[str, Answer], labels: npt.NDArray[Any]) -> dict[str, str]:
    """Heuristics that predict what is no class at all: everybody would be better than they."""
    models = [classes or () for name, (_, classes) in given.items() if name not in spec.verdict.heuristics]
    known = {*labels.tolist(), *(str(one) for classes in models for one in classes)}
    found = {}
    for name in given.keys() & spec.verdict.heuristics.keys():
        output, classes = given[name]
        predicted = output.max(axis=0, initial=0.0) > 0
        strange = [str(one) for at, one in enumerate(classes or ()) if predicted[at] and one not in known]
        if strange:
            found[name] = (
                f"it predicts {', '.join(strange[:5])}, and the classes that labels or models have are "
                f"{', '.join(sorted(known)[:12])}; return their names, or a frame with a column for each"
            )
    return found


def _named_comparators(spec: Pipeline) -> set[str]:
    """What gates compare with, the champion left out."""
    named = {gate.opponent for gate in prediction_gates(spec.gates).values() if gate.opponent is not None}
    return named & {MAJORITY, *spec.verdict.heuristics}


def _predict_majority(deployment: Deployment, candidate: RegisteredVersion, rows: int) -> Answer:
    trained = deployment.ledger.find(deployment.spec.pipeline, "trained", subject=candidate.version)
    if not trained or "majority" not in trained[-1].evidence:
        raise ModelError(f"the ledger does not know the majority of the rows that {candidate} learned from")
    return task_outputs.majority_output(trained[-1].evidence["majority"], rows)


def gate_metrics(spec: Pipeline) -> set[str]:
    """The metrics of the project that gates name."""
    return {gate.project_metric for gate in prediction_gates(spec.gates).values() if gate.project_metric is not None}


def _open_gate_metrics(deployment: Deployment) -> tuple[dict[str, ModelMetric], dict[str, str]]:
    """The metrics of the project that gates name, and why some are not there."""
    spec = deployment.spec
    found: dict[str, ModelMetric] = {}
    absent: dict[str, str] = {}
    for name in sorted(gate_metrics(spec)):
        try:
            found[name] = open_metric(
                name, spec.metrics, task=train_config(spec).task, project=deployment.runtime.project
            )
        except MetricError as exc:
            absent[name] = str(exc)
    return found, absent


def _gate_conditions(spec: Pipeline) -> list[str]:
    return [gate.condition for gate in prediction_gates(spec.gates).values() if gate.condition is not None]


def _gate_columns(spec: Pipeline) -> Iterable[str]:
    """Columns that gates slice, group or resample by."""
    for gate in prediction_gates(spec.gates).values():
        yield from (name for name in (gate.group_column, gate.by) if name)


def _missing_scores(rows: int, classes: int) -> npt.NDArray[Any]:
    """What a candidate that does not run says."""
    import numpy as np

    return np.full((rows, classes) if classes else rows, np.nan)


def _row_times(rows: pa.Table, name: str) -> npt.NDArray[Any]:
    import pyarrow as pa

    times: npt.NDArray[Any] = rows[name].cast(pa.timestamp("us")).to_numpy()
    return times


def _column_values(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Values as they are spelled: an integer stays one where others are missing."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type):
        return np.array([None if value is None else str(value) for value in column.to_pylist()], dtype=object)
    if column.null_count and pa.types.is_integer(column.type):
        return np.array(column.to_pylist(), dtype=object)
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _row_notes(test: TestRows, unknown: Mapping[str, int]) -> tuple[str, ...]:
    rows = len(test.y)
    notes = [f"`{where}` is NULL in {count} of {rows} rows, which do not count" for where, count in unknown.items()]
    if test.task == "multiclass" and (strange := int((test.y < 0).sum())):
        notes.append(f"{strange} of {rows} rows have a class that no model knows")
    return tuple(notes)
