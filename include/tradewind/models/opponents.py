"""Who a candidate is compared with on the same rows: the deployed champion, the majority, rules of the project.

Whoever cannot answer is absent, with the reason: gates against somebody absent are insufficient, never skipped.
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

from tradewind.core import gates
from tradewind.core.gates import TestRows
from tradewind.errors import ModelError
from tradewind.ledger.journal import Ledger
from tradewind.models import conditions, tasks
from tradewind.models.heuristics import Heuristic
from tradewind.models.inputs import scoring, training
from tradewind.spec.gates import CheckGate, FairnessGate, MetricGate

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.core.runtime import Runtime
    from tradewind.ledger.champions import Champion
    from tradewind.models.registry import Version
    from tradewind.spec.models import Pipeline

    Answer = tuple[npt.NDArray[Any], Sequence[Any] | None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The rows that judge with everybody's answers, ready for the gates.

    :param classes: the classes by number, for ``multiclass``; empty otherwise
    :param notes: what a reader of the verdict should know of the rows
    """

    test: TestRows
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def opponent(spec: Pipeline, partition: str, ledger: Ledger, *, candidate: str) -> Champion | None:
    """The champion that a candidate of ``partition`` would replace: the newest that was known to that partition's run.

    What a later partition, or a person later on, decided is not looked at: a replay compares as the first run did.
    """
    first = spec.partitioning.shift(partition, scoring(spec).ahead + 1)
    known = [
        change
        for change in ledger.champions(spec.pipeline)
        if candidate not in (change.model_version, change.evidence.get("refit_of"))
        and (change.decided_at <= partition if change.decided_at else change.effective_from <= first)
    ]
    return known[-1] if known else None


def test_rows(
    spec: Pipeline, runtime: Runtime, table: pa.Table, *,
    answers: Mapping[str, Answer | ModelError], candidate: Version, champion: Version | None,
) -> Prepared:  # fmt: skip
    """Put labels, answers, conditions and columns of the test rows together.

    The majority of the candidate's training rows and the heuristics that gates name are asked here if they are not
    among the answers. Classes are the same, in the same order, for everybody.

    :param table: key, time, partition, label, `verdict.columns` and the model's inputs, as training logs them
    :param answers: by ``candidate``, ``champion`` and so on: output and classes of a model, or why there is none
    """
    task, label = training(spec).task, training(spec).label.column
    rows = table.drop_columns([label])
    if _asked(spec) - set(answers):
        with rules(spec, runtime) as running:
            answers = {**others(spec, runtime, table, candidate=candidate, rules=running), **answers}
    labels = tasks.labels(table[label], task, label)
    given = {name: answer for name, answer in answers.items() if not isinstance(answer, ModelError)}
    absent = {name: str(answer) for name, answer in answers.items() if isinstance(answer, ModelError)}
    if task == "multiclass":
        absent |= _misspelt(spec, given, labels)
        given = {name: answer for name, answer in given.items() if name not in absent}
    classes = tasks.order(*(known for _, known in given.values())) if task == "multiclass" else []
    scores: dict[str, npt.NDArray[Any]] = {}
    for name, (output, known) in given.items():
        try:
            scores[name] = tasks.scores(task, output, known, order=classes)
        except ModelError as exc:
            absent[name] = str(exc)
    for name, why in absent.items():
        log.warning("%s: the %s cannot be asked: %s", spec.pipeline, name, why)
    scores.setdefault(gates.CANDIDATE, _nothing(table.num_rows, len(classes)))
    masks = conditions.masks(rows, _conditions(spec))
    fitted = {gates.CANDIDATE: candidate, gates.CHAMPION: champion}
    test = TestRows(
        task=task,
        y=tasks.targets(task, labels, classes),
        scores=scores,
        timestamp=_times(rows, scoring(spec).population.timestamp),
        timezone=spec.timezone,
        columns={name: _values(rows[name]) for name in _columns(spec) if name in rows.column_names},
        masks=masks.fulfilled,
        fit_end={name: fit_end(spec, version) for name, version in fitted.items() if version and name in scores},
        absent={**absent, **masks.absent},
    )
    return Prepared(test, tuple(classes), _notes(test, masks.unknown))


