"""User code looked at in a process of its own: what it prints, changes or crashes does not touch the validation."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import tradewind
from tradewind.validation.user_code import Answer, look

_TIMEOUT = 300.0
# This very package, also where another one is installed.
_MAIN = (
    "import sys; sys.path.insert(0, sys.argv.pop()); "
    "from tradewind.validation.alone import main; del sys.path[0]; main()"
)


class Alone:
    """Looks at user code while the caller goes on.

    :param requests: see :func:`tradewind.validation.user_code.look`; one process takes them one after another
    """

    def __init__(self, requests: Sequence[Mapping[str, Any]]) -> None:
        self._requests = list(requests)
        self._started = _start(self._requests) if self._requests else None

    def answers(self) -> list[Answer]:
        """One for each request, in order. Waits for the process; code that ends it is told in the answer."""
        found: list[Answer] = []
        process = self._started
        while process is not None:
            answered, end = _finish(process)
            found += answered
            if len(found) < len(self._requests):
                found.append({"error": {"message": end}})
            rest = self._requests[len(found) :]
            process = _start(rest) if rest else None
        return found


class Here:
    """As :class:`Alone`, in the caller's process and when it asks."""

    def __init__(self, requests: Sequence[Mapping[str, Any]]) -> None:
        self._requests = requests

    def answers(self) -> list[Answer]:
        """One for each request, in order."""
        return [look(request) for request in self._requests]


_Process = tuple[subprocess.Popen[bytes], IO[bytes]]


def _start(requests: Sequence[Mapping[str, Any]]) -> _Process:
    said = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the process has ended
    # -P: as on a worker, what lies in the working directory is not found.
    command = [sys.executable, "-P", "-W", "ignore", "-c", _MAIN, str(Path(tradewind.__file__).parents[1])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
    assert process.stdin is not None
    # Parameters of a model are what YAML makes of them: dates too, which JSON does not know.
    process.stdin.write(pickle.dumps(list(requests)))
    process.stdin.close()
    process.stdin = None
    return process, said


def _finish(started: _Process) -> tuple[list[Answer], str]:
    """The answers that came, and how the process ended, in words."""
    process, said = started
    with said:
        try:
            out, _ = process.communicate(timeout=_TIMEOUT)
            end = f"the code ended its process with exit code {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            end = f"the code did not come to an end within {_TIMEOUT:g} s"
        said.seek(0)
        last = said.read().decode(errors="replace").strip().splitlines()[-1:]
    return [json.loads(line) for line in out.splitlines()], ": ".join([end, *last])


def main() -> None:
    """Read the requests from standard input and write an answer a line to standard output."""
    requests = pickle.loads(sys.stdin.buffer.read())
    # What the code prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for request in requests:
        print(json.dumps(look(request)), file=answers, flush=True)
