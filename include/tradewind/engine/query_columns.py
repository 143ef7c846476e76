"""User SQL bound to the columns of its views, without a row: what it would return, or what is wrong and where."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.engine.database import connect_duckdb, quote_identifier
from tradewind.spec.problems import Problem, join_words, nearest_word

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_PREPARE = "PREPARE query AS "
_HIDDEN = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SqlProblem:
    """What is wrong with SQL.

    :param message: in words, without a full stop
    :param offset: character of the text at which it is wrong, from 0
    :param width: how many characters are wrong
    :param missing_column: whether the SQL names a column that no view has
    """

    message: str
    offset: int
    width: int = 1
    expected: str | None = None
    suggestion: str | None = None
    missing_column: bool = False

    def problem(self, file: str, text: str) -> Problem:
        """The flaw with its line and column.

        :param file: what the problem calls the file
        :param text: the SQL
        """
        start = text.rfind("\n", 0, self.offset) + 1
        source = text[start:].partition("\n")[0].rstrip()
        return Problem(
            file, text.count("\n", 0, self.offset) + 1, min(self.offset - start, len(source)) + 1, "", self.message,
            self.expected, self.suggestion, source, self.width,
        )  # fmt: skip


def flaws_of_types(names: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """What is wrong with names of DuckDB types, and the nearest right one; those that are right are left out."""
    import duckdb

    found: dict[str, tuple[str, str | None]] = {}
    with _quiet() as connection:
        for name in names:
            try:
                connection.type(name)
            except duckdb.BinderException as exc:  # the type exists, with other arguments
                found[name] = str(_details(exc)["exception_message"]).splitlines()[0], None
            except duckdb.Error:
                types = connection.sql("SELECT DISTINCT upper(type_name) FROM duckdb_types()").fetchall()
                found[name] = f"DuckDB has no type {name!r}", nearest_word(name, sorted(row[0] for row in types))
    return found


def parse_select(sql: str) -> SqlProblem | None:
    """What is wrong with SQL of whose views nothing is known; None if it is one SELECT."""
    with _quiet() as connection:
        parsed = _parse(sql, connection)
        return parsed if isinstance(parsed, SqlProblem) else None


def bind_select(
    sql: str, views: Mapping[str, Mapping[str, str] | pa.Schema], *, parameters: Mapping[str, object]
) -> pa.Schema | SqlProblem:
    """The columns that one SELECT would return.

    :param views: columns of what the SQL reads, by name: DuckDB types, or an Arrow schema
    :param parameters: values of ``$name`` in the SQL, of the types that they will have
    :return: the Arrow schema, or the first thing that is wrong
    """
    import duckdb

    with _quiet() as connection:
        statement = _parse(sql, connection)
        if isinstance(statement, SqlProblem):
            return statement
        known = _show(connection, views)
        if unknown := sorted(statement.named_parameters - set(parameters)):
            return _no_parameter(unknown[0], sql, parameters)
        values = {name: parameters[name] for name in statement.named_parameters}
        try:
            # Preparing tells the place of a mistake, which `sql` does not; only `sql` knows the parameters' types.
            connection.execute(_PREPARE + sql)
        except duckdb.Error as exc:
            return _flaw(exc, sql, views=known, before=len(_PREPARE), connection=connection)
        try:
            return connection.sql(statement.query, params=values or None).to_arrow_reader(1).schema
        except duckdb.Error as exc:
            before = -len(sql.partition(statement.query)[0].encode())
            return _flaw(exc, sql, views=known, before=before, connection=connection)


def _parse(sql: str, connection: duckdb.DuckDBPyConnection) -> duckdb.Statement | SqlProblem:
    import duckdb

    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as exc:
        return _flaw(exc, sql, views={}, before=0, connection=connection)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        found = ", ".join(statement.type.name for statement in statements) or "nothing"
        return SqlProblem(f"expected one SELECT, found {found}", _first_word(sql))
    return statements[0]


@contextmanager
def _quiet() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = connect_duckdb()
    try:
        connection.execute("SET errors_as_json = true")
        yield connection
    finally:
        connection.close()


def _show(
    connection: duckdb.DuckDBPyConnection, views: Mapping[str, Mapping[str, str] | pa.Schema]
) -> dict[str, list[str]]:
    """Make an empty table of each view, then lock the connection like the one that runs the SQL."""
    known: dict[str, list[str]] = {}
    for name, columns in views.items():
        if isinstance(columns, Mapping):
            typed = ", ".join(f"{quote_identifier(column)} {connection.type(kind)}" for column, kind in columns.items())
            connection.execute(f"CREATE TABLE {quote_identifier(name)} ({typed})")
            known[name] = list(columns)
        else:
            connection.register(name, columns.empty_table())
            known[name] = list(columns.names)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return known


def _flaw(
    exc: Exception, sql: str, *, views: Mapping[str, list[str]], before: int, connection: duckdb.DuckDBPyConnection
) -> SqlProblem:
    """DuckDB's error in our words.

    :param before: how many bytes DuckDB saw before the text; negative if it saw only a later part of it
    """
    found = _details(exc)
    message = str(found["exception_message"])
    offset, width = _place(found, sql, before)
    lost = re.match(r'Referenced column "(.+?)" not found', message)
    name = str(found.get("name") or (lost[1] if lost else ""))
    if lost:
        columns = list(dict.fromkeys(column for names in views.values() for column in names))
        near = nearest_word(name, [*columns, *str(found.get("candidates", "")).split(",")])
        offset = offset if "position" in found else _word(name, sql)
        return SqlProblem(
            f"there is no column `{name}`", offset, max(width, len(name)), suggestion=near, missing_column=True,
            expected=None if near else f"one of {join_words(columns)}" if columns else None,
        )  # fmt: skip
    if found.get("type") == "Table":
        near = nearest_word(name, views)
        expected = f"one of {join_words(views)}" if views and not near else None
        return SqlProblem(f"there is no view `{name}`", offset, width, expected=expected, suggestion=near)
    if of := re.search(r'"([^"]+)" does not have a column named "([^"]+)"', message):
        return _lost_in_table(of[1], of[2], sql, views=views, offset=offset)
    if found.get("error_subtype") == "MISSING_ENTRY" and "unction" in str(found.get("type")):
        return _no_function(found, sql, offset=offset, connection=connection)
    candidates = [each.removeprefix("main.") for each in str(found.get("candidates", "")).split(",")]
    near = nearest_word(name, candidates) if name and "(" not in candidates[0] else None
    if found.get("error_subtype") == "MISSING_ENTRY":
        return SqlProblem(f"there is no {str(found['type']).lower()} `{name}`", offset, width, suggestion=near)
    said = message.splitlines()[0].strip().removesuffix(".").removesuffix("!")
    missing = bool(re.search(r"olumn .*(not found|does not exist|not have a column)|does not have a column", said))
    said = said if said[1:2].isupper() else said[:1].lower() + said[1:]
    return SqlProblem(said, offset, width, suggestion=near, missing_column=missing)


def _no_function(
    found: Mapping[str, Any], sql: str, *, offset: int, connection: duckdb.DuckDBPyConnection
) -> SqlProblem:
    """DuckDB marks the whole call; what is wrong is the name at its beginning, or behind a dot."""
    name = str(found["name"])
    # Its own candidates first: they are the nearest of all its functions, where it has any.
    near = str(found.get("candidates") or "").split(",")[0].removeprefix("main.")
    if not near.isidentifier():
        known = connection.sql("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
        near = nearest_word(name, sorted(row[0] for row in known if row[0].isidentifier())) or ""
    start = sql.lower().find(name.lower(), offset)
    return SqlProblem(f"there is no function `{name}`", max(start, offset), len(name), suggestion=near or None)


def _lost_in_table(table: str, column: str, sql: str, *, views: Mapping[str, list[str]], offset: int) -> SqlProblem:
    """A column that is asked of one table by ``table.column``."""
    columns = views.get(table) or list(dict.fromkeys(name for names in views.values() for name in names))
    near = nearest_word(column, columns)
    start = sql.lower().find(column.lower(), offset)
    return SqlProblem(
        f"`{table}` has no column `{column}`", max(start, offset), len(column), suggestion=near, missing_column=True,
        expected=None if near else f"one of {join_words(columns)}" if columns else None,
    )  # fmt: skip


def _details(exc: Exception) -> dict[str, Any]:
    """DuckDB's error as the JSON that it was asked for; some come as text all the same."""
    _, _, rest = str(exc).partition("Error: ")
    try:
        found = json.loads(rest)
    except json.JSONDecodeError:
        return {"exception_message": (rest or str(exc)).strip() or type(exc).__name__}
    return found if isinstance(found, dict) else {"exception_message": rest}


