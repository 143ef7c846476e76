from __future__ import annotations

import csv
import datetime as dt
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from tradewind.engine.query import run_select
from tradewind.errors import TransformError
from tradewind.sources.delivery import hash_delivery
from tradewind.sources.fetched import Fetched
from tradewind.spec.source_files import Files

COLUMNS = {"carrier": "VARCHAR", "flight": "BIGINT", "seen": "TIMESTAMP"}
ROW = "AA,1,2013-01-28 06:00:00\n"


class Sql:
    """Runs SQL over the views ``source`` (two CSV files) and ``orders`` (an Arrow dataset)."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "query.sql"
        self.csv = [folder / "28.csv", folder / "29.csv"]
        for path in self.csv:
            path.write_text("carrier,flight,seen\n" + ROW)
        self.secret = folder / "secret.csv"
        self.secret.write_text("x\n1\n")
        self.orders = pads.dataset(pa.table({"value": [1, 2, 3]}))

    def __call__(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        self.file.write_text(sql)
        names = tuple(map(str, self.csv))
        delivery = hash_delivery(
            Files(files="-", columns=COLUMNS), Fetched(tuple(self.csv), names, "csv", nulls=("NA",))
        )
        views: Mapping[str, Any] = {"source": delivery.view(), "orders": self.orders}
        with run_select(self.file, views, parameters=parameters) as reader:
            return list(reader.read_all().to_pylist())


@pytest.fixture
def sql(tmp_path: Path) -> Sql:
    return Sql(tmp_path)


def test_files_and_datasets_are_views(sql: Sql) -> None:
    assert sql("SELECT (SELECT count(*) FROM source) AS files, sum(value)::INT AS total FROM orders") == [
        {"files": 2, "total": 6}
    ]


def test_the_rows_of_a_week_of_files_are_all_there(sql: Sql, tmp_path: Path) -> None:
    dice = random.Random(7)
    sql.csv = [tmp_path / f"day-{day}.csv" for day in range(7)]
    for path in sql.csv:
        with path.open("w", newline="") as file:
            rows = [
                [dice.choice(["AA", 'A"A', "A,A", "A\nA"]), dice.randrange(9), "NA"] for _ in range(dice.randrange(900))
            ]
            csv.writer(file).writerows([list(COLUMNS), *rows])
    counted = []
    for path in sql.csv:
        with path.open(newline="") as file:
            counted += [(row["carrier"], int(row["flight"])) for row in csv.DictReader(file)]
    found = [(row["carrier"], row["flight"]) for row in sql("SELECT * FROM source")]
    assert sorted(found) == sorted(counted)


def test_spelled_nulls_and_empty_fields_are_null(sql: Sql) -> None:
    sql.csv[0].write_text("carrier,flight,seen\nNA,NA,NA\n,,\n")
    assert sql("SELECT count(*) AS n FROM source WHERE carrier IS NULL AND flight IS NULL AND seen IS NULL") == [
        {"n": 2}
    ]


def test_the_clock_is_utc_and_zones_are_known(sql: Sql) -> None:
    rows = sql("SELECT seen AT TIME ZONE 'America/New_York' AS local, seen::TIMESTAMPTZ AS plain FROM source LIMIT 1")
    assert rows == [
        {"local": dt.datetime(2013, 1, 28, 11, tzinfo=dt.UTC), "plain": dt.datetime(2013, 1, 28, 6, tzinfo=dt.UTC)}
    ]


def test_parameters_are_given_by_name_and_those_not_named_are_left_out(sql: Sql) -> None:
    start = dt.datetime(2013, 1, 28, 5, tzinfo=dt.UTC)
    rows = sql("SELECT $partition_start AS s FROM orders WHERE value > $least", partition_start=start, least=2, other=1)
    assert rows == [{"s": start}]


def test_an_unknown_parameter_is_named_with_those_there_are(sql: Sql) -> None:
    with pytest.raises(TransformError, match=r"query.sql: there is no parameter \$partiton; there are: \$partition"):
        sql("SELECT $partiton", partition="2013-01-28")


@pytest.mark.parametrize("mistake", ["SELECT *\nFROM sorce", "SELECT *\nFRM source"])
def test_a_mistake_in_the_sql_is_named_by_file_and_line(sql: Sql, mistake: str) -> None:
    with pytest.raises(TransformError, match=r"query\.sql:2:"):
        sql(mistake)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "-- Ä comment: avrage(\n\nSELECT\r\n    carrier,\r\n    'é' || upperr(carrier) AS x\r\nFROM source\r\n",
            """:5:12: there is no function `upperr`; did you mean `upper`?
    5 |     'é' || upperr(carrier) AS x
      |            ^^^^^^""",
        ),
        (
            "/* one\n   two */\nSELECT\n    /* avrage( */ avrage\n    (value) FROM source\n",
            """:4:19: there is no function `avrage`; did you mean `avg`?
    4 |     /* avrage( */ avrage
      |                   ^^^^^^""",
        ),
        (
            "-- first\nSELECT s.carier\nFROM source AS s\n",
            """:2:10: `s` has no column `carier`; did you mean `carrier`?
    2 | SELECT s.carier
      |          ^^^^^^""",
        ),
    ],
    ids=["function", "over lines", "of a table"],
)
def test_a_mistake_is_shown_in_its_own_line_with_the_nearest_right_spelling(sql: Sql, text: str, said: str) -> None:
    with pytest.raises(TransformError) as caught:
        sql(text)
    assert str(caught.value).endswith(f"query.sql{said}")


def test_an_error_while_rows_are_computed_counts_lines_as_the_file_does(sql: Sql) -> None:
    with pytest.raises(TransformError, match=r"(?s)LINE 3:     CAST\(carrier AS INTEGER\)"):
        sql("-- a comment\nSELECT\n    CAST(carrier AS INTEGER)\nFROM source\n")


def test_an_error_while_rows_are_computed_names_the_file(sql: Sql) -> None:
    with pytest.raises(TransformError, match=r"query\.sql: .*no such carrier"):
        sql("SELECT CASE WHEN carrier = 'AA' THEN error('no such carrier') ELSE carrier END FROM source")


@pytest.mark.parametrize(
    "text", ["", "SELECT 1; SELECT 2", "CREATE TABLE t AS SELECT 1", "SET threads = 1", "PRAGMA version"]
)
def test_only_one_select_is_run(sql: Sql, text: str) -> None:
    with pytest.raises(TransformError, match="expected one SELECT, found"):
        sql(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_blob('/etc/hostname')",
        "SELECT * FROM glob('{secret}')",
        "SELECT * FROM sniff_csv('{secret}')",
        "SELECT * FROM query('ATTACH ''x.db''')",
        "SELECT * FROM views",
    ],
)
def test_nothing_but_the_views_can_be_read(sql: Sql, text: str) -> None:
    views = [1]  # a variable of the caller, which DuckDB would read if it were let
    with pytest.raises(TransformError):
        sql(text.format(secret=sql.secret))
    assert views == [1]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(TransformError, match=r"none.sql: there is no such file"),
        run_select(tmp_path / "none.sql", {}, parameters={}),
    ):
        pass


def test_what_does_not_fit_in_memory_is_spilled_beside(tmp_path: Path) -> None:
    file = tmp_path / "sort.sql"
    file.write_text("SELECT range AS n, md5(range::VARCHAR) AS text FROM range(400000) ORDER BY text")
    with run_select(file, {}, parameters={}, spill=tmp_path / "spill", memory="40MB") as reader:
        assert sum(batch.num_rows for batch in reader) == 400_000
