"""Airflow's REST API as far as the commands use it, on a port of its own: for tests at the boundary."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeAirflow:
    """Remembers what it was asked.

    :ivar runs: DAG runs, as the API gives them
    :ivar started: ``(DAG, partition key)`` of the runs that were started, in order
    :ivar paused: DAGs that are paused
    :ivar failed_tasks: names of the failed tasks of a DAG's runs
    :ivar fate: state of the runs that are started
    :ivar broken_after: after so many starts every other one is answered with 500; None: never
    :ivar failing: one for each of the next starts that is answered with 500; whether the run is there all the same
    """

    def __init__(self, dags: list[str]) -> None:
        self.dags = dags
        self.runs: list[dict[str, Any]] = []
        self.started: list[tuple[str, str]] = []
        self.paused: list[str] = []
        self.failing: list[bool] = []
        self.broken_after: int | None = None
        self.failed_tasks: dict[str, list[str]] = {}
        self.fate = "queued"
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def end(self, state: str = "success") -> None:
        """Every run has ended."""
        for run in self.runs:
            run["state"] = state

    def get(self, path: str, asked: dict[str, list[str]]) -> tuple[int, Any]:
        if path == "/api/v2/dags":
            found = [dag for dag in self.dags if asked.get("paused") != ["true"] or dag in self.paused]
            return 200, {"dags": [{"dag_id": dag} for dag in found], "total_entries": len(found)}
        if path.endswith("/taskInstances"):
            found = [{"task_id": name, "try_number": 1} for name in self.failed_tasks.get(path.split("/")[4], [])]
            return 200, {"task_instances": found, "total_entries": len(found)}
        if path == "/api/v2/dags/~/dagRuns":
            found = [run for run in self.runs if not asked.get("state") or run["state"] in asked["state"]]
            if prefix := asked.get("partition_key_prefix_pattern"):
                found = [run for run in found if run["partition_key"].startswith(prefix[0])]
            return 200, {"dag_runs": found, "total_entries": len(found)}
        return 404, {"detail": path}

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/auth/token":
            good = body == {"username": "ann", "password": "secret"}
            return (201, {"access_token": "t"}) if good else (401, {"detail": "no"})
        dag = path.split("/")[4]
        with self._lock:
            if dag not in self.dags:
                return 404, {"detail": f"no DAG {dag}"}
            if any(run["dag_id"] == dag and run["dag_run_id"] == body["dag_run_id"] for run in self.runs):
                return 409, {"detail": "there is such a run"}
            if self.broken_after is not None and len(self.started) >= self.broken_after:
                return 500, {"detail": "database is locked"}
            fails = bool(self.failing)
            if fails and not self.failing.pop(0):
                return 500, {"detail": "database is locked"}
            key = body["partition_key"]
            self.started.append((dag, key))
            run = {"dag_id": dag, "dag_run_id": body["dag_run_id"], "partition_key": key, "state": self.fate}
            run |= {"run_after": body.get("run_after"), "conf": body["conf"]}
            self.runs.append({**run, "queued_at": f"{len(self.runs):06}"})
            return (500, {"detail": "database is locked"}) if fails else (200, run)

    def patch(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        dag, pause = path.split("/")[4], body["is_paused"]
        self.paused = [*(one for one in self.paused if one != dag), *([dag] if pause else [])]
        return 200, {}

    def _handler(fake) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                self._answer(fake.get, url.path, parse_qs(url.query))

            def do_POST(self) -> None:
                self._answer(fake.post, self.path, self._body())

            def do_PATCH(self) -> None:
                self._answer(fake.patch, self.path, self._body())

            def _body(self) -> Any:
                return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

            def _answer(self, answer: Any, path: str, given: Any) -> None:
                known = path == "/auth/token" or self.headers["Authorization"] == "Bearer t"
                code, content = answer(path, given) if known else (401, {"detail": "who are you"})
                body = json.dumps(content).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
