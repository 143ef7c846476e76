"""Warm tasks: a process that has imported the heavy libraries and not used them may fork; each works in the child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.operators import warm_start

USES = {
    "pandas": "import pandas as pd; assert pd.DataFrame({'a': range(1000)}).groupby('a').size().sum() == 1000",
    "pyarrow": (
        "import pyarrow as pa, pyarrow.parquet as pq, pyarrow.dataset as ds\n"
        "pq.write_table(pa.table({'a': list(range(100000))}), 'a.parquet')\n"
        "assert ds.dataset('a.parquet').to_table().num_rows == 100000"
    ),
    "duckdb": (
        "import duckdb\n"
        "assert duckdb.execute('select count(*) from range(1000000) t(i) where i % 2 = 0').fetchall() == [(500000,)]"
    ),
    "deltalake": (
        "import tempfile, pyarrow as pa, deltalake\nfolder = tempfile.mkdtemp()\n"
        "deltalake.write_deltalake(folder, pa.table({'a': [1, 2, 3]}))\n"
        "assert deltalake.DeltaTable(folder).to_pyarrow_table().num_rows == 3"
    ),
    "sklearn": (
        "import numpy as np\n"
        "from sklearn.ensemble import HistGradientBoostingClassifier\n"
        "x = np.random.default_rng(0).normal(size=(20000, 5))\n"
        "HistGradientBoostingClassifier(max_iter=5).fit(x, x[:, 0] > 0).predict_proba(x)"
    ),
    "mlflow": (
        "import mlflow\n"
        "mlflow.set_tracking_uri('sqlite:///mlflow.db')\n"
        "mlflow.set_experiment('e')\n"
        "with mlflow.start_run(): mlflow.log_metric('m', 1.0)"
    ),
    "great_expectations": (
        "import pandas as pd, great_expectations as gx\n"
        "source = gx.get_context(mode='ephemeral').data_sources.pandas_default\n"
        "batch = source.read_dataframe(pd.DataFrame({'a': [1]}))\n"
        "assert batch.validate(gx.expectations.ExpectColumnValuesToNotBeNull(column='a')).success"
    ),
    "feast": (
        "import ibis, pyarrow as pa\n"
        "from feast import Entity, FeatureView, Field\n"
        "assert ibis.memtable(pa.table({'a': [1, 2]})).count().execute() == 2"
    ),
}

# Imports as the launcher does; then, for each library, two children use it one after another.
PROGRAM = """
import os, sys, threading
from tradewind.operators import warm_start
from tests.unit.operators.test_warm_start import USES
if __name__ == "__main__":
    warm_start.import_libraries()
    print("threads", threading.active_count(), flush=True)
    for library, use in USES.items():
        codes = []
        for _ in range(2):
            child = os.fork()
            if not child:
                try:
                    exec(use)
                    os._exit(0)
                finally:
                    os._exit(1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(library, codes, flush=True)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, project: Path) -> list[str]:
    """What the program printed. The killer stands outside: a hang in native code cannot be ended from within."""
    path = os.pathsep.join([str(project), *sys.path])
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path_factory.mktemp("warm"),
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = program.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        output, _ = program.communicate()
    return output.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("library", USES)
def test_a_forked_task_can_use(library: str, said: list[str]) -> None:
    assert f"{library} [0, 0]" in said


@pytest.mark.slow
def test_importing_starts_no_thread_that_a_child_would_miss(said: list[str]) -> None:
    assert "threads 1" in said


def test_a_library_that_is_not_installed_is_named_and_left_out() -> None:
    assert warm_start.import_libraries(["json", "no_such_library"]) == ["no_such_library"]


def test_waiting_for_a_server_ends_with_its_address() -> None:
    with pytest.raises(TimeoutError, match=r"127\.0\.0\.1:1"):
        warm_start.wait_for_url("http://127.0.0.1:1/health", timeout=0)