def _place(found: Mapping[str, Any], sql: str, before: int) -> tuple[int, int]:
    """Where in the text, in characters; DuckDB counts bytes."""
    if "position" in found:
        start = int(found["position"]) - before
        text = sql.encode()
        if 0 <= start <= len(text):
            length = int(json.loads(found["location"])[1]) if "location" in found else 1
            width = len(text[start : start + length].decode(errors="replace"))
            return len(text[:start].decode(errors="replace")), max(1, width)
    quoted = re.search(r'"([^"]+)"', str(found["exception_message"]))
    return (_word(quoted[1], sql), len(quoted[1])) if quoted else (_first_word(sql), 1)


def _word(word: str, sql: str) -> int:
    """Where ``word`` stands in the text, comments and strings left out; else the first word of the text."""
    shown = _HIDDEN.sub(lambda hidden: " " * len(hidden[0]), sql)
    found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", shown, re.IGNORECASE)
    return found.start() if found else _first_word(sql)


def _first_word(sql: str) -> int:
    shown = _HIDDEN.sub(lambda hidden: " " * len(hidden[0]), sql)
    return len(shown) - len(shown.lstrip()) if shown.strip() else 0


def _no_parameter(name: str, sql: str, parameters: Mapping[str, object]) -> SqlProblem:
    near = nearest_word(name, parameters)
    expected = None if near else join_words(f"${known}" for known in parameters)
    place = _word(f"${name}", sql)
    return SqlProblem(
        f"there is no parameter ${name}", place, len(name) + 1, expected, suggestion=f"${near}" if near else None
    )


def find_word(word: str, sql: str) -> int:
    """The last place at which ``word`` stands as a word, comments and strings left out; else the first word."""
    shown = _HIDDEN.sub(lambda hidden: " " * len(hidden[0]), sql)
    found = [match.start() for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", shown)]
    return found[-1] if found else _first_word(sql)
