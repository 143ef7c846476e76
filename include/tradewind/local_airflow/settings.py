"""The environment of every process of the embedded Airflow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.errors import UsageError
from tradewind.local_airflow.home import Home
from tradewind.local_airflow.ports import PORTS

if TYPE_CHECKING:
    from airflow.sdk import Connection

TRADEWIND_DEFAULT = "AIRFLOW_CONN_TRADEWIND_DEFAULT"
MLFLOW_DEFAULT = "AIRFLOW_CONN_MLFLOW_DEFAULT"

# What the caller's shell says about another Airflow or MLflow is not meant for this one.
_FOREIGN = ("AIRFLOW", "_AIRFLOW", "MLFLOW", "_MLFLOW", "FEAST_")
# Connections and Variables that pipelines name are looked up by their names, and by nothing else.
_OURS = ("AIRFLOW_CONN_", "AIRFLOW_VAR_")

_QUIET = {
    "DO_NOT_TRACK": "1",
    "SCARF_NO_ANALYTICS": "true",
    "SCARF_ANALYTICS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "FEAST_USAGE": "False",
    "GX_ANALYTICS_ENABLED": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def airflow_environment(home: Home, *, port: int, mlflow_port: int, exported: bool = False) -> dict[str, str]:
    """Environment variables of all processes: nothing outside ``home.root`` is written, no telemetry is sent.

    Airflow connections and Variables that are exported stay; `tradewind_default` and `mlflow_default` are the home's.

    :param port: where the API server listens
    :param mlflow_port: where MLflow's pages are, if they are shown
    :param exported: take `tradewind_default` and `mlflow_default` from the environment too, where they are exported
    :raises UsageError: what is exported cannot be taken; see :func:`home_connections`
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN) or name.startswith(_OURS)
    }
    include = str(home.project / "include")
    path = os.pathsep.join(dict.fromkeys([include, *filter(None, kept.get("PYTHONPATH", "").split(os.pathsep))]))
    # Two tasks that each use all cores wait for one another's threads.
    kept.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // 2)))
    own = {
        "TRADEWIND_HOME": str(home.root),
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "MPLCONFIGDIR": str(home.root / "cache" / "matplotlib"),
        "XDG_CACHE_HOME": str(home.root / "cache"),
        "XDG_CONFIG_HOME": str(home.root / "cache" / "config"),
        "XDG_DATA_HOME": str(home.root / "cache" / "data"),
        "AIRFLOW_HOME": str(home.airflow),
        **(home_connections(home, mlflow_port=mlflow_port) if exported else _own_connections(home, mlflow_port)),
        # Without a server MLflow would put artifacts below the working directory.
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(home.root / "mlflow" / "artifacts"),
    }
    options = {f"AIRFLOW__{name}": str(value) for name, value in _airflow_options(home, port).items()}
    return {**kept, **_QUIET, **own, **options}


def home_connections(home: Home, *, mlflow_port: int = PORTS["mlflow"]) -> dict[str, str]:
    """`tradewind_default` and `mlflow_default`: the home's, with what an exported connection says in its place.

    :raises UsageError: the exported one is malformed, or of another project: a local Airflow would work on that
    """
    own = _own_connections(home, mlflow_port)
    if text := os.environ.get(TRADEWIND_DEFAULT):
        own[TRADEWIND_DEFAULT] = json.dumps(_complete_connection(home, text))
    if text := os.environ.get(MLFLOW_DEFAULT):
        own[MLFLOW_DEFAULT] = text
    return own


def exported_names() -> list[str]:
    """The two variables, where they are exported."""
    return [name for name in (TRADEWIND_DEFAULT, MLFLOW_DEFAULT) if os.environ.get(name)]


def exported_extra() -> Mapping[str, Any]:
    """The extra of the exported `tradewind_default`; empty if none is exported.

    :raises UsageError: it is malformed
    """
    text = os.environ.get(TRADEWIND_DEFAULT)
    return (_parse_connection(text).extra_dejson or {}) if text else {}


