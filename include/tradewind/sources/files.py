"""Delivered files: which ones a partition needs, and whether they are whole."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.errors import MalformedInput, MissingInput, SpecError
from tradewind.sources.fetched import Fetched
from tradewind.spec.partitions import Partitioning
from tradewind.spec.sources import Files

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.spec.models import Pipeline


def fetch(source: Files, partition: str, *, spec: Pipeline, runtime: Runtime, scratch: Path) -> Fetched:
    """Find the files that ``partition`` needs, in order of time.

    :raises MissingInput: files are not there; every one is named
    """
    paths = resolve(source, partition, partitioning=spec.partitioning, landing=runtime.landing)
    return Fetched(paths, tuple(map(str, paths)), source.format, source.delimiter, source.nulls)


def resolve(files: Files, partition: str, *, partitioning: Partitioning, landing: str) -> tuple[Path, ...]:
    """Paths of the files that ``partition`` needs, in order of time.

    :param landing: what ``{landing}`` stands for
    :raises SpecError: the path has a placeholder that there is none for
    :raises MissingInput: files are not there; every one is named
    """
    unknown = set(re.findall(r"{(.*?)}", files.files)) - {"landing", "partition", "day"}
    if unknown:
        raise SpecError(
            f"{files.files}: no placeholder {{{unknown.pop()}}}; there are {{landing}}, {{partition}} and {{day}}"
        )
    days = partitioning.days(partition) if "{day}" in files.files else [""]
    paths = [Path(files.files.format(landing=landing, partition=partition, day=day)) for day in days]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        count = f"{len(missing)} of {len(paths)} files are missing" if len(paths) > 1 else "the file is missing"
        raise MissingInput(
            f"partition {partition}: {count}: {', '.join(missing)}. Deliver them, then run the partition again"
        )
    return tuple(paths)


def check(files: Files, paths: Iterable[Path]) -> None:
    """Look at the beginning and the end of every file, before any row is read.

    :raises MalformedInput: a file is empty, has no rows, ends in the middle of a row, or has other columns than
        declared (or, where none are declared, than the first file)
    """
    expected = list(files.columns)
    for path in paths:
        found = header(path)
        expected = expected or found
        if found != expected:
            raise MalformedInput(f"{path}: {_difference(found, expected)}")
        if not _ends_with_line_break(path):
            raise MalformedInput(
                f"{path}: the last line has no line break, so the file may be cut off; deliver it again"
            )


def header(path: Path) -> list[str]:
    """Column names of a CSV file.

    :raises MalformedInput: it is empty, is not UTF-8, names a column twice, or has no row
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            names, first = next(rows, None), next(rows, None)
    except (UnicodeDecodeError, csv.Error) as exc:
        raise MalformedInput(f"{path}: this is not CSV text in UTF-8: {exc}") from exc
    if names is None:
        raise MalformedInput(f"{path}: the file is empty; not even a header is there")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MalformedInput(f"{path}: the header names {', '.join(map(repr, twice))} more than once")
    if first is None:
        raise MalformedInput(
            f"{path}: there is a header but no row; an empty delivery is a mistake until somebody says so"
        )
    return names


def columns(files: Files, paths: Sequence[Path]) -> Mapping[str, str]:
    """DuckDB type of each column of checked files: as declared, or text for all of them."""
    return files.columns or dict.fromkeys(header(paths[0]), "VARCHAR")


def _difference(found: list[str], expected: list[str]) -> str:
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    words = [f"the header has no {', '.join(map(repr, missing))}"] if missing else []
    words += [f"the header has {', '.join(map(repr, extra))}, which nobody declared"] if extra else []
    words = words or [f"the header has its columns in another order: {', '.join(found)}"]
    return f"{'; '.join(words)}. Expected: {', '.join(expected)}"


def _ends_with_line_break(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) in (b"\n", b"\r")
