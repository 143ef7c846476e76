"""Conditions of gates, bound to the columns of the rows that judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tradewind.errors import ModelError
from tradewind.lake.schema import PARTITION
from tradewind.spec.gates import prediction_gates
from tradewind.spec.problems import Path, Problem
from tradewind.validation.sql_columns import SqlColumns
from tradewind.validation.user_code import Answer
from tradewind.validation.validated_pipeline import ValidatedPipeline

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.engine.query_columns import SqlProblem


def check_gate_conditions(subject: ValidatedPipeline, tables: SqlColumns, answer: Answer) -> Iterator[Problem]:
    """Everything that is wrong with `where`; nothing while the columns of what judges are not known.

    :param answer: what the feature definitions define (:func:`tradewind.validation.user_code.run_user_code`)
    """
    asked = [(i, gate.condition) for i, gate in prediction_gates(subject.spec.gates).items() if gate.condition]
    known = _judging_schema(subject, tables, answer) if asked else None
    if known is None:
        return
    from tradewind.engine.condition_sql import find_condition_flaw
    from tradewind.verdict.gate_conditions import VIEW

    for index, condition in asked:
        if (flaw := find_condition_flaw(known, condition, view=VIEW)) is not None:
            yield _problem_at_flaw(subject, ("gates", index, "where"), condition, flaw)


def _judging_schema(subject: ValidatedPipeline, tables: SqlColumns, answer: Answer) -> pa.Schema | None:
    """The rows that judge: key, time, partition, what `verdict.columns` adds, and the model's input as it gets it."""
    import pyarrow as pa

    train, score = subject.spec.train, subject.spec.score
    labelled = tables.datasets.get(train.label.dataset) if train else None
    if train is None or score is None or labelled is None or answer.get("error"):
        return None
    if train.service not in answer["services"]:
        return None
    own = [score.population.key, score.population.timestamp, PARTITION, *subject.spec.verdict.columns]
    if not {*own, *train.columns} <= set(labelled.names):
        return None
    found: dict[str, pa.DataType] = {name: labelled.field(name).type for name in own}
    for name in train.columns:
        kind = _model_input_type(labelled.field(name))
        if kind is None:
            return None
        found[name] = kind
    found |= _feature_types(train.service, answer)
    found.pop(train.label.column, None)
    return pa.schema(list(found.items()))


def _feature_types(service: str, answer: Answer) -> Mapping[str, pa.DataType]:
    import pyarrow as pa

    kinds = {(view["name"], name): kind.upper() for view in answer["views"] for _, name, kind in view["features"]}
    found = {}
    for view, names in answer["services"][service]:
        for name in names:
            kind = kinds.get((view, name), "")
            text, time = kind in ("STRING", "BYTES"), "TIMESTAMP" in kind
            found[name] = pa.string() if text else pa.timestamp("us") if time else pa.float64()
    return found


def _model_input_type(field: pa.Field) -> pa.DataType | None:
    import pyarrow as pa

    from tradewind.training.model_frame import cast_model_inputs

    try:
        return cast_model_inputs(pa.schema([field]).empty_table()).schema.field(0).type
    except ModelError:
        return None  # which is told where the column is named


def _problem_at_flaw(subject: ValidatedPipeline, path: Path, condition: str, flaw: SqlProblem) -> Problem:
    """The flaw at its place inside the condition, where that stands in one piece in the text."""
    whole = subject.at(path, flaw.message, expected=flaw.expected, suggestion=flaw.suggestion)
    start = whole.source_line.find(condition, max(0, whole.column - 1))
    if start < 0:
        return whole
    return replace(whole, column=start + flaw.offset + 1, width=flaw.width)
