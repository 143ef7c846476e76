"""The environment of every process of the embedded Airflow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from tradewind.embedded.home import Home

# What the caller's shell says about another Airflow or MLflow is not meant for this one.
_FOREIGN = ("AIRFLOW", "_AIRFLOW", "MLFLOW", "_MLFLOW", "FEAST_")

_QUIET = {
    "DO_NOT_TRACK": "1",
    "SCARF_NO_ANALYTICS": "true",
    "SCARF_ANALYTICS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "FEAST_USAGE": "False",
    "GX_ANALYTICS_ENABLED": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def environment(home: Home, *, port: int, mlflow_port: int) -> dict[str, str]:
    """Environment variables of all processes: nothing outside ``home.root`` is written, nobody is phoned.

    :param port: where the API server listens
    :param mlflow_port: where MLflow's pages are, if they are shown
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    include = str(home.project / "include")
    path = os.pathsep.join(dict.fromkeys([include, *filter(None, kept.get("PYTHONPATH", "").split(os.pathsep))]))
    mlflow = {"tracking_uri": home.tracking_uri, "ui_url": f"http://127.0.0.1:{mlflow_port}"}
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
        "AIRFLOW_CONN_TRADEWIND_DEFAULT": json.dumps({"conn_type": "tradewind", "extra": home.places()}),
        "AIRFLOW_CONN_MLFLOW_DEFAULT": json.dumps({"conn_type": "mlflow", "extra": mlflow}),
        # Without a server MLflow would put artifacts below the working directory.
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(home.root / "mlflow" / "artifacts"),
    }
    options = {f"AIRFLOW__{name}": str(value) for name, value in _airflow(home, port).items()}
    return {**kept, **_QUIET, **own, **options}


def _airflow(home: Home, port: int) -> Mapping[str, object]:
    """Airflow's options, as ``SECTION__OPTION``."""
    return {**_places(home, port), **_safety(home), **_LATENCY}


def _places(home: Home, port: int) -> dict[str, object]:
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


def _safety(home: Home) -> dict[str, object]:
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
_LATENCY: dict[str, object] = {
    "CORE__PARALLELISM": 3,
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": 5,
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.1,
    "DAG_PROCESSOR__PARSING_PROCESSES": 1,
    "DAG_PROCESSOR__REFRESH_INTERVAL": 15,
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 30,
    "TRIGGERER__JOB_HEARTBEAT_SEC": 1,
}
