"""Start an Airflow command in a process that has already imported the heavy libraries.

``python -m tradewind.operators.warm_start scheduler`` for the local executor, whose workers and tasks are forks of the
scheduler; ``… warm_start celery worker`` for Celery's prefork workers. A task then finds its libraries imported: 0.07 s
in place of ten.

The libraries are imported here and never used: after one use their thread pools exist, and a forked child that
waits for a thread of its parent waits for ever.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

log = logging.getLogger(__name__)

WARM = "TRADEWIND_WARM"
WAIT_FOR = "TRADEWIND_WAIT_FOR"

MODULES = (
    "numpy",
    "pandas",
    "pyarrow",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.pipeline",
    "skops.io",
    "sqlalchemy",
    "alembic.command",
    "duckdb",
    "deltalake",
    "ibis",
    "ibis.backends.duckdb",
    "feast",
    "feast.infra.offline_stores.duckdb",
    "feast.infra.online_stores.sqlite",
    "feast.infra.registry.sql",
    "great_expectations",
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    # What a DAG and its operators import; any asset makes Airflow import the asset types of all providers.
    "airflow.sdk",
    "airflow.sdk.execution_time.task_runner",
    "airflow.timetables.trigger",
    "airflow.providers.amazon.aws.assets.s3",
    "tradewind.factory.dags",
    "tradewind.etl.dataset_build",
    "tradewind.etl.etl_completion",
    "tradewind.features.stage",
    "tradewind.features.offline_store",
    "tradewind.monitoring.profile_rows",
    "tradewind.monitoring.partition_judgement",
    "tradewind.retraining.training_decision",
    "tradewind.training.candidate",
    "tradewind.verdict.judgement",
    "tradewind.champion.refit",
    "tradewind.champion.promotion",
    "tradewind.champion.rollback",
    "tradewind.scoring.batch_scoring",
    "tradewind.scoring.shadow",
)


def import_libraries(modules: Sequence[str] = MODULES) -> list[str]:
    """Import ``modules`` and use none of them; what is not installed is left out and returned."""
    missing = []
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as exc:
            log.warning("tasks import %s themselves: %s", name, exc)
            missing.append(name)
    return missing


def wait_for_url(url: str, *, timeout: float) -> None:
    """Wait until ``url`` answers; tasks that start before the API server does are lost.

    :param timeout: seconds
    :raises TimeoutError: it did not answer
    """
    end = time.monotonic() + timeout
    while True:
        try:
            with urllib.request.urlopen(url, timeout=30):
                return
        except (urllib.error.URLError, OSError) as exc:
            if time.monotonic() > end:
                raise TimeoutError(f"{url} did not answer within {timeout:.0f} s") from exc
        time.sleep(0.2)


def main(arguments: Sequence[str]) -> None:
    """Import the libraries, wait for ``TRADEWIND_WAIT_FOR`` if it is set, then be ``airflow ARGUMENTS``."""
    import_libraries()
    os.environ[WARM] = "1"
    if url := os.environ.get(WAIT_FOR):
        wait_for_url(url, timeout=300)
    from airflow.__main__ import main as airflow

    sys.argv = ["airflow", *arguments]
    airflow()  # type: ignore[no-untyped-call]  # Airflow gives no types for it


if __name__ == "__main__":
    main(sys.argv[1:])
