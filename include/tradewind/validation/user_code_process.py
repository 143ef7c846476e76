"""User code looked at in a process of its own: what it prints, changes or crashes does not touch the validation."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

import tradewind
from tradewind.validation.user_code import Answer, run_user_code

_TIMEOUT = 300.0
_TRIAL = 60.0
"""Seconds for one answer; a trial on made-up rows is not a training."""
_TRIED = ("trial", "rule")
_MEMORY = 4 * 2**30
_DEPLOYMENT = ("AIRFLOW", "TRADEWIND_HOME", "MLFLOW", "FEAST", "AWS_", "AZURE_", "GOOGLE_")
# This very package, also where another one is installed.
_MAIN = (
    "import sys; sys.path.insert(0, sys.argv.pop()); "
    "from tradewind.validation.user_code_process import main; del sys.path[0]; main()"
)


class UserCodeProcess:
    """Looks at user code while the caller goes on.

    :param requests: see :func:`tradewind.validation.user_code.run_user_code`; one process takes them one after another
    """

    def __init__(self, requests: Sequence[Mapping[str, Any]]) -> None:
        self._requests = list(requests)
        self._started = _start_process(self._requests) if self._requests else None

    def answers(self) -> list[Answer]:
        """One for each request, in order. Waits for the process; code that ends it is told in the answer."""
        found: list[Answer] = []
        process = self._started
        while process is not None:
            asked = self._requests[len(found) :]
            answered, end, late = _collect_answers(process, asked)
            found += answered
            if len(found) < len(self._requests):
                tried = asked[len(answered)]["kind"] in _TRIED
                found.append({"error": {"message": end}, **({"certain": False} if late and tried else {})})
            rest = self._requests[len(found) :]
            process = _start_process(rest) if rest else None
        return found


class UserCodeInProcess:
    """As :class:`UserCodeProcess`, in the caller's process and when it asks."""

    def __init__(self, requests: Sequence[Mapping[str, Any]]) -> None:
        self._requests = requests

    def answers(self) -> list[Answer]:
        """One for each request, in order."""
        return [run_user_code(request) for request in self._requests]


@dataclass(frozen=True, slots=True)
class _Process:
    running: subprocess.Popen[bytes]
    said: IO[bytes]
    scratch: tempfile.TemporaryDirectory[str]


def _start_process(requests: Sequence[Mapping[str, Any]]) -> _Process:
    said = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the process has ended
    # -P: as on a worker, what lies in the working directory is not found.
    command = [sys.executable, "-P", "-W", "ignore", "-c", _MAIN, str(Path(tradewind.__file__).parents[1])]
    pipe, scratch = subprocess.PIPE, tempfile.TemporaryDirectory(prefix="tradewind-validate-")
    # Code that is fitted is run for good: it finds no deployment to write to, and what it writes beside it goes away.
    tried = all(request["kind"] in _TRIED for request in requests)
    apart: dict[str, Any] = {"cwd": scratch.name, "env": _without_deployment(scratch.name)} if tried else {}
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=said, **apart)
    assert process.stdin is not None
    # Parameters of a model are what YAML makes of them: dates too, which JSON does not know.
    process.stdin.write(pickle.dumps(list(requests)))
    process.stdin.close()
    process.stdin = None
    return _Process(process, said, scratch)


def _without_deployment(scratch: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_DEPLOYMENT)}
    return {**kept, "MLFLOW_TRACKING_URI": f"sqlite:///{scratch}/mlflow.db", "OMP_NUM_THREADS": "1"}


def _collect_answers(started: _Process, requests: Sequence[Mapping[str, Any]]) -> tuple[list[Answer], str, bool]:
    """The answers that came, how the process ended, in words, and whether it was out of time."""
    process, lines, late = started.running, Queue[bytes](), None
    assert process.stdout is not None
    # A thread, so that each answer has a time of its own.
    reader = Thread(target=_read_lines, args=(process.stdout, lines), daemon=True)
    reader.start()
    found: list[Answer] = []
    with started.scratch, started.said as said:
        for request in requests:
            limit = _TRIAL if request["kind"] in (*_TRIED, "metric") else _TIMEOUT
            try:
                line = lines.get(timeout=limit)
            except Empty:
                process.kill()
                late = limit
                break
            if not line:
                break
            found.append(json.loads(line))
        process.wait()
        reader.join()
        process.stdout.close()
        end = f"the code ended its process with exit code {process.returncode}"
        if late is not None:
            end = f"the code did not come to an end within {late:g} s"
        said.seek(0)
        last = said.read().decode(errors="replace").strip().splitlines()[-1:]
    return found, ": ".join([end, *last]), late is not None


def _read_lines(stream: IO[bytes], lines: Queue[bytes]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(b"")


def main() -> None:
    """Read the requests from standard input and write an answer a line to standard output."""
    requests = pickle.loads(sys.stdin.buffer.read())
    if all(request["kind"] in _TRIED for request in requests):
        _bound_memory()
    # What the code prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for request in requests:
        print(json.dumps(run_user_code(request)), file=answers, flush=True)


def _bound_memory() -> None:
    """A model that takes more than this for some rows ends, and not the machine."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    bound = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