test_rows.__test__ = False  # type: ignore[attr-defined]  # pytest would take the name for a test


def fit_end(spec: Pipeline, version: Version) -> datetime:
    """End (aware) of the time whose rows a version learned from: a row of this very moment it has not seen."""
    if (until := version.tags.get("tradewind.fit_until")) is not None:
        return datetime.fromisoformat(until) + timedelta(microseconds=1)  # that moment's rows it has
    return spec.partitioning.bounds(json.loads(version.tags["tradewind.train_partitions"])[-1]).end


def heuristics(spec: Pipeline) -> dict[str, str]:
    """The heuristics that a gate names, by name."""
    return {name: reference for name, reference in spec.verdict.heuristics.items() if name in _asked(spec)}


@contextmanager
def rules(spec: Pipeline, runtime: Runtime) -> Iterator[Mapping[str, Heuristic]]:
    """The heuristics that a gate names, each in a process that starts at once."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(Heuristic(reference, runtime.project))
            for name, reference in heuristics(spec).items()
        }


def others(
    spec: Pipeline, runtime: Runtime, table: pa.Table, *, candidate: Version, rules: Mapping[str, Heuristic]
) -> dict[str, Answer | ModelError]:
    """What the majority and the heuristics say of the rows, or why they say nothing. Nobody is shown the label."""
    rows = table.drop_columns([training(spec).label.column])
    asked: dict[str, Callable[[], Answer]] = {
        name: partial(rule.answer, rows, training(spec).task) for name, rule in rules.items()
    }
    if gates.MAJORITY in _asked(spec):
        asked[gates.MAJORITY] = partial(_majority, spec, runtime, candidate, rows.num_rows)
    found: dict[str, Answer | ModelError] = {}
    for name, ask in asked.items():
        try:
            found[name] = ask()
        except ModelError as exc:
            found[name] = exc
    return found


def _misspelt(spec: Pipeline, given: Mapping[str, Answer], labels: npt.NDArray[Any]) -> dict[str, str]:
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


def _asked(spec: Pipeline) -> set[str]:
    """Whom gates compare with, the champion left out."""
    named = {gate.versus for gate in spec.gates if isinstance(gate, MetricGate) and gate.versus is not None}
    return named & {gates.MAJORITY, *spec.verdict.heuristics}


def _majority(spec: Pipeline, runtime: Runtime, candidate: Version, rows: int) -> Answer:
    trained = Ledger(runtime.ledger).find(spec.pipeline, "trained", subject=candidate.version)
    if not trained or "majority" not in trained[-1].evidence:
        raise ModelError(f"the ledger does not know the majority of the rows that {candidate} learned from")
    return tasks.constant_output(trained[-1].evidence["majority"], rows)


def _conditions(spec: Pipeline) -> list[str]:
    return [gate.where for gate in spec.gates if isinstance(gate, MetricGate) and gate.where is not None]


def _columns(spec: Pipeline) -> Iterable[str]:
    """Columns that gates slice, group or resample by."""
    for gate in spec.gates:
        if not isinstance(gate, CheckGate):
            asked = gate.group if isinstance(gate, FairnessGate) else gate.slice
            yield from (name for name in (asked, gate.by) if name)


def _nothing(rows: int, classes: int) -> npt.NDArray[Any]:
    """What a candidate that does not run says."""
    import numpy as np

    return np.full((rows, classes) if classes else rows, np.nan)


def _times(rows: pa.Table, name: str) -> npt.NDArray[Any]:
    import pyarrow as pa

    times: npt.NDArray[Any] = rows[name].cast(pa.timestamp("us")).to_numpy()
    return times


def _values(column: pa.ChunkedArray) -> npt.NDArray[Any]:
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


def _notes(test: TestRows, unknown: Mapping[str, int]) -> tuple[str, ...]:
    rows = len(test.y)
    notes = [f"`{where}` is NULL in {count} of {rows} rows, which do not count" for where, count in unknown.items()]
    if test.task == "multiclass" and (strange := int((test.y < 0).sum())):
        notes.append(f"{strange} of {rows} rows have a class that no model knows")
    return tuple(notes)