def names_this_project(home: Home) -> bool:
    """Whether the exported connection is one for this project: it names no other."""
    named = exported_extra().get("project")
    return named is None or Path(named).resolve() == home.project


def adopt_home_settings(home: Home) -> None:
    """Give this process the settings of a home, in place of those of another Airflow or MLflow.

    Only before a library is imported that reads them.
    """
    settings = airflow_environment(home, port=0, mlflow_port=0)
    for name in [name for name in os.environ if name not in settings]:
        del os.environ[name]
    os.environ.update(settings)


def _own_connections(home: Home, mlflow_port: int) -> dict[str, str]:
    mlflow = {"tracking_uri": home.tracking_uri, "ui_url": f"http://127.0.0.1:{mlflow_port}"}
    return {
        TRADEWIND_DEFAULT: json.dumps({"conn_type": "tradewind", "extra": home.places()}),
        MLFLOW_DEFAULT: json.dumps({"conn_type": "mlflow", "extra": mlflow}),
    }


def _complete_connection(home: Home, text: str) -> dict[str, Any]:
    found = _parse_connection(text)
    if found.conn_type != "tradewind":
        raise UsageError(f"{TRADEWIND_DEFAULT} is of type {found.conn_type}, not tradewind; correct it or unset it")
    if not names_this_project(home):
        raise UsageError(
            f"{TRADEWIND_DEFAULT} is exported for the project {(found.extra_dejson or {})['project']}, and this is "
            f"{home.project}: the local Airflow would work on the deployment of that one. Unset the variable; or leave "
            "`project` out of its extra, to change single places of the local Airflow, such as `feast_online`"
        )
    return {
        "conn_type": "tradewind",
        "login": found.login,
        "password": found.password,
        "extra": {**home.places(), **(found.extra_dejson or {})},
    }


def _parse_connection(text: str) -> Connection:
    from tradewind.hooks.process_logging import keep_process_logging

    with keep_process_logging():
        from tradewind.hooks.airflow_connections import parse_connection
    return parse_connection("tradewind_default", text)


def _airflow_options(home: Home, port: int) -> Mapping[str, object]:
    """Airflow's options, as ``SECTION__OPTION``."""
    return {**_place_options(home, port), **_safety_options(home), **_LATENCY_OPTIONS}


def _place_options(home: Home, port: int) -> dict[str, object]:
    url = f"http://127.0.0.1:{port}"
    return {
        "CORE__DAGS_FOLDER": home.project / "dags",
        "CORE__PLUGINS_FOLDER": home.project / "plugins",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home.airflow / 'airflow.db'}",
        "LOGGING__BASE_LOG_FOLDER": home.airflow / "logs",
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": home.airflow / "logs" / "dag_processor",
        "LOGGING__COLORED_CONSOLE_LOG": False,
        "API__HOST": "127.0.0.1",
        "API__PORT": port,
        "API__BASE_URL": url,
        "API__INSTANCE_NAME": "Tradewind",
    }


def _safety_options(home: Home) -> dict[str, object]:
    keys = home.secrets()
    return {
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": home.passwords,
        "CORE__FERNET_KEY": keys["fernet"],
        "API__SECRET_KEY": keys["api"],
        "API_AUTH__JWT_SECRET": keys["jwt"],
        # A killed task is noticed after half a minute; Airflow's own default is five.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 30,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 5,
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 15,
        "WORKERS__EXECUTION_API_TIMEOUT": 30,
        "SCHEDULER__TASK_QUEUED_TIMEOUT": 120,
        "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": 30,
        # A cold task would import everything again: warm tasks need the executor to fork.
        "SCHEDULER__MP_START_METHOD": "fork",
        "CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER": False,
    }


# Chosen for a short way from one task to the next on two cores.
_LATENCY_OPTIONS: dict[str, object] = {
    "CORE__PARALLELISM": 3,
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": 5,
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.1,
    "DAG_PROCESSOR__PARSING_PROCESSES": 1,
    "DAG_PROCESSOR__REFRESH_INTERVAL": 15,
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 30,
    "TRIGGERER__JOB_HEARTBEAT_SEC": 1,
}
