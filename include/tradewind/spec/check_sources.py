"""What the fields of a source, and of the dataset that reads it, demand of each other."""

from __future__ import annotations

from collections.abc import Iterator

from tradewind.spec.base import says_something
from tradewind.spec.pipeline import DatasetSpec, Pipeline
from tradewind.spec.problems import Finding, Path
from tradewind.spec.sources import Source


def list_sources(spec: Pipeline) -> Iterator[tuple[Path, Source]]:
    """Every source of a pipeline with its place."""
    for name, dataset in spec.datasets.items():
        if dataset.source:
            yield ("datasets", name, "source"), dataset.source
        for view, source in dataset.references.items():
            yield ("datasets", name, "references", view), source
    if spec.score:
        yield ("score", "population"), spec.score.population
        for view, source in spec.score.population.references.items():
            yield ("score", "population", "references", view), source


def check_sources(spec: Pipeline) -> Iterator[Finding]:
    """What is wrong with each source by itself."""
    for path, source in list_sources(spec):
        yield from _waiting(source, path)
        if source.empty != "fail" and not source.columns and getattr(source, "format", "") == "csv":
            message = "a page that tells of an error would pass for an empty delivery: there are no `columns`"
            yield Finding((*path, "empty"), message, expected="`columns` beside it", on_key=True)
        if says_something(source, "new_columns") and not source.columns:
            yield Finding((*path, "new_columns"), "every column is new: there are no `columns`", on_key=True)
        yield from source.findings(path, spec.partition)


def check_rows(spec: Pipeline) -> Iterator[Finding]:
    """What is wrong between a dataset's keys, its rule for duplicates and its audit."""
    for name, dataset in spec.datasets.items():
        yield from _duplicates(dataset, ("datasets", name, "duplicates"))
        audit, path = dataset.audit, ("datasets", name, "audit")
        if audit.min_partitions > audit.window:
            message = f"nothing would ever be compared: the window has {audit.window} partitions"
            yield Finding((*path, "min_partitions"), message, expected="at most `window`", at=_given(dataset, path))
        if audit.rows_at_least > audit.rows_at_most:
            message = (
                f"no partition has at least {audit.rows_at_least:g} and at most {audit.rows_at_most:g} times as many"
            )
            yield Finding((*path, "rows_at_least"), message)


def _given(dataset: DatasetSpec, path: Path) -> Path:
    return (*path, "min_partitions" if says_something(dataset.audit, "min_partitions") else "window")


def _duplicates(dataset: DatasetSpec, path: Path) -> Iterator[Finding]:
    if dataset.duplicates and not dataset.keys:
        yield Finding(path, "there are no `keys` by which rows would be the same", on_key=True)
    elif dataset.duplicates and dataset.duplicates.by in dataset.keys:
        message = f"`{dataset.duplicates.by}` is one of the `keys`, so it is equal in all of them"
        yield Finding((*path, "by"), message, expected="a column that differs between duplicates")


def _waiting(source: Source, path: Path) -> Iterator[Finding]:
    if "wait" in (source.missing, source.empty):
        return
    for field in ("wait_for", "late"):
        if says_something(source, field):
            message = "nothing is waited for"
            yield Finding((*path, field), message, expected="`missing: wait` or `empty: wait` beside it", on_key=True)


def list_queries(spec: Pipeline) -> Iterator[tuple[Path, str]]:
    """The SQL files that databases run."""
    for path, source in list_sources(spec):
        for field, file in source.sql_files().items():
            yield (*path, field), file
