"""A query's rows, from PostgreSQL and from SQLite, as the file that a delivery would be."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.local_runtime import local_runtime

from tradewind.core.connections import DatabaseConnection, GivenConnections
from tradewind.deployment import Deployment
from tradewind.errors import EmptyInput, MalformedInput, TransformError, Unavailable
from tradewind.sources import query
from tradewind.sources.fetched import Fetched
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.source_query import Query

TWICE = "2013-11-03T01"  # New York's clock shows this hour twice
SPEC = Pipeline.model_validate(
    {
        "pipeline": "shop", "owner": "x", "description": "x", "partition": "hour", "timezone": "America/New_York",
        "start": "2013-11-03T00", "schedule": "@hourly",
        "datasets": {"orders": {"source": {"query": "q.sql", "connection": "db"}, "sql": "o.sql"}},
    }
)  # fmt: skip


class Shop:
    """A project with one query against one database."""

    def __init__(self, folder: Path, database: DatabaseConnection) -> None:
        self.folder = folder
        self.open = list[Any]()
        counted = replace(database, connect=lambda: self._count(database.connect()))
        self.runtime = local_runtime(folder, connections=GivenConnections(databases={"db": counted}))

    def _count(self, connection: Any) -> Any:
        self.open.append(connection)
        return connection

    def fetch(self, sql: str, **columns: str) -> Fetched:
        (self.folder / "q.sql").write_text(sql)
        source = Query(query="q.sql", connection="db", columns=columns)
        (self.folder / "scratch").mkdir(exist_ok=True)
        return query.fetch_query(
            source, TWICE, deployment=Deployment(SPEC, self.runtime), scratch=self.folder / "scratch"
        )

    def table(self, sql: str, **columns: str) -> Any:
        import pyarrow.parquet as pq

        fetched = self.fetch(sql, **columns)
        assert fetched.format == "parquet"
        return pq.read_table(fetched.paths[0])

    def lines(self, sql: str, **columns: str) -> list[dict[str, Any]]:
        fetched = self.fetch(sql, **columns)
        assert fetched.format == "jsonl"
        return [json.loads(line) for line in fetched.paths[0].read_text().splitlines()]


@pytest.fixture
def lite(tmp_path: Path) -> Shop:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """CREATE TABLE orders (id, amount, at TEXT);
            INSERT INTO orders VALUES (1, 1.5, '2013-11-03 04:59:59'), (2, NULL, '2013-11-03 05:00:00'),
                                      (3, 2, '2013-11-03 06:59:59'), (4, 9, '2013-11-03 07:00:00');"""
        )
    return Shop(tmp_path, DatabaseConnection("sqlite", lambda: sqlite3.connect(path), "qmark"))


def postgres(url: str, driver: str) -> DatabaseConnection:
    def connect() -> Any:
        if driver == "psycopg":
            import psycopg

            return psycopg.connect(url)
        import psycopg2

        return psycopg2.connect(url)

    return DatabaseConnection("postgres", connect, "format")


@pytest.fixture(params=["psycopg", "psycopg2"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Shop:
    """PostgreSQL, through both drivers that Airflow's hook may give."""
    return Shop(tmp_path, postgres(postgres_url.replace("+psycopg", ""), request.param))


IN_THE_HOUR = "SELECT id, amount FROM orders WHERE at >= $partition_start AND at < $partition_end ORDER BY id"


def test_the_query_gets_the_bounds_of_the_partition_in_utc(lite: Shop) -> None:
    assert lite.table(IN_THE_HOUR).to_pylist() == [{"id": 2, "amount": None}, {"id": 3, "amount": 2}]


@pytest.mark.services
def test_postgres_gets_them_as_times(shop: Shop) -> None:
    rows = shop.table("SELECT $partition_start::timestamptz AS a, $partition_end::timestamptz AS b, $partition AS p")
    bounds = {"a": datetime(2013, 11, 3, 5, tzinfo=UTC), "b": datetime(2013, 11, 3, 7, tzinfo=UTC), "p": TWICE}
    assert rows.to_pylist() == [bounds]


