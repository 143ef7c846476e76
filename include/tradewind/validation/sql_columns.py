"""What each SQL file returns, found by binding it to the columns of what it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tradewind.engine.database import connect_duckdb
from tradewind.engine.determinism import examine_determinism, function_spellings
from tradewind.engine.query_columns import SqlProblem, bind_select, find_word, flaws_of_types, parse_select
from tradewind.engine.sql_text import find_words
from tradewind.errors import UsageError
from tradewind.lake.schema import PARTITION, lake_schema
from tradewind.spec.columns import declared_columns
from tradewind.spec.pipeline import DatasetSpec, Population
from tradewind.spec.problems import Path, Problem, join_words
from tradewind.spec.sources import Source
from tradewind.validation.validated_pipeline import NamedFile, ValidatedPipeline

if TYPE_CHECKING:
    import pyarrow as pa

_NOW = datetime(2024, 1, 1, tzinfo=UTC)
_PARAMETERS = {"partition": "2024-01-01", "partition_start": _NOW, "partition_end": _NOW}


@dataclass(slots=True)
class SqlColumns:
    """Columns of what the pipeline's SQL returns; what is not known is not there.

    :param datasets: by name, as the lake holds them
    :param population: of the population's SQL
    :param problems: what is wrong with the SQL and the declared columns
    """

    datasets: dict[str, pa.Schema] = field(default_factory=dict)
    population: pa.Schema | None = None
    problems: list[Problem] = field(default_factory=list)


def bind_pipeline_sql(subject: ValidatedPipeline) -> SqlColumns:
    """Bind the SQL of every dataset, each after those that it reads, and of the population."""
    tables = SqlColumns()
    views = _declare_views(subject, tables)
    for name in _build_order(subject.spec.datasets):
        _bind_dataset(subject, name, tables, views)
    if subject.spec.score:
        place: Path = ("score", "population")
        part = subject.spec.score.population
        bound = _bind_sql(subject, tables, place, part, _views(part, place, (*place, "references"), views))
        tables.population = bound[1] if bound else None
    return tables


def _bind_dataset(subject: ValidatedPipeline, name: str, tables: SqlColumns, known: dict[Path, _ViewColumns]) -> None:
    place: Path = ("datasets", name)
    part = subject.spec.datasets[name]
    views = _views(part, (*place, "source"), (*place, "references"), known)
    for read in part.inputs:
        views[read] = _ViewColumns(tables.datasets.get(read), why=f"those of `{read}` are not known")
    bound = _bind_sql(subject, tables, place, part, views)
    if bound is None:
        return
    sql, schema = bound
    flaws = list(_refused_by_lake(name, schema))
    for column, message in flaws:
        tables.problems.append(sql.problem(find_word(column, sql.text), message, width=len(column)))
    if not flaws:
        held = lake_schema(schema, what=name)
        import pyarrow as pa

        tables.datasets[name] = held.append(pa.field(PARTITION, pa.string()))


@dataclass(frozen=True, slots=True)
class _ViewColumns:
    """What is known of a view.

    :param columns: None if nothing is
    :param why: why nothing is known; empty if that is told already
    :param more: it may have columns that are not declared
    """

    columns: Mapping[str, str] | pa.Schema | None
    why: str = ""
    more: bool = False


def _declare_views(subject: ValidatedPipeline, tables: SqlColumns) -> dict[Path, _ViewColumns]:
    """The view of each source; types that do not exist are problems."""
    found: dict[Path, _ViewColumns] = {}
    kinds = {
        place: {name: column.kind for name, column in declared_columns(source.columns).items()}
        for place, source in subject.sources.items()
    }
    wrong = flaws_of_types({kind for columns in kinds.values() for kind in columns.values()})
    for place, source in subject.sources.items():
        for column, kind in kinds[place].items():
            if flaw := wrong.get(kind):
                path = (*place, "columns", column)
                tables.problems.append(subject.at(path, flaw[0], suggestion=flaw[1]))
        if not source.columns:
            found[place] = _ViewColumns(None, why=f"{_source_name(place, source)} declares no `columns`")
        else:
            unsure = any(kind in wrong for kind in kinds[place].values())
            found[place] = _ViewColumns(None if unsure else kinds[place], more=source.new_columns == "take")
    return found


def _source_name(place: Path, source: Source) -> str:
    return "the population" if isinstance(source, Population) else f"`{place[-1]}`"


def _views(
    part: DatasetSpec | Population, source: Path, references: Path, known: Mapping[Path, _ViewColumns]
) -> dict[str, _ViewColumns]:
    views = {"source": known[source]} if source in known else {}
    return views | {name: known[(*references, name)] for name in part.references}


def _bind_sql(
    subject: ValidatedPipeline,
    tables: SqlColumns,
    place: Path,
    part: DatasetSpec | Population,
    views: Mapping[str, _ViewColumns],
) -> tuple[NamedFile, pa.Schema] | None:
    field_: Path = (*place, "sql")
    sql = subject.file(part.sql, field_)
    if sql is None:
        return None
    known = {name: view.columns for name, view in views.items() if view.columns is not None}
    if len(known) < len(views):
        if flaw := parse_select(sql.text):
            tables.problems.append(_sql_problem(sql, flaw))
            return None
        why = [view.why for view in views.values() if view.columns is None and view.why]
        if why:
            message = f"its columns cannot be checked: {join_words(why, last='and')}"
            tables.problems.append(subject.at(field_, message, severity="note"))
        return None
    bound = bind_select(sql.text, known, parameters=_PARAMETERS)
    if not isinstance(bound, SqlProblem):
        if part.deterministic:
            tables.problems += _nondeterminism_problems(sql, known)
        return sql, bound
    more = [name for name, view in views.items() if view.more]
    if bound.missing_column and more:
        message = f"its columns cannot be checked: {bound.message}, unless it is a new one that `{more[0]}` takes"
        tables.problems.append(sql.problem(bound.offset, message, width=bound.width, severity="note"))
    else:
        tables.problems.append(_sql_problem(sql, bound))
    return None


def _nondeterminism_problems(sql: NamedFile, known: Mapping[str, Mapping[str, str] | pa.Schema]) -> Iterator[Problem]:
    """What would give other rows of the same inputs, in SQL that can be bound."""
    with closing(connect_duckdb()) as connection:
        found = examine_determinism(sql.text, known, parameters=_PARAMETERS, connection=connection)
    for name in found.changing:
        offset, width = find_words(function_spellings(name), sql.text)
        message = f"`{sql.text[offset : offset + width]}` gives something else each time"
        expected = "$partition_start or $partition_end for the time, or `deterministic: false` in the YAML"
        yield sql.problem(offset, message, width=width, expected=expected)


def _sql_problem(sql: NamedFile, flaw: SqlProblem) -> Problem:
    return sql.problem(flaw.offset, flaw.message, width=flaw.width, expected=flaw.expected, suggestion=flaw.suggestion)


def _refused_by_lake(name: str, schema: pa.Schema) -> Iterator[tuple[str, str]]:
    """Columns that the lake would refuse, with its reason."""
    import pyarrow as pa

    what = f"dataset {name}"
    for column in dict.fromkeys(schema.names):
        fields = [each for each in schema if each.name == column]
        try:
            lake_schema(pa.schema(fields), what=what)
        except UsageError as exc:
            yield column, str(exc)


def _build_order(datasets: Mapping[str, DatasetSpec]) -> list[str]:
    """Each after all that it reads, if that can be; datasets in a circle come as they stand."""
    order: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in order or name in above or name not in datasets:
            return
        for read in datasets[name].inputs:
            visit(read, (*above, name))
        order.append(name)

    for name in datasets:
        visit(name, ())
    return order
