"""DuckDB in memory as Tradewind uses it: bounded, with UTC as its clock, reading nothing that it was not given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

MEMORY = "512MB"
"""What one database may take; with the libraries beside it, a task stays below 1 GB."""


def connect_duckdb(
    spill: Path | None = None, memory: str = MEMORY, *, threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """An empty database.

    :param spill: folder for what does not fit in memory; None for none
    :param memory: its bound, for example ``1GB``
    :param threads: that it may use; None for one a processor
    """
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory,
        "temp_directory": str(spill or ""),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }
    if threads is not None:
        settings["threads"] = threads
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def restrict_access(
    connection: duckdb.DuckDBPyConnection, *, files: Iterable[object] = (), folders: Iterable[object] = ()
) -> None:
    """Let SQL that users wrote read nothing else from here on, and lock the settings.

    :param files: paths that may be read
    :param folders: folders that may be read and written
    """
    connection.execute(f"SET allowed_directories = {quote_strings(folders)}")
    connection.execute(f"SET allowed_paths = {quote_strings(files)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def quote_identifier(value: str) -> str:
    """A column or view in SQL."""
    return '"' + value.replace('"', '""') + '"'


def quote_string(value: str) -> str:
    """A string in SQL."""
    return "'" + value.replace("'", "''") + "'"


def quote_strings(values: Iterable[object]) -> str:
    """A list of strings in SQL."""
    return f"[{', '.join(quote_string(str(value)) for value in values)}]"