@pytest.mark.services
def test_types_are_postgres_own(shop: Shop) -> None:
    sql = """SELECT 1::int2 AS small, 2::int8 AS big, 1.5::float8 AS double, 1.5::numeric(6, 2) AS price, sum(2::int8)
        AS total, true AS flag, 'x' AS text, date '2013-11-03' AS day, time '01:02:03' AS clock,
        '{"a": 1.10}'::jsonb AS json, timestamp '2013-11-03 01:00' AS local,
        timestamptz '2013-11-03 01:00-04' AS at, '\\x00ff'::bytea AS bytes,
        'b6b0a6a5-0000-4000-8000-000000000001'::uuid AS uuid, ARRAY[1, 2] AS list, NULL::int8 AS nothing,
        interval '90 minutes' AS lasted"""
    found = shop.table(sql)
    kinds = "int16 int64 double decimal128(6, 2) decimal128(38, 18) bool string date32[day] time64[us] string "
    kinds += "timestamp[us] timestamp[us, tz=UTC] binary string list<element: int32> int64 string"
    assert " ".join(map(str, found.schema.types)) == kinds
    assert found.to_pylist() == [
        {
            "small": 1, "big": 2, "double": 1.5, "price": Decimal("1.50"), "total": Decimal(2), "flag": True,
            "text": "x", "day": date(2013, 11, 3), "clock": time(1, 2, 3), "json": '{"a": 1.10}',
            "local": datetime(2013, 11, 3, 1), "at": datetime(2013, 11, 3, 5, tzinfo=UTC), "bytes": b"\x00\xff",
            "uuid": "b6b0a6a5-0000-4000-8000-000000000001", "list": [1, 2], "nothing": None, "lasted": "1:30:00",
        }
    ]  # fmt: skip


@pytest.mark.services
def test_a_number_without_digits_has_the_declared_type(shop: Shop) -> None:
    kinds = shop.table("SELECT avg(x) AS a, sum(x) AS b FROM (VALUES (1), (2)) t (x)", a="DOUBLE", b="BIGINT NOT NULL")
    assert kinds.to_pylist() == [{"a": 1.5, "b": 3}]
    assert list(map(str, kinds.schema.types)) == ["double", "int64"]


@pytest.mark.services
def test_a_value_that_its_type_cannot_hold_names_column_and_row(shop: Shop) -> None:
    with pytest.raises(
        MalformedInput, match=r"q\.sql on db, row 2: column x is decimal128\(38, 18\), .* '1E-30'.*Cast"
    ):
        shop.fetch("SELECT x FROM (VALUES (1::numeric), (1e-30::numeric)) t (x)")


@pytest.mark.services
def test_infinity_is_no_whole_number(shop: Shop) -> None:
    with pytest.raises(MalformedInput, match=r"row 1: column x is int64, and this does not fit: 'Infinity'"):
        shop.fetch("SELECT 'Infinity'::numeric AS x", x="BIGINT")


@pytest.mark.services
@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1,\n  foo FROM pg_class", r"q\.sql, line 2: column \"foo\" does not exist"),
        ("SELECT 1 FROM\n\nnowhere", r"q\.sql, line 3: relation \"nowhere\" does not exist"),
        ("CREATE TABLE x (y int)", r"q\.sql, line 1: syntax error"),
    ],
)
def test_a_wrong_statement_names_file_and_line(shop: Shop, sql: str, message: str) -> None:
    with pytest.raises(TransformError, match=message):
        shop.fetch(sql)
    assert all(connection.closed for connection in shop.open)


@pytest.mark.services
def test_a_query_changes_nothing(shop: Shop) -> None:
    with closing(shop.runtime.connections.database("db").connect()) as connection:
        connection.cursor().execute("CREATE SEQUENCE numbers")
        connection.commit()
    with pytest.raises(TransformError, match="read-only transaction"):
        shop.fetch("SELECT nextval('numbers')")


@pytest.mark.services
def test_its_clock_is_utc(shop: Shop) -> None:
    sql = "SELECT current_setting('timezone') AS zone, $partition_start::date::text AS day"
    assert shop.table(sql).to_pylist() == [{"zone": "UTC", "day": "2013-11-03"}]


@pytest.mark.services
def test_a_connection_that_ends_in_between_is_tried_again(shop: Shop) -> None:
    with pytest.raises(Unavailable, match=r"q\.sql on db: the database failed: (.*\n)?.*terminat"):
        shop.fetch("SELECT pg_terminate_backend(pg_backend_pid()) AS x")


@pytest.mark.services
def test_one_more_row_than_a_slice(shop: Shop) -> None:
    found = shop.table("SELECT i FROM generate_series(1, 10001) t (i)")
    assert found["i"].to_pylist() == list(range(1, 10_002))


def test_a_database_that_is_away_is_tried_again(tmp_path: Path) -> None:
    away = Shop(tmp_path, postgres("postgresql://nobody@127.0.0.1:1/none", "psycopg"))
    with pytest.raises(Unavailable, match=r"q\.sql on db: the database cannot be reached"):
        away.fetch("SELECT 1")


