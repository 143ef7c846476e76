"""The same inputs give the same rows, to the last bit, whatever the threads and the order in which rows come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from tradewind.engine.database import connect_duckdb
from tradewind.engine.determinism import UNSTABLE, DeterminismFacts, examine_determinism
from tradewind.engine.query import FileView, run_select
from tradewind.engine.sql_text import canonical_text
from tradewind.errors import TransformError

COLUMNS = {"a": "INTEGER", "b": "DOUBLE", "k": "VARCHAR", "ts": "TIMESTAMPTZ", "d": "DECIMAL(9,3)", "l": "INTEGER[]"}
MOMENT = datetime(2013, 1, 28, tzinfo=UTC)
PARTITIONS, ROWS = 30, 400


def examined(sql: str) -> DeterminismFacts:
    views = {"t": COLUMNS, "u": {"k": "VARCHAR", "w": "INTEGER"}}
    parameters = {"partition": "2013-01-28", "partition_start": MOMENT, "partition_end": MOMENT}
    connection = connect_duckdb()
    try:
        return examine_determinism(sql, views, parameters=parameters, connection=connection)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a, b * 2 AS b2 FROM t WHERE ts < $partition_end - INTERVAL 1 DAY",
        "SELECT k, count(*), sum(a), avg(a), sum(d), avg(d), avg((b > 1)::INTEGER), min(b), max(ts), median(b) "
        "FROM t GROUP BY k",
        "SELECT DISTINCT k FROM t UNION SELECT k FROM u",
        "SELECT t.k, w FROM t JOIN u USING (k) WHERE k IN (SELECT k FROM u)",
        "SELECT rank() OVER (ORDER BY b), sum(a) OVER (PARTITION BY k ORDER BY ts) FROM t",
        "SELECT sum(b ORDER BY b), list(k ORDER BY k), string_agg(k, ',' ORDER BY k) FROM t",
        "SELECT (SELECT max(w) FROM u WHERE u.k = t.k), list_sum(l) FROM t",
        "SELECT CASE WHEN a > 3 THEN error('too large') END FROM t",
        "SELECT age(ts, $partition_start) FROM t ORDER BY a",
    ],
)
def test_sql_that_is_exact_in_any_order_keeps_its_threads(sql: str) -> None:
    found = examined(sql)
    assert (found.changing, found.ordered) == ((), ())


@pytest.mark.parametrize(
    ("sql", "ordered"),
    [
        ("SELECT avg(b) FROM t", "avg of DOUBLE"),
        ("SELECT sum(a::FLOAT) FROM t", "sum of DOUBLE"),
        ("SELECT sum(DISTINCT b) FROM t", "sum of DOUBLE"),
        ("SELECT stddev(a) FROM t", "stddev"),
        ("SELECT favg(b) FROM t", "favg"),
        ("SELECT fsum(b) FROM t", "fsum"),
        ("SELECT first(a) FROM t", "first"),
        ("SELECT any_value(a) FROM t", "any_value"),
        ("SELECT list(k ORDER BY a) FROM t", "list"),
        ("SELECT string_agg(k) FROM t", "string_agg"),
        ("SELECT arg_max(a, b) FROM t", "arg_max"),
        ("SELECT mode(k) FROM t", "mode"),
        ("SELECT approx_quantile(b, 0.5) FROM t", "approx_quantile"),
        ("SELECT row_number() OVER (ORDER BY ts) FROM t", "row_number"),
        ("SELECT lag(a) OVER (ORDER BY ts) FROM t", "lag"),
        ("SELECT sum(a) OVER (ORDER BY ts ROWS 3 PRECEDING) FROM t", "sum of INTEGER"),
        ("SELECT sum(b) OVER (PARTITION BY k) FROM t", "sum of DOUBLE"),
        ("SELECT a FROM t ORDER BY a LIMIT 3", "LIMIT"),
        ("SELECT DISTINCT ON (k) a FROM t", "DISTINCT ON"),
        ("SELECT DISTINCT k COLLATE NOCASE AS k FROM t", "COLLATE"),
        ("SELECT k COLLATE NOCASE AS k FROM t UNION SELECT k FROM u", "COLLATE"),
        ("SELECT a FROM t ASOF JOIN u ON t.k >= u.k", "ASOF JOIN"),
        ("SELECT a FROM t POSITIONAL JOIN u", "POSITIONAL JOIN"),
        ("SELECT a FROM t TABLESAMPLE reservoir(10) REPEATABLE (42)", "SAMPLE"),
        ("WITH x AS (SELECT k, avg(b) AS m FROM t GROUP BY k) SELECT max(m) FROM x", "avg of DOUBLE"),
    ],
)
def test_what_depends_on_the_order_of_rows_is_found(sql: str, ordered: str) -> None:
    found = examined(sql)
    assert (found.changing, found.ordered) == ((), (ordered,))


@pytest.mark.parametrize(
    ("sql", "changing"),
    [
        ("SELECT random() FROM t", "random"),
        ("SELECT uuid() AS id FROM t", "uuid"),
        ("SELECT now() FROM t", "now"),
        ("SELECT a FROM t WHERE ts < current_timestamp", "get_current_timestamp"),
        ("SELECT current_date", "current_date"),
        ("SELECT age(ts) FROM t", "age"),
        ("SELECT current_setting('threads')", "current_setting"),
        ("SELECT a FROM t USING SAMPLE 10%", "SAMPLE"),
        ("SELECT sum(a) FILTER (b > random()) FROM t", "random"),
        ("SELECT value FROM duckdb_settings()", "duckdb_settings"),
        ("SELECT localtimestamp FROM t", "current_localtimestamp"),
        ("SELECT date_diff('day', ts, now()) FROM t", "now"),
        ("SELECT date_trunc('day', current_timestamp)", "get_current_timestamp"),
        ("SELECT a FROM t WHERE ts < date_trunc('day', ago(INTERVAL 1 DAY))", "get_current_timestamp"),
        ("SELECT age($partition_start) FROM t", "age"),
        ("SELECT list_transform(l, x -> x + random()) FROM t", "random"),
        ("SELECT sum(a) OVER (PARTITION BY random()) FROM t", "random"),
        ("FROM range((random() * 10)::INTEGER)", "random"),
    ],
)
def test_what_is_something_else_each_time_is_found(sql: str, changing: str) -> None:
    assert examined(sql).changing == (changing,)


def test_a_column_may_be_called_like_the_clock() -> None:
    connection = connect_duckdb()
    views = {"t": {"localtime": "VARCHAR", "now": "DATE"}}
    found = examine_determinism("SELECT localtime, now FROM t", views, parameters={}, connection=connection)
    connection.close()
    assert found.changing == ()


def test_all_functions_are_known_that_duckdb_does_not_call_consistent() -> None:
    connection = connect_duckdb()
    query = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    listed = {name for (name,) in connection.execute(query).fetchall()}
    connection.close()
    # What `error` raises, and where a view is found, depends on the inputs alone.
    assert listed - {"error", "current_database", "current_schema", "current_schemas", "in_search_path"} == UNSTABLE


def test_columns_that_are_not_read_are_not_sorted_by() -> None:
    assert examined("SELECT k, avg(b) FROM t GROUP BY k").columns == {"t": ("b", "k")}


def test_a_plan_that_cannot_be_examined_counts_as_dependent_on_the_order() -> None:
    found = examined("SELECT a FROM main.another_table")
    assert found.ordered
    assert set(found.columns["t"]) == set(COLUMNS)


@pytest.mark.parametrize(
    "same",
    ["SELECT  'a  -- b' -- why\nFROM t ;\n", "/* why */ SELECT 'a  -- b'\n\tFROM t", "SELECT 'a  -- b' FROM t"],
)
def test_comments_and_white_space_say_nothing(same: str) -> None:
    assert canonical_text(same) == "SELECT 'a  -- b' FROM t"


@pytest.mark.parametrize("other", ["SELECT 'a -- b' FROM t", 'SELECT "a  -- b" FROM t', "SELECT $$a  -- b$$ FROM t"])
def test_what_is_quoted_stays_as_it_is(other: str) -> None:
    assert canonical_text(other) == other


SQL = {
    "mean": "SELECT avg(x) m FROM t",
    "sum": "SELECT k, sum(x) s FROM t GROUP BY k",
    "deviation": "SELECT k, stddev(y) s FROM t GROUP BY k",
    "aggregates": "SELECT k, avg(x) a, sum(y) s, stddev(x) d, corr(x, y) c, favg(x) f, kurtosis(y) q, product(x) p, "
    "sum(DISTINCT x) u, entropy(n) e, approx_quantile(x, 0.9) z FROM t GROUP BY k",
    "arbitrary": "SELECT k, first(x) f, last(y) l, any_value(x) a, list(x) x, string_agg(partition) s, "
    "arg_max(y, n) m, mode(n) o, max(n, 3) t, count(*) c FROM t GROUP BY k",
    "windows": "SELECT id, avg(x) OVER (PARTITION BY k ORDER BY n ROWS 9 PRECEDING) a, "
    "row_number() OVER (PARTITION BY k ORDER BY n) r, lag(x) OVER (PARTITION BY n ORDER BY k) g, "
    "sum(y) OVER (PARTITION BY k) s FROM t",
    "joins": "WITH m AS (SELECT k, avg(x) mean FROM t GROUP BY k), w AS (SELECT n, sum(y) total FROM t GROUP BY n) "
    "SELECT t.k, sum((x - mean) * total) s, avg(mean * y) a FROM t JOIN m USING (k) JOIN w USING (n) GROUP BY t.k",
    "self-join": "SELECT a.k, sum(a.x * b.y) s FROM t a JOIN t b ON a.k = b.k AND a.n = b.n GROUP BY a.k",
    "asof": "SELECT a.id, b.y FROM t a ASOF JOIN t b ON a.k = b.k AND a.n >= b.n",
    "limit": "SELECT * FROM t ORDER BY n LIMIT 50",
    "distinct on": "SELECT DISTINCT ON (k) k, x, id FROM t ORDER BY n",
    "sample": "SELECT * FROM t USING SAMPLE reservoir(50 ROWS) REPEATABLE (7)",
    "exact": "SELECT k, avg(n) a, median(x) m, count(DISTINCT partition) c FROM t GROUP BY k",
}


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    made = random.Random(7)
    every = range(PARTITIONS * ROWS)
    return pa.table(
        {
            "partition": [f"{n // ROWS:02}" for n in every],
            "id": list(every),
            "k": [made.randrange(9) for _ in every],
            "n": [made.randrange(40) for _ in every],
            "x": [made.uniform(0.5, 1.5) for _ in every],
            "y": [made.gauss(0, 1e6) for _ in every],
        }
    )


def _written(rows: pa.Table, folder: Path, *, seed: int) -> pads.Dataset:
    """The same rows in files and groups of other sizes, and in another order."""
    made, folder = random.Random(seed), folder / str(seed)
    folder.mkdir()
    places = made.sample(range(rows.num_rows), rows.num_rows)
    cuts = sorted(made.sample(range(1, rows.num_rows), PARTITIONS - 1))
    for number, (begin, end) in enumerate(zip([0, *cuts], [*cuts, rows.num_rows], strict=True)):
        pq.write_table(rows.take(places[begin:end]), folder / f"{number}.parquet", row_group_size=made.randint(40, 400))
    return pads.dataset([str(path) for path in made.sample(sorted(folder.iterdir()), PARTITIONS)])


@pytest.fixture(scope="module")
def shuffled(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> list[pads.Dataset]:
    folder = tmp_path_factory.mktemp("shuffled")
    return [_written(rows, folder, seed=seed) for seed in range(5)]


def _results(sql: Path, views: Iterator[tuple[pads.Dataset, int]], spill: Path) -> Iterator[list[str]]:
    for number, (dataset, threads) in enumerate(views):
        (spill / str(number)).mkdir(parents=True)
        with run_select(sql, {"t": dataset}, parameters={}, spill=spill / str(number), threads=threads) as selected:
            yield sorted(map(repr, selected.read_all().to_pylist()))


@pytest.mark.parametrize("name", SQL)
def test_rows_do_not_depend_on_threads_nor_on_how_the_inputs_are_stored(
    name: str, shuffled: list[pads.Dataset], tmp_path: Path
) -> None:
    (tmp_path / "q.sql").write_text(SQL[name])
    tries = ((dataset, (1, 2, 16)[number % 3]) for number, dataset in enumerate(shuffled))
    first, *others = _results(tmp_path / "q.sql", tries, tmp_path / "spill")
    assert first
    assert all(other == first for other in others)


def test_fifty_runs_agree(shuffled: list[pads.Dataset], tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text(SQL["joins"])
    tries = ((shuffled[number % 5], (1, 2, 16)[number % 3]) for number in range(50))
    first, *others = _results(tmp_path / "q.sql", tries, tmp_path / "spill")
    assert len(others) == 49
    assert all(other == first for other in others)


def test_rows_of_a_file_stay_in_their_order(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [3, 1, 2] * 50_000}), tmp_path / "n.parquet", row_group_size=5_000)
    view = FileView(f"SELECT * FROM read_parquet('{tmp_path}/n.parquet')", [tmp_path / "n.parquet"])
    (tmp_path / "q.sql").write_text("SELECT n, row_number() OVER () AS line FROM source QUALIFY line % 3 = 1")
    with run_select(tmp_path / "q.sql", {"source": view}, parameters={}, threads=16) as selected:
        assert set(selected.read_all()["n"].to_pylist()) == {3}


def test_rows_of_a_database_come_in_an_order_of_their_values(tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("SELECT string_agg(n, ',') AS all FROM source")
    found = set()
    for order in ([1, 2, 3], [3, 1, 2], [2, 3, 1]):
        pq.write_table(pa.table({"n": order}), tmp_path / "n.parquet")
        view = FileView(f"SELECT * FROM '{tmp_path}/n.parquet'", [tmp_path / "n.parquet"], ordered=False)
        with run_select(tmp_path / "q.sql", {"source": view}, parameters={}) as selected:
            found.add(selected.read_all()["all"][0].as_py())
    assert len(found) == 1


def test_sql_that_gives_something_else_each_time_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("-- now() is the time\nSELECT 1 AS n,\n  current_timestamp AS loaded_at")
    refused = pytest.raises(TransformError, match=r"q\.sql, line 3: `get_current_timestamp` gives something else")
    with refused, run_select(tmp_path / "q.sql", {}, parameters={}):
        pass
    with run_select(tmp_path / "q.sql", {}, parameters={}, deterministic=False) as selected:
        assert selected.read_all()["n"].to_pylist() == [1]


def test_whole_moments_are_known_where_the_plan_is_examined(tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("SELECT date_trunc('day', $partition_end) AS day, avg(0.5::DOUBLE) AS m")
    with run_select(tmp_path / "q.sql", {}, parameters={"partition_end": MOMENT + timedelta(hours=5)}) as selected:
        assert selected.read_all()["day"].to_pylist() == [MOMENT]
