from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.errors import TradewindError
from tradewind.ledger.journal import Entry, Ledger
from tradewind.ledger.schema import HEAD, VERSION_TABLE, build_tables

FIRST_USE = """
import sys
from tradewind.ledger.journal import Entry, Ledger
sys.stdin.readline()
assert Ledger(sys.argv[1]).append(Entry("flights", "note", "etl", None, sys.argv[2]))
"""


@pytest.mark.slow
def test_eight_processes_may_use_a_new_ledger_at_once(url: str) -> None:
    command = [sys.executable, "-W", "error", "-c", FIRST_USE, url]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for n in range(8)
    ]
    errors = []
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        errors.append(process.communicate()[1])
    assert [process.returncode for process in processes] == [0] * 8, errors
    assert len(Ledger(url).find("flights", "note")) == 8


def test_the_newest_migration_is_the_head_that_the_code_knows() -> None:
    from alembic.script import ScriptDirectory

    import tradewind.ledger.migrations

    folder = Path(tradewind.ledger.migrations.__path__[0])
    assert ScriptDirectory(str(folder)).get_heads() == [HEAD]


def test_the_tables_are_what_the_migrations_make(url: str) -> None:
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.pool import NullPool

    Ledger(url).find("flights", "note")
    found = inspect(create_engine(url, poolclass=NullPool))
    for table in (build_tables().journal, build_tables().champions):
        columns = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
        assert columns == {column.name: column.nullable for column in table.columns}


def test_the_schema_is_checked_once_with_one_query(url: str) -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    Ledger(url).find("flights", "note")
    statements: list[str] = []

    def record(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    try:
        ledger = Ledger(url)
        ledger.find("flights", "note")
        ledger.find("flights", "note")
    finally:
        event.remove(Engine, "before_cursor_execute", record)
    queries = [statement for statement in statements if statement.startswith("SELECT")]
    assert [VERSION_TABLE in query for query in queries] == [True, False, False]


def test_a_ledger_of_a_newer_tradewind_is_refused(url: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    Ledger(url).find("flights", "note")
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(TradewindError, match="install the newer Tradewind"):
        Ledger(url).find("flights", "note")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_ledger_that_was_used_can_be_used_in_a_fork(url: str) -> None:
    ledger = Ledger(url)
    ledger.append(Entry("flights", "note", "etl", None, "parent"))
    if (child := os.fork()) == 0:
        written = ledger.append(Entry("flights", "note", "etl", None, "child"))
        os._exit(0 if written else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ledger.append(Entry("flights", "note", "etl", None, "parent again"))
    assert len(ledger.find("flights", "note")) == 3


def test_a_ledger_is_made_without_loading_sqlalchemy() -> None:
    code = (
        "import sys; from tradewind.ledger import completion, journal; journal.Ledger('sqlite:///x'); "
        "assert 'sqlalchemy' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_sqlite_writes_ahead(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    Ledger(f"sqlite:///{tmp_path}/new/folder/ledger.db").find("flights", "note")
    with closing(sqlite3.connect(tmp_path / "new/folder/ledger.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