def test_no_row_is_an_empty_input(lite: Shop) -> None:
    with pytest.raises(EmptyInput, match=r"q\.sql on db: the query gives no row for partition 2013-11-03T01"):
        lite.fetch("SELECT 1 AS x WHERE false")


def test_no_row_and_other_columns_are_a_mistake_and_no_empty_input(lite: Shop) -> None:
    with pytest.raises(MalformedInput, match=r"q\.sql on db: there is no column 'y'.* Found: x; declared: y"):
        lite.fetch("SELECT 1 AS x WHERE false", y="BIGINT")


def test_two_columns_of_one_name_are_an_error(lite: Shop) -> None:
    with pytest.raises(MalformedInput, match="the query gives 'ID', 'id' more than once"):
        lite.fetch('SELECT 1 AS id, 2 AS "ID"')


def test_without_declared_columns_the_first_rows_tell_the_types(lite: Shop) -> None:
    sql = "SELECT NULL AS i, 1 AS f, 'a' AS t, x'00' AS b, NULL AS n UNION ALL SELECT 1, 1.5, 'b', NULL, NULL"
    assert list(map(str, lite.table(sql).schema.types)) == ["int64", "double", "string", "binary", "string"]


def test_a_later_value_of_another_type_names_column_and_row(lite: Shop) -> None:
    with pytest.raises(MalformedInput, match=r"row 2: column x is int64, and this does not fit: 'a'"):
        lite.fetch("SELECT 1 AS x UNION ALL SELECT 'a'")


def test_declared_columns_take_the_values_as_they_are(lite: Shop) -> None:
    sql = "SELECT 1 AS x, NULL AS y, x'00FF' AS z UNION ALL SELECT 'a', 1.5, NULL"
    rows = lite.lines(sql, x="BIGINT", y="DOUBLE", z="BLOB")
    assert rows == [{"x": 1, "y": None, "z": "\\x00\\xFF"}, {"x": "a", "y": 1.5, "z": None}]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT id,\n  foo FROM orders", r"q\.sql, line 2: no such column: foo"),
        ("SELECT id\nFORM orders", r"q\.sql, line 2: near \"orders\""),
        ("\n\nSELECT foo FROM orders;\n", r"q\.sql, line 3: no such column: foo"),
        ("SELECT id FROM orders\nWHERE at > $start", r"q\.sql, line 2: there is no parameter \$start"),
    ],
)
def test_sqlite_names_file_and_line_too(lite: Shop, sql: str, message: str) -> None:
    with pytest.raises(TransformError, match=message):
        lite.fetch(sql)


def test_connection_and_cursor_are_closed(lite: Shop) -> None:
    lite.fetch(IN_THE_HOUR)
    [connection] = lite.open
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        connection.execute("SELECT 1")


def test_a_locked_database_is_tried_again(lite: Shop, tmp_path: Path) -> None:
    database = DatabaseConnection("sqlite", lambda: sqlite3.connect(tmp_path / "shop.db", timeout=0), "qmark")
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="locked"):
            Shop(tmp_path, database).fetch("SELECT id FROM orders")


def test_a_file_that_is_not_there_is_named(lite: Shop, tmp_path: Path) -> None:
    source = Query(query="nothing.sql", connection="db")
    with pytest.raises(TransformError, match=r"nothing\.sql: the pipeline names this query"):
        query.fetch_query(source, TWICE, deployment=Deployment(SPEC, lite.runtime), scratch=tmp_path)


MEASURE = """
import resource, sys
from pathlib import Path
from tests.unit.sources.test_query import Shop, postgres
shop = Shop(Path(sys.argv[1]), postgres(sys.argv[2], "psycopg"))
row = "SELECT i, i * 1.5 AS x, md5(i::text) AS name, now() AS at FROM generate_series(1, %s) t (i)"
peaks = []
for rows in (50_000, 1_000_000):
    assert shop.fetch(row % rows).paths[0].stat().st_size
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print(*peaks)
"""


@pytest.mark.services
@pytest.mark.slow
def test_a_million_rows_need_no_more_memory_than_a_few(tmp_path: Path, postgres_url: str) -> None:
    url = postgres_url.replace("+psycopg", "")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path, url], capture_output=True, text=True, check=False, cwd=Path.cwd(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    few, million = map(int, done.stdout.split())
    print(f"peak RSS: {few} MB with 50,000 rows, {million} MB with 1,000,000")
    assert million - few < 60  # the rows as Python objects would be some 400 MB
