"""MLflow's tables are whole or not there, whoever comes first and whoever is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path

from mlflow import MlflowClient

from tradewind.registry import mlflow_schema


def make_slowly(database: Path) -> None:
    """Make the tables, and be killed before they are all there."""
    from mlflow.store.db import utils

    def killed(engine: object) -> None:
        with sqlite3.connect(f"{database}.unfinished") as half:
            half.execute("CREATE TABLE _alembic_tmp_tags (key TEXT)")
        os.kill(os.getpid(), signal.SIGKILL)

    utils._upgrade_db = killed
    mlflow_schema.create_mlflow_tables(f"sqlite:///{database}")


def usable(database: Path) -> bool:
    client = MlflowClient(tracking_uri=f"sqlite:///{database}", registry_uri=f"sqlite:///{database}")
    client.create_registered_model("flights")
    return [one.name for one in client.search_experiments()] == ["Default"]


def test_a_process_that_is_killed_while_it_makes_them_leaves_none(tmp_path: Path) -> None:
    database = tmp_path / "mlflow" / "mlflow.db"
    process = multiprocessing.get_context("spawn").Process(target=make_slowly, args=[database])
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not database.exists()
    assert Path(f"{database}.unfinished").exists()
    mlflow_schema.create_mlflow_tables(f"sqlite:///{database}")
    assert usable(database)
    assert sorted(path.name for path in database.parent.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


def test_many_first_users_make_them_once(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    context = multiprocessing.get_context("fork")
    users = [
        context.Process(target=mlflow_schema.create_mlflow_tables, args=[f"sqlite:///{database}"])
        for _ in range(4)
    ]  # fmt: skip
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert [user.exitcode for user in users] == [0] * 4
    assert usable(database)


def test_a_server_makes_its_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    mlflow_schema.create_mlflow_tables("http://127.0.0.1:1")
    assert list(tmp_path.iterdir()) == []
