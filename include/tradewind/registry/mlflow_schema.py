"""MLflow's tables in a SQLite file: whole or not there.

MLflow makes them, step by step and without a lock, when a process first uses the file. Two processes that do so at
once, or one that is killed meanwhile, leave tables half made, and from then on the file cannot be used. So they are
made in another file, which is then given its name. A server makes its own tables before it answers.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from tradewind.core.file_lock import hold_file_lock

log = logging.getLogger(__name__)

_SQLITE = "sqlite:///"


def create_mlflow_tables(tracking: str) -> None:
    """See that the tables are there, where ``tracking`` is a SQLite file; one process at a time makes them.

    :param tracking: MLflow's tracking URI
    """
    if not tracking.startswith(_SQLITE):
        return
    database = Path(tracking.removeprefix(_SQLITE))
    if database.exists():
        return
    with hold_file_lock(database.with_name(f"{database.name}.lock")):
        if database.exists():
            return
        unfinished = database.with_name(f"{database.name}.unfinished")
        for left in database.parent.glob(f"{unfinished.name}*"):
            left.unlink()
        _create_tables(f"{_SQLITE}{unfinished}", artifacts=database.parent / "artifacts")
        unfinished.rename(database)
        log.info("made MLflow's tables in %s", database)


def _create_tables(tracking: str, *, artifacts: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store: Any = SqlAlchemyStore(tracking, artifacts.absolute().as_uri())  # type: ignore[no-untyped-call]  # MLflow's
    store.engine.dispose()
