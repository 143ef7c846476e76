"""Where the things of a deployment are kept. Plain values, handed down by the caller that starts the work."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from tradewind.core.connections import Connections, GivenConnections


class Hosts(Protocol):
    """Keeps the processes of model versions, one a version."""

    def lend(self, name: str) -> Any:
        """The process of a version, if there is one that can be asked again, else None."""

    def keep(self, name: str, starting: AbstractContextManager[Any]) -> Any:
        """Start the process of a version, and let it go on when it is not needed for the moment."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The places that stage functions work with; built by operators from Airflow connections.

    What may hold a password is not shown when it is printed.

    :param project: the project root: ``dags/`` and ``include/`` are below it
    :param lake: root of the Delta tables, a local path or an ``s3://`` URI
    :param landing: what ``{landing}`` in a pipeline's YAML stands for
    :param ledger: SQLAlchemy URL of the ledger
    :param mlflow: MLflow tracking and registry URI
    :param feast_registry: SQLAlchemy URL of the Feast registry
    :param feast_online: Feast's online store configuration, for example ``{"type": "sqlite", "path": …}``
    :param reports: folder of the self-contained HTML reports
    :param storage_options: credentials of the lake, as deltalake takes them
    :param run_id: the Airflow run that does this work, or ``local``
    :param actor: who started it: ``airflow`` or a person's name
    :param connections: what lies outside, by the ids of Airflow connections
    :param waited: time since the run's start, for inputs that are waited for
    :param threads: that one DuckDB may use; None for one a processor
    :param warm: this process has the heavy libraries imported and unused, so it may fork
    :param alone: nothing else works on the pipeline, as in a rehearsal: an earlier partition that is not complete by
        now never will be, and is not waited for
    :param hosts: keeps the processes of model versions for the next population; None for a process for each use
    """

    project: Path
    lake: str
    landing: str
    ledger: str = field(repr=False)
    mlflow: str = field(repr=False)
    feast_registry: str = field(repr=False)
    feast_online: Mapping[str, str] = field(repr=False)
    reports: Path
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    run_id: str = "local"
    actor: str = "local"
    connections: Connections = field(default_factory=GivenConnections, repr=False)
    waited: timedelta = timedelta(0)
    threads: int | None = None
    warm: bool = False
    alone: bool = False
    hosts: Hosts | None = field(default=None, repr=False)
