"""The few calls of Airflow's REST API that the replay and the commands need."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from tradewind.errors import Conflict, Unavailable

if TYPE_CHECKING:
    import httpx

ENDED_STATES = frozenset({"success", "failed"})
PATIENCE = 60.0
LONGEST_PAUSE = 8.0


@dataclass(frozen=True, slots=True)
class DagRun:
    """One DAG run.

    :param state: ``queued``, ``running``, ``success`` or ``failed``
    :param queued_at: when it was made or last cleared, as ISO text; sorts as text
    """

    dag_id: str
    run_id: str
    partition: str | None
    state: str
    queued_at: str

    @property
    def over(self) -> bool:
        """It has succeeded or failed."""
        return self.state in ENDED_STATES


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """A failed task of a run."""

    dag_id: str
    run_id: str
    task_id: str
    tries: int


class AirflowApi:
    """A client of one Airflow; requests are repeated while the server is busy.

    :param url: of the API server
    :param user: who asks for a token; not needed with ``token``
    :param password: of the user
    :param token: a token that was obtained elsewhere
    :param check: called before a request is repeated or given up; raises what is the matter, if it knows
    :param patience: seconds until it gives up
    """

    def __init__(
        self,
        url: str,
        *,
        user: str = "",
        password: str = "",
        token: str | None = None,
        check: Callable[[], None] = lambda: None,
        patience: float = PATIENCE,
    ) -> None:
        import httpx

        self.url = url.rstrip("/")
        self._check = check
        self._patience = patience
        self._login = {"username": user, "password": password}
        self._token = token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=self.url, timeout=30, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def dags(self) -> set[str]:
        """Ids of the DAGs that are parsed and have no import error."""
        return {dag["dag_id"] for dag in self._all("/api/v2/dags", "dags", {})}

    def paused(self) -> set[str]:
        """Ids of those of :meth:`dags` that are paused."""
        return {dag["dag_id"] for dag in self._all("/api/v2/dags", "dags", {"paused": True})}

    def import_errors(self) -> dict[str, str]:
        """Import errors by file name."""
        errors = self._all("/api/v2/importErrors", "import_errors", {})
        return {error["filename"]: error["stack_trace"] for error in errors}

    def unpause(self, dag_id: str) -> None:
        """Let the runs of a DAG start."""
        self._call("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Let no further run of a DAG start."""
        self._call("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": True})

    def start(
        self,
        dag_id: str,
        partition: str | None = None,
        *,
        conf: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        run_after: datetime | None = None,
    ) -> None:
        """Start a run of a DAG, with a partition key if the DAG is partitioned, and with what its form would say.

        :param run_id: name of the run; None for a new one. A request that is repeated, and then finds a run of this
            name, has started it
        :param run_after: not before this time (aware); of the queued runs of a DAG, the earliest is taken first
        :raises Conflict: there is a run of this name
        """
        body: dict[str, Any] = {"logical_date": None, "partition_key": partition, "conf": dict(conf or {})}
        # With a name of its own, a request that did start the run and is repeated makes a conflict and no second run.
        body["dag_run_id"] = run_id or "__".join(filter(None, ("api", partition, uuid4().hex[:12])))
        body |= {"run_after": run_after.isoformat()} if run_after else {}
        self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)

    def runs(
        self, *, partition: str | None = None, states: tuple[str, ...] = (), since: datetime | None = None
    ) -> list[DagRun]:
        """Runs of all DAGs, the one queued last comes last.

        :param partition: only runs with this partition key
        :param states: only runs in one of these states
        :param since: only runs of which anything has changed since this time (aware)
        """
        wanted: dict[str, Any] = {"state": list(states)} if states else {}
        if since is not None:
            wanted["updated_at_gte"] = since.isoformat()
        if partition is not None:
            wanted["partition_key_prefix_pattern"] = partition
        found = [
            DagRun(run["dag_id"], run["dag_run_id"], run["partition_key"], run["state"], run["queued_at"] or "")
            for run in self._all("/api/v2/dags/~/dagRuns", "dag_runs", wanted)
        ]
        return sorted((run for run in found if partition in (None, run.partition)), key=lambda run: run.queued_at)

    def failures(self, run: DagRun) -> list[TaskFailure]:
        """Failed tasks of a run, the first one first."""
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        tasks = self._all(path, "task_instances", {"state": ["failed"], "order_by": "end_date"})
        return [TaskFailure(run.dag_id, run.run_id, task["task_id"], task["try_number"]) for task in tasks]

    def log(self, failure: TaskFailure, *, lines: int = 20) -> str:
        """The last lines that the failed task logged."""
        path = f"/api/v2/dags/{failure.dag_id}/dagRuns/{failure.run_id}/taskInstances/{failure.task_id}"
        content = self._call("GET", f"{path}/logs/{failure.tries}", params={"full_content": True}).json()["content"]
        return "\n".join(_log_line_text(line) for line in content[-lines:])

    def link(self, failure: TaskFailure) -> str:
        """The failed task's page."""
        return f"{self.url}/dags/{failure.dag_id}/runs/{failure.run_id}/tasks/{failure.task_id}"

    def _all(self, path: str, name: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", path, params={**params, "limit": 100, "offset": len(found)}).json()
            found += page[name]
            if len(found) >= page["total_entries"] or not page[name]:
                return found

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        import httpx

        def once() -> httpx.Response:
            if "Authorization" not in self._client.headers:
                token = self._client.post("/auth/token", json=self._login).raise_for_status().json()["access_token"]
                self._client.headers["Authorization"] = f"Bearer {token}"
            response = self._client.request(method, path, **options)
            if response.status_code == httpx.codes.UNAUTHORIZED and self._token is None:
                del self._client.headers["Authorization"]
            return response.raise_for_status()

        return self._repeat(once, what=f"{method} {path}")

    def _repeat(self, call: Callable[[], httpx.Response], *, what: str) -> httpx.Response:
        """Make a call, which may be made more than once, until it is answered or patience ends."""
        import httpx

        end = time.monotonic() + self._patience
        for attempt in count():
            try:
                return call()
            except httpx.HTTPStatusError as exc:
                self._check()
                code, text = exc.response.status_code, exc.response.text[:500]
                if code == httpx.codes.CONFLICT and attempt:
                    return exc.response
                if code == httpx.codes.CONFLICT:
                    raise Conflict(f"Airflow at {self.url} answered {code} to {what}: {text}") from exc
                expired = code == httpx.codes.UNAUTHORIZED and self._token is None
                busy = expired or code >= httpx.codes.INTERNAL_SERVER_ERROR
                if not busy or time.monotonic() > end:
                    raise Unavailable(f"Airflow at {self.url} answered {code} to {what}: {text}") from exc
            except httpx.ConnectError as exc:
                self._check()
                if time.monotonic() > end:
                    raise Unavailable(f"Airflow at {self.url} cannot be reached ({what}): {exc}") from exc
            except httpx.TransportError as exc:
                self._check()
                if time.monotonic() > end:
                    raise Unavailable(f"Airflow at {self.url} did not answer {what}: {exc}") from exc
            time.sleep(min(0.5 * 2**attempt, LONGEST_PAUSE))
        raise AssertionError  # the loop ends by an answer or an error


def _log_line_text(line: Any) -> str:
    """One line of a log, which Airflow gives as text or as an object with the event and its fields."""
    if not isinstance(line, dict):
        return str(line)
    details = [f"{error.get('exc_type')}: {error.get('exc_value')}" for error in line.get("error_detail") or []]
    return " ".join([str(line.get("event", "")), *details])
