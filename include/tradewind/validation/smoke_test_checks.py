"""The model and the rules of a pipeline, tried on made-up rows before anything runs."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from tradewind.errors import SpecError
from tradewind.lake.schema import PARTITION
from tradewind.spec.problems import Path, Problem, join_words, nearest_word
from tradewind.spec.training import Train
from tradewind.validation.code_places import problem_at_failure, problem_at_function
from tradewind.validation.column_checks import is_label_type
from tradewind.validation.smoke_test import ROWS
from tradewind.validation.sql_columns import SqlColumns
from tradewind.validation.synthetic_rows import SyntheticColumn, ValueKind, apply_expectations, synthetic_column
from tradewind.validation.user_code import Answer
from tradewind.validation.validated_pipeline import NamedFile, ValidatedPipeline

if TYPE_CHECKING:
    import pyarrow as pa


_READ = ("model", "params", "task", "columns", "label", "service", "seed", "serialization", "trusted")


@dataclass(frozen=True, slots=True)
class SmokeTest:
    """Code to try.

    :param path: where the YAML names it
    :param reference: ``file.py:function``
    :param request: see :func:`tradewind.validation.smoke_test.try_model` and :func:`~.trial_run.try_rule`
    """

    subject: ValidatedPipeline
    path: Path
    reference: str
    request: Mapping[str, Any]


def plan_smoke_tests(subject: ValidatedPipeline, tables: SqlColumns, answer: Answer) -> list[SmokeTest]:
    """What can be tried of a pipeline; nothing while the columns of its rows are not known.

    :param answer: what the feature definitions define (:func:`tradewind.validation.user_code.run_user_code`)
    """
    train, score = subject.spec.train, subject.spec.score
    if subject.guessed(*(("train", name) for name in _READ)):
        return []
    labelled = tables.datasets.get(train.label.dataset) if train else None
    if train is None or score is None or labelled is None or answer.get("error"):
        return []
    suites = _Suites(subject)
    inputs, label = _synthetic_inputs(train, labelled, answer, suites), _synthetic_label(train, labelled, suites)
    if inputs is None or label is None or not is_label_type(train.task, labelled.field(train.label.column).type):
        return []
    if len({label["name"], *(column.name for column in inputs)}) <= len(inputs):
        return []  # a column that is there twice, or the label, which is told where it is named
    root = {"root": str(subject.root)}
    asked = {**root, "kind": "trial", "train": train, "columns": inputs, "label": label}
    found = [SmokeTest(subject, ("train", "model"), train.model, asked)]
    own = [score.population.key, score.population.timestamp, PARTITION, *subject.spec.verdict.columns]
    further = [name for name in dict.fromkeys(own) if name not in {column.name for column in inputs}]
    others = _synthetic_columns(further, labelled, suites, of=train.label.dataset)
    for name, rule in subject.spec.verdict.heuristics.items() if others is not None else ():
        rows = {"columns": [*(others or ()), *inputs], "inputs": [column.name for column in inputs]}
        request = {**root, "kind": "rule", "reference": rule, "task": train.task, **rows}
        found.append(SmokeTest(subject, ("verdict", "heuristics", name), rule, request))
    return [one for one in found if _code_file(one) is not None]


def check_smoke_test(one: SmokeTest, answer: Answer) -> Iterator[Problem]:
    """What is wrong with code that was tried; a note where other values might do."""
    file, error = _code_file(one), answer.get("error")
    if file is None:
        return
    if error is not None:
        yield _failure_problem(one, file, answer)
    if missing := answer.get("untrusted"):
        train: Train = one.request["train"]
        message = (
            f"model {train.model} holds types that nobody has said to trust: {', '.join(missing)}; if loading them is "
            "safe, add them to `train.trusted`"
        )
        place: Path = ("train", "trusted") if train.trusted else ("train", "model")
        expected = f"trusted: [{', '.join([*train.trusted, *missing])}]"
        yield one.subject.at(place, message, expected=expected)


def _failure_problem(one: SmokeTest, file: NamedFile, answer: Answer) -> Problem:
    error, function = answer["error"], one.reference.rpartition(":")[2]
    made = f"on {ROWS:,} made-up rows"
    if unknown := answer.get("unknown"):
        return _unknown_column_problem(one, file, unknown, error)
    if not answer.get("certain", False):
        when = answer.get("when", "")
        message = f"{function} fails {made} {when}".rstrip()
        message = f"{message}, which may not be like yours: {error['message']}"
        return replace(problem_at_function(file, function, message), severity="note")
    facts = {**error, "message": f"{function} fails {made}: {error['message']}"}
    if error.get("file"):
        return problem_at_failure(file, facts, one.subject.shown_inside(error["file"]))
    return problem_at_function(file, function, facts["message"])


def _unknown_column_problem(one: SmokeTest, file: NamedFile, unknown: Sequence[str], error: Answer) -> Problem:
    """At the text that names the column, where the file has it."""
    known = [column.name for column in one.request["columns"]]
    what = "the rows that judge have" if one.request["kind"] == "rule" else "its input has"
    named = [(name, place) for name in unknown if (place := _find_constant(file, name)) is not None]
    name, offset = named[0] if named else (unknown[0], None)
    near = nearest_word(name, known)
    many = f" (and {join_words([other for other in unknown if other != name], last='and')})" if len(unknown) > 1 else ""
    message = f"{what} no column `{name}`{many}"
    expected = None if near else f"one of {join_words(known)}"
    if offset is not None:
        return file.problem(offset, message, width=len(name) + 2, expected=expected, suggestion=near)
    found = problem_at_failure(file, {**error, "message": message}, one.subject.shown_inside(error.get("file")))
    if not error.get("file"):
        found = problem_at_function(file, one.reference.rpartition(":")[2], message)
    return replace(found, expected=expected, suggestion=near)


def _find_constant(file: NamedFile, name: str) -> int | None:
    """Where the text stands in the code; also as an attribute of a frame."""
    try:
        tree = ast.parse(file.text)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value == name:
            return file.offset(node.lineno, node.col_offset + 1)
    return None


def _code_file(one: SmokeTest) -> NamedFile | None:
    return one.subject.file(one.reference.rpartition(":")[0], one.path)


class _Suites:
    """Entries of the suites of the datasets, read once."""

    def __init__(self, subject: ValidatedPipeline) -> None:
        self._subject = subject
        self._read: dict[str, list[Mapping[str, Any]]] = {}

    def of(self, dataset: str) -> list[Mapping[str, Any]]:
        """The entries of one dataset; none where its suite cannot be read, which is told elsewhere."""
        if dataset not in self._read:
            part = self._subject.spec.datasets.get(dataset)
            named = part.expectations if part else None
            self._read[dataset] = _entries(self._subject.root / named) if named else []
        return self._read[dataset]


def _entries(suite: FilePath) -> list[Mapping[str, Any]]:
    from tradewind.checks.expectations import read_suite_entries

    try:
        return [entry for entry in read_suite_entries(suite) if isinstance(entry, dict)]
    except (SpecError, OSError, UnicodeDecodeError, json.JSONDecodeError):
        return []


def _synthetic_columns(
    names: Sequence[str], schema: pa.Schema, suites: _Suites, *, of: str
) -> list[SyntheticColumn] | None:
    """How columns of a dataset are made up; None if one of them is not there, or of a type that has no made-up values.

    :param of: the dataset
    """
    found = []
    for name in names:
        made = synthetic_column(schema.field(name)) if name in schema.names else None
        if made is None:
            return None
        found.append(apply_expectations(made, suites.of(of)))
    return found


def _synthetic_inputs(
    train: Train, labelled: pa.Schema, answer: Answer, suites: _Suites
) -> list[SyntheticColumn] | None:
    """What the model gets, in order: `train.columns` and the features of the service."""
    own = _synthetic_columns(train.columns, labelled, suites, of=train.label.dataset)
    if own is None or train.service not in answer["services"]:
        return None
    views = {view["name"]: view for view in answer["views"]}
    for view, names in answer["services"][train.service]:
        known = {name: (column, kind) for column, name, kind in views.get(view, {"features": []})["features"]}
        for name in names:
            kind = _feature_kind(known[name][1]) if name in known else None
            if kind is None:
                return None
            made = apply_expectations(SyntheticColumn(known[name][0], kind), suites.of(views[view]["dataset"]))
            own.append(replace(made, name=name, missing=True))  # an entity that is not in the view has none
    return own


def _feature_kind(of: str) -> ValueKind | None:
    kinds: list[tuple[tuple[str, ...], ValueKind]] = [
        (("STRING", "BYTES"), "text"), (("INT",), "whole"), (("FLOAT", "DOUBLE"), "number"), (("BOOL",), "truth"),
        (("UNIX",), "time"),
    ]  # fmt: skip
    return next((kind for names, kind in kinds if of.upper().startswith(names)), None)


def _synthetic_label(train: Train, labelled: pa.Schema, suites: _Suites) -> Mapping[str, Any] | None:
    made = _synthetic_columns([train.label.column], labelled, suites, of=train.label.dataset)
    if made is None:
        return None
    return {"name": train.label.column, "kind": made[0].kind, "values": list(made[0].values)}
