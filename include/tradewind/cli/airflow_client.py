"""Which Airflow a command talks to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.errors import UsageError

if TYPE_CHECKING:
    from tradewind.hooks.airflow_api import AirflowApi

URL, TOKEN = "TRADEWIND_AIRFLOW_URL", "TRADEWIND_AIRFLOW_TOKEN"
USER, PASSWORD = "TRADEWIND_AIRFLOW_USER", "TRADEWIND_AIRFLOW_PASSWORD"
PATIENCE = 10.0


def connect_airflow(*, patience: float | None = None) -> AirflowApi:
    """A client of the Airflow that the environment names, else of this project's local one.

    ``TRADEWIND_AIRFLOW_URL`` is the address of the API server; with it goes ``TRADEWIND_AIRFLOW_TOKEN``, or
    ``TRADEWIND_AIRFLOW_USER`` and ``TRADEWIND_AIRFLOW_PASSWORD``, for which a token is asked at ``/auth/token``.

    :param patience: seconds until a request is given up that a busy Airflow does not answer; ten if None
    :raises UsageError: there is none, or nothing to log in with
    """
    from tradewind.hooks.airflow_api import AirflowApi

    patience = PATIENCE if patience is None else patience
    if url := os.environ.get(URL):
        token, user, password = (os.environ.get(name, "") for name in (TOKEN, USER, PASSWORD))
        if not token and not (user and password):
            raise UsageError(f"{URL} is set, and nothing to log in with: set {TOKEN}, or {USER} and {PASSWORD}")
        return AirflowApi(url, user=user, password=password, token=token or None, patience=patience)
    url, user, password = _local_login()
    return AirflowApi(url, user=user, password=password, patience=patience)


def _local_login() -> tuple[str, str, str]:
    from tradewind.local_airflow import running_airflow, supervisor
    from tradewind.local_airflow.home import Home

    home = Home.of(Path.cwd())
    url = supervisor.read_state(home).get("airflow") if running_airflow.is_airflow_running(home) else None
    if not url and home.is_of_rehearsal:
        raise UsageError(
            f"there is no Airflow to talk to: {home.root} is the home of a rehearsal, and {URL} names none; "
            "tradewind rehearse NAME --from KEY --to KEY runs its partitions again"
        )
    if not url:
        raise UsageError(
            f"there is no Airflow to talk to: the local one of {home.root} is not up (start it with: tradewind up), "
            f"and {URL} names no other"
        )
    return (str(url), *running_airflow.read_login(home))
