"""What the fields of a source, and of the dataset that reads it, demand of each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date

from pydantic import BaseModel

from tradewind.spec.partitions import Kind
from tradewind.spec.pipeline import DatasetSpec, Pipeline
from tradewind.spec.problems import Finding, Path, join_words, nearest_word
from tradewind.spec.sources import Files, Http, Paging, Query, Source

_DAY = re.compile(r"\{day:([^{}]*)\}")
_DAYS = (date(2013, 1, 2), date(2013, 1, 3), date(2013, 2, 2), date(2014, 1, 2))
_WEEKS = (date(2013, 1, 7), date(2013, 1, 14), date(2013, 10, 7), date(2014, 1, 6))
_MONTHS = (date(2013, 1, 1), date(2013, 2, 1), date(2014, 1, 1))
_OTHER_DAYS: Mapping[Kind, tuple[date, ...]] = {"hour": _DAYS, "day": _DAYS, "week": _WEEKS, "month": _MONTHS}
"""Days of different partitions, which a path must not name alike."""
_EXAMPLES: Mapping[Kind, str] = {
    "hour": "year, month and day, like {day:%Y%m%d} or {day:%Y/%m/%d}",
    "day": "year, month and day, like {day:%Y%m%d} or {day:%Y/%m/%d}",
    "week": "year and week, like {day:%G-W%V}, or year, month and day, like {day:%Y%m%d}",
    "month": "year and month, like {day:%Y-%m}, or year, month and day, like {day:%Y%m%d}",
}
FILE_PLACEHOLDERS = ("landing", "partition", "day")
HTTP_PLACEHOLDERS = ("partition", "partition_start", "partition_end")
_FORMATS = {"delimiter": ("csv",), "nulls": ("csv",)}


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
        if _says(source, "new_columns") and not source.columns:
            yield Finding((*path, "new_columns"), "every column is new: there are no `columns`", on_key=True)
        if isinstance(source, Files):
            yield from _files(source, path, spec.partition)
        elif isinstance(source, Http):
            yield from _http(source, path)


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


def _says(part: BaseModel, field: str) -> bool:
    """Whether a field says something; a default that is spelled out says nothing."""
    return bool(getattr(part, field) != type(part).model_fields[field].default)


def _given(dataset: DatasetSpec, path: Path) -> Path:
    return (*path, "min_partitions" if _says(dataset.audit, "min_partitions") else "window")


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
        if _says(source, field):
            message = "nothing is waited for"
            yield Finding((*path, field), message, expected="`missing: wait` or `empty: wait` beside it", on_key=True)


def _files(source: Files, path: Path, kind: Kind) -> Iterator[Finding]:
    yield from _placeholders(_DAY.sub("{day}", source.files), (*path, "files"), FILE_PLACEHOLDERS)
    yield from _day_formats(source.files, (*path, "files"), kind)
    yield from _of_other_format(source, source.format, path)
    scheme = re.match(r"([A-Za-z][\w+.-]*)://", source.files)
    if scheme and scheme[1] != "s3":
        expected = "a local path, or s3://; for a web service `http`"
        yield Finding((*path, "files"), f"files at {scheme[1]}:// cannot be read", expected=expected)
    elif scheme and not source.connection:
        expected = "`connection`: an Airflow connection of type aws; without a login it takes the machine's own role"
        yield Finding((*path, "connection"), "is missing: the files are on S3", at=(*path, "files"), expected=expected)
    elif not scheme and source.connection and not source.files.startswith("{landing}"):
        # Said of the files: where these are missing or guessed, nothing follows for the connection.
        message = "are local, so nothing is connected to: leave `connection` out"
        yield Finding((*path, "files"), message, at=(*path, "connection"))


def _http(source: Http, path: Path) -> Iterator[Finding]:
    if "://" in source.http:
        expected = "the path below the address that the connection has"
        yield Finding((*path, "http"), "the address stands in the connection", expected=expected)
    yield from _placeholders(source.http, (*path, "http"), HTTP_PLACEHOLDERS)
    for name, value in source.parameters.items():
        yield from _placeholders(value, (*path, "parameters", name), HTTP_PLACEHOLDERS)
    if source.records is not None and source.format != "json":
        yield Finding((*path, "records"), f"means nothing with `format: {source.format}`", on_key=True)
    if source.paging:
        yield from _paging(source.paging, source.format, (*path, "paging"))


def _paging(paging: Paging, form: str, path: Path) -> Iterator[Finding]:
    homes = {"cursor": ("cursor",), "first": ("page",), "parameter": ("page", "offset", "cursor")}
    for field, kinds in homes.items():
        if _says(paging, field) and paging.by not in kinds:
            expected = f"`by: {join_words(kinds)}`, or no `{field}`"
            yield Finding((*path, field), f"means nothing with `by: {paging.by}`", expected=expected, on_key=True)
    if paging.by == "cursor" and form != "json":
        yield Finding((*path, "by"), f"an answer in {form} has no cursor", expected="`format: json`")
    if paging.size_parameter is not None and paging.size is None:
        yield Finding((*path, "size"), "is missing: `size_parameter` carries it", at=(*path, "size_parameter"))
    if paging.size is not None and paging.size_parameter is None and paging.by in ("cursor", "link"):
        yield Finding((*path, "size"), "is not sent: there is no `size_parameter`", on_key=True)


def _of_other_format(source: Files, form: str, path: Path) -> Iterator[Finding]:
    for field, formats in _FORMATS.items():
        if _says(source, field) and form not in formats:
            expected = f"`format: {join_words(formats)}`, or no `{field}`"
            yield Finding((*path, field), f"means nothing with `format: {form}`", expected=expected, on_key=True)


def _placeholders(text: str, path: Path, known: tuple[str, ...]) -> Iterator[Finding]:
    for name in re.findall(r"\{(\w*)\}", text):
        if name not in known:
            near = nearest_word(name, known)
            yield Finding(
                path,
                f"unknown placeholder {{{name}}}",
                expected=join_words(f"{{{one}}}" for one in known),
                suggestion=f"{{{near}}}" if near else None,
            )
    rest = re.sub(r"\{(\w*)\}", "", text)
    if "{" in rest or "}" in rest:
        yield Finding(path, "a `{` or `}` stands alone")


def _day_formats(text: str, path: Path, kind: Kind) -> Iterator[Finding]:
    days = _OTHER_DAYS[kind]
    for spelling in _DAY.findall(text):
        if len({format(day, spelling) for day in days}) < len(days):
            message = f"{{day:{spelling}}} is the same for different {kind if kind in ('week', 'month') else 'day'}s"
            yield Finding(path, message, expected=_EXAMPLES[kind])


def list_queries(spec: Pipeline) -> Iterator[tuple[Path, str]]:
    """The SQL files that databases run."""
    for path, source in list_sources(spec):
        if isinstance(source, Query):
            yield (*path, "query"), source.query
