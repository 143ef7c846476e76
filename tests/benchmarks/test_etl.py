"""ETL of one partition beside bare DuckDB over the same file; a suite beside Great Expectations on pandas.

Nothing is asserted about time. ``TRADEWIND_BENCH_ROWS`` sets the rows of the comparison, ``TRADEWIND_BENCH_FLAT`` those
of the runs that show memory (``1e6,3e7`` takes minutes), ``TRADEWIND_BENCH_SUITE`` those of the suite. Each run has a
process of its own.

Imports count for nobody: a task is forked from a process that has them. By CPU is what to look at where others work on
the same machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

ROWS = int(float(os.environ.get("TRADEWIND_BENCH_ROWS", "1e7")))
FLAT = [int(float(rows)) for rows in os.environ.get("TRADEWIND_BENCH_FLAT", "1e6,1e7").split(",") if rows]
SUITE = int(float(os.environ.get("TRADEWIND_BENCH_SUITE", "5e6")))

COLUMNS = {
    "id": "BIGINT", "customer": "BIGINT", "origin": "VARCHAR", "carrier": "VARCHAR", "tail": "VARCHAR",
    "price": "DOUBLE", "delay": "INTEGER", "late": "BOOLEAN", "at": "TIMESTAMPTZ", "day": "DATE",
}  # fmt: skip
EXPECTATIONS: list[tuple[str, dict[str, Any]]] = [
    ("table_row_count_to_be_between", {"min_value": 1}),
    ("column_values_to_not_be_null", {"column": "id"}),
    ("column_values_to_not_be_null", {"column": "at"}),
    ("column_values_to_not_be_null", {"column": "delay", "mostly": 0.9}),
    ("column_values_to_be_in_set", {"column": "origin", "value_set": ["EWR", "JFK", "LGA", "BOS", "SFO"]}),
    ("column_values_to_match_regex", {"column": "carrier", "regex": "^[A-Z]{2}$"}),
    ("column_values_to_match_regex", {"column": "tail", "regex": "^N[0-9]+$"}),
    ("column_values_to_be_between", {"column": "price", "min_value": 0, "max_value": 3000}),
    ("column_values_to_be_between", {"column": "delay", "min_value": 0, "max_value": 500}),
    ("column_mean_to_be_between", {"column": "price", "min_value": 1000, "max_value": 2000}),
    ("column_max_to_be_between", {"column": "customer", "max_value": 50000}),
    ("column_value_lengths_to_be_between", {"column": "tail", "max_value": 6}),
]

# Both print seconds of wall clock and of all processors, and the peak of memory in MB.
MEASURE = """
import json, resource, sys, time
begun, worked = time.perf_counter(), time.process_time()
{work}
taken = time.perf_counter() - begun, time.process_time() - worked
print(json.dumps([*taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
OURS = """
from pathlib import Path
import logging
from tradewind.checks.expectations import load_great_expectations
import deltalake, duckdb, pandas, pyarrow.dataset
load_great_expectations()
import great_expectations.expectations.core
from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.etl.dataset_build import build_dataset
from tradewind.spec.pipeline import Pipeline
folder = Path(sys.argv[1])
spec = Pipeline.model_validate_json((folder / "pipeline.json").read_text())
runtime = Runtime(project=folder, lake=str(folder / "lake"), landing=str(folder), ledger=f"sqlite:///{folder}/l.db",
                  mlflow="", feast_registry="", feast_online={}, reports=folder / "reports")
"""
PEER = """
import duckdb
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
"""


def run(head: str, work: str, *arguments: str) -> tuple[float, float, float]:
    code = "import sys\n" + head + MEASURE.format(work=work)
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seconds, cpu, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, cpu, memory


def deliver(folder: Path, rows: int) -> Path:
    path = folder / "2013-01-28.csv"
    duckdb.sql(
        f"""COPY (SELECT range AS id, (hash(range) % 50000)::BIGINT AS customer,
            ['EWR', 'JFK', 'LGA', 'BOS', 'SFO'][(1 + hash(range + 1) % 5)::INT] AS origin,
            chr((65 + hash(range + 2) % 26)::INT) || chr((65 + hash(range + 3) % 26)::INT) AS carrier,
            'N' || (hash(range + 4) % 9000) AS tail, round((hash(range + 5) % 100000) / 37.0, 2)::DOUBLE AS price,
            CASE WHEN hash(range + 6) % 20 > 0 THEN (hash(range + 6) % 500)::INT END AS delay,
            hash(range + 8) % 3 = 0 AS late,
            TIMESTAMPTZ '2013-01-28 05:00:00+00' + INTERVAL (range % 604800) SECOND AS at,
            DATE '2013-01-28' + (range % 7)::INT AS day FROM range({rows})) TO '{path}' (HEADER)"""
    )
    return path


def pipeline(folder: Path) -> None:
    (folder / "orders.sql").write_text("SELECT * FROM source")
    suite = [{"type": f"expect_{kind}", "kwargs": kwargs} for kind, kwargs in EXPECTATIONS]
    (folder / "orders.json").write_text(json.dumps({"name": "orders", "expectations": suite}))
    source = {"files": "{landing}/{partition}.csv", "columns": COLUMNS}
    orders = {"source": source, "sql": "orders.sql", "expectations": "orders.json"}
    about = {"pipeline": "shop", "owner": "x@example.com", "description": "Orders", "schedule": "0 6 * * 1"}
    time = {"partition": "week", "timezone": "America/New_York", "start": "2013-01-28"}
    (folder / "pipeline.json").write_text(json.dumps({**about, **time, "datasets": {"orders": orders}}))


def build(folder: Path) -> tuple[float, float, float]:
    pipeline(folder)
    return run(OURS, 'build_dataset(Deployment(spec, runtime), "orders", "2013-01-28")', str(folder))


def bare(path: Path, options: str) -> tuple[float, float, float]:
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items())
    read = f"read_csv('{path}', columns = {{{types}}}, auto_detect = false, header = true, delim = ',', quote = '\"')"
    copy = f"COPY (SELECT * FROM {read}) TO '{path}.parquet' (FORMAT parquet, {options})"
    return run(PEER, f"connection.execute({copy!r})", str(path.parent))


def test_one_partition_beside_bare_duckdb(tmp_path: Path) -> None:
    path = deliver(tmp_path, ROWS)
    same = bare(path, "COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION v2")
    default = bare(path, "COMPRESSION snappy")
    ours = build(tmp_path)
    print(f"\netl of one partition, {ROWS:,} rows, 10 columns, {len(EXPECTATIONS)} checks: {told(ours)}")
    for name, peer in (("the same Parquet options", same), ("its own", default)):
        print(
            f"  / bare DuckDB, {name}: {told(peer)}; we have {peer[0] / ours[0]:.2f} of its speed, "
            f"{peer[1] / ours[1]:.2f} by CPU"
        )


@pytest.mark.parametrize("rows", FLAT)
def test_float_aggregates_over_an_earlier_dataset(tmp_path: Path, rows: int) -> None:
    deliver(tmp_path, rows)
    build(tmp_path)
    sums = "avg(price) AS mean, stddev(price) AS deviation, sum(price) AS total"
    (tmp_path / "sums.sql").write_text(f"SELECT customer, {sums} FROM orders GROUP BY customer")
    spec = json.loads((tmp_path / "pipeline.json").read_text())
    for deterministic in (False, True):
        name = f"sums_{deterministic}".lower()
        spec["datasets"][name] = {"inputs": {"orders": {}}, "sql": "sums.sql", "deterministic": deterministic}
        (tmp_path / "pipeline.json").write_text(json.dumps(spec))
        ran = run(OURS, f'build_dataset(Deployment(spec, runtime), "{name}", "2013-01-28")', str(tmp_path))
        print(
            f"\navg, stddev and sum of {rows:,} DOUBLEs in 50,000 groups, deterministic: {deterministic}: {told(ran)}"
        )


@pytest.mark.parametrize("rows", FLAT)
def test_memory_is_flat(tmp_path: Path, rows: int) -> None:
    deliver(tmp_path, rows)
    print(f"\netl of one partition, {rows:,} rows: {told(build(tmp_path))}")


def test_a_suite_beside_great_expectations_on_pandas(tmp_path: Path) -> None:
    path = deliver(tmp_path, SUITE)
    bare(path, "COMPRESSION zstd")
    pipeline(tmp_path)
    head = f"""
from pathlib import Path
from types import SimpleNamespace
from tradewind.checks import database_pass, expectations
import pyarrow.parquet as pq
asked = expectations.read_suite(Path("{tmp_path}/orders.json"))
paths = (Path("{path}.parquet"),)
rows = SimpleNamespace(paths=paths, schema=pq.read_schema(paths[0]), folder=Path("{tmp_path}"))
"""
    ours = run(head, "assert len(database_pass.run(asked, rows, examples=5)) == len(asked)")
    theirs = run(head, "expectations._on_frame(asked, pq.read_table(paths[0]))")
    print(f"\n{len(EXPECTATIONS)} expectations on {SUITE:,} rows: {told(ours)}")
    print(f"  / Great Expectations on pandas: {told(theirs)}; {theirs[0] / ours[0]:.1f} times as fast")


def told(run: tuple[float, float, float]) -> str:
    return f"{run[0]:.2f} s ({run[1]:.1f} s of CPU), peak {run[2]:.0f} MB"
