"""Deep validation: everything that can be known of pipelines without data, services, or a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tradewind.spec import project
from tradewind.spec.check import named_files
from tradewind.spec.load import duplicate_pipelines
from tradewind.spec.problems import Problem
from tradewind.validation.column_checks import check_columns
from tradewind.validation.condition_checks import check_gate_conditions
from tradewind.validation.consistency import check_consistency
from tradewind.validation.definition_checks import check_definitions
from tradewind.validation.function_checks import check_function, find_function_requests
from tradewind.validation.smoke_test_checks import check_smoke_test, plan_smoke_tests
from tradewind.validation.sql_columns import SqlColumns, bind_pipeline_sql
from tradewind.validation.suite_checks import check_suites
from tradewind.validation.user_code import Answer, request_features
from tradewind.validation.user_code_process import UserCodeProcess
from tradewind.validation.validated_pipeline import ValidatedPipeline, read_validated_pipeline


class UserCodeAnswers(Protocol):
    """User code that is being looked at."""

    def answers(self) -> list[Answer]: ...  # noqa: D102 - one for each request, in order


def validate_pipelines(
    paths: Sequence[Path], *, look: Callable[[Sequence[Mapping[str, Any]]], UserCodeAnswers] = UserCodeProcess
) -> list[Problem]:
    """Everything that is wrong with pipelines, in the order of ``paths``, and of the lines of each file.

    What is validated is what ``etl`` and the other stages would do: the same code reads suites, definitions and models,
    and SQL is bound by the DuckDB that would run it. Problems in the YAML hide those behind them as little as can be.

    :param paths: the YAML of each pipeline
    :param look: looks at the project's Python code, by default in processes of their own, while the rest is checked
    """
    read = [read_validated_pipeline(path) for path in paths]
    subjects = [subject for subject, _ in read if subject is not None]
    defining = [s for s in subjects if _defines_features(s)]
    named = [one for subject in subjects for one in find_function_requests(subject)]
    features = look([request_features(s.root, s.spec, datasets=s.dataset_names) for s in defining])
    functions = look([one.request for one in named])
    tables = {subject.path: bind_pipeline_sql(subject) for subject in subjects}
    defined = list(zip(defining, features.answers(), strict=True))
    tried = [one for subject, answer in defined for one in plan_smoke_tests(subject, tables[subject.path], answer)]
    trying = look([one.request for one in tried])
    found: dict[Path, list[Problem]] = {subject.path: [] for subject in subjects}
    for subject in subjects:
        found[subject.path] += _check_without_code(subject, tables[subject.path])
    for subject, answer in defined:
        found[subject.path] += check_definitions(subject, tables[subject.path], answer)
        found[subject.path] += check_gate_conditions(subject, tables[subject.path], answer)
    wrong: set[tuple[Path, object]] = set()
    for one, answer in zip(named, functions.answers(), strict=True):
        lines = list(check_function(one, answer))
        found[one.subject.path] += lines
        wrong |= {(one.subject.path, one.path) for problem in lines if problem.severity == "error"}
    for trial, answer in zip(tried, trying.answers(), strict=True):
        if (trial.subject.path, trial.path) not in wrong:  # what does not run at all fails on made-up rows too
            found[trial.subject.path] += check_smoke_test(trial, answer)
    for subject in subjects:
        found[subject.path] = [one for one in found[subject.path] if not subject.doubts(one.field)]
    every = [(path, [*yaml, *found.get(path, ())]) for path, (_, yaml) in zip(paths, read, strict=True)]
    return [problem for path, problems in every for problem in _order_problems(path, problems)] + duplicate_pipelines(
        paths
    )


def _defines_features(subject: ValidatedPipeline) -> bool:
    """Whether its definitions can be held against its datasets."""
    features = subject.spec.features
    known = subject.mended is None or ("datasets",) not in subject.mended.guessed
    return features is not None and known and subject.file(features.definitions, ()) is not None


def _check_without_code(subject: ValidatedPipeline, tables: SqlColumns) -> list[Problem]:
    return [
        *_check_files_readable(subject),
        *check_consistency(subject),
        *tables.problems,
        *check_columns(subject, tables),
        *check_suites(subject, tables),
    ]


def _check_files_readable(subject: ValidatedPipeline) -> Iterator[Problem]:
    """Files that are there and are no text: the pipeline cannot read them either."""
    for place, name in named_files(subject.spec):
        if not project.file_name_error(subject.root, name) and subject.file(name, place) is None:
            yield subject.at(place, f"{name} cannot be read as text; save it as UTF-8")


def _order_problems(path: Path, problems: Sequence[Problem]) -> list[Problem]:
    """Each once, also where two fields lead to the same line; the YAML's own first, then file by file."""
    once: dict[tuple[str, int, int, str], Problem] = {}
    for problem in problems:
        once.setdefault((problem.file, problem.line, problem.column, problem.message), problem)
    return sorted(once.values(), key=lambda p: (p.file != str(path), p.file, p.line, p.column))
