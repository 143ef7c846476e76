"""Metrics of the project: functions of labels and predictions, run in a process of their own.

A metric is called as ``function(y_true, y_pred)`` with NumPy arrays, as scikit-learn calls the functions that
``make_scorer`` takes, and returns a number. Its process is started at the first call and serves all further ones; it
ends with the object. A call that takes longer than the time limit ends the process.
"""

from __future__ import annotations

import importlib
import io
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

import tradewind
from tradewind.errors import MetricError, ModelError
from tradewind.isolation.project_code import find_package_folder, locate_project_code, mount_package
from tradewind.metrics.metric import ModelMetric, valid_predictions
from tradewind.metrics.metric_list import METRICS
from tradewind.spec.metrics import MetricDeclaration, is_project_metric

if TYPE_CHECKING:
    from tradewind.metrics.arrays import Floats
    from tradewind.metrics.metric import Statistic, Task

TIMEOUT = 300.0
"""Seconds that one value, or all resamples of an interval, may take."""

_START = (
    "import sys; sys.path.insert(0, sys.argv.pop()); "
    "from tradewind.isolation.project_metric import main; del sys.path[0]; main()"
)


@dataclass(frozen=True, kw_only=True)
class ProjectMetric(ModelMetric):
    """A metric that is a function of the project.

    :param process: runs the function
    """

    process: MetricProcess

    def usable_rows(self, score: Floats) -> Floats:
        """Numbers are finite; what is predicted of classes is a probability."""
        return valid_predictions(score, probabilities="regression" not in self.tasks)

    def value_of_rows(self, y: Floats, score: Floats, *, weights: Floats | None) -> float:
        """What the function returns; NaN where it returns NaN.

        :raises MetricError: it fails, takes too long, or returns something else than a finite number or NaN
        :raises ValueError: weights are given, which the function does not know
        """
        if weights is not None:
            raise ValueError(f"metric {self.name} takes no weights")
        return self.process.values(y=self._labels(y), score=score)[0]

    def value_of_draws(self, y: Floats, score: Floats, *, block: Floats, blocks: int) -> Statistic:
        """The function of the drawn rows, each as often as its block is drawn; NaN where it raises for them."""
        import numpy as np

        labels = self._labels(y)
        return lambda draws: np.array(
            self.process.values(y=labels, score=score, block=block, draws=draws.astype(np.int64))
        )

    def _task_of(self, score: Floats) -> Task:
        if score.ndim == 2:
            return "multiclass"
        return "regression" if "regression" in self.tasks else "binary"

    def _labels(self, y: Floats) -> Floats:
        import numpy as np

        return y if "regression" in self.tasks else y.astype(np.int64)


def open_metric(
    name: str, declared: Mapping[str, MetricDeclaration], *, task: Task, project: Path, timeout: float = TIMEOUT
) -> ModelMetric:
    """A built-in metric, or one of the project, ready to be computed; no process is started yet.

    :param declared: `metrics` of the pipeline, in which a metric of the project stands
    :param project: the project root
    :raises MetricError: there is no such file in the project, or it lies in no folder of its own
    """
    if not is_project_metric(name):
        return METRICS[name]
    _require_file(name, project)
    return ProjectMetric(
        name,
        frozenset({task}),
        declared[name].greater_is_better,
        process=MetricProcess(name, project, timeout=timeout),
    )


def project_metric_causes(
    names: Iterable[str], declared: Mapping[str, MetricDeclaration], project: Path
) -> dict[str, dict[str, Any]]:
    """What the values of each metric of the project among ``names`` depend on, by its name; empty without one.

    That is its direction and the content hash of its code: all Python files of its package. Where the code is not
    there, the reason stands in place of the hash.
    """
    found = {}
    for name in sorted({name for name in names if is_project_metric(name)}):
        try:
            _require_file(name, project)
            code = locate_project_code(name, project).digest()
        except MetricError as exc:
            code = str(exc)
        found[name] = {"greater_is_better": declared[name].greater_is_better, "code": code}
    return found


def _require_file(name: str, project: Path) -> None:
    file = name.rpartition(":")[0]
    if not (project / file).is_file():
        raise MetricError(f"metric {name}: there is no file {file} in the project")
    try:
        find_package_folder(name)
    except ModelError as exc:
        raise MetricError(str(exc).replace("model ", "metric ", 1).replace("/model.py", "/metrics.py")) from exc


class MetricProcess:
    """The process of a metric.

    :param reference: ``file.py:function``, from the project root
    :param timeout: seconds that one answer may take
    """

    def __init__(self, reference: str, project: Path, *, timeout: float = TIMEOUT) -> None:
        self.reference = reference
        self._project, self._timeout = project, timeout
        self._running: _RunningProcess | None = None
        self._stop: weakref.finalize[..., MetricProcess] | None = None

    def values(self, **arrays: Floats) -> list[float]:
        """Ask for the value of rows, or for one a draw where there are draws.

        :param arrays: ``y``, ``score``, and for draws ``block`` and ``draws``
        :raises MetricError: the function fails, takes too long, or returns something else than a finite number or NaN
        """
        if self._running is None:
            self._running = _RunningProcess(self.reference, self._project)
            self._stop = weakref.finalize(self, self._running.stop)
        answers: Queue[bytes] = Queue()
        running = self._running
        # A thread, because a process that hangs does not read either.
        Thread(target=lambda: answers.put(running.exchange(arrays)), daemon=True).start()
        try:
            line = answers.get(timeout=self._timeout)
        except Empty:
            self._end()
            raise MetricError(
                f"metric {self.reference} gave no answer within {self._timeout:g} s and was stopped"
            ) from None
        if not line:
            raise MetricError(f"metric {self.reference} failed: {self._end() or 'its process died'}")
        answer = json.loads(line)
        if "error" in answer:
            raise MetricError(f"metric {self.reference} {answer['error']}")
        return [float(value) for value in answer["values"]]

    def _end(self) -> str:
        """Stop the process; the next call starts another.

        :return: the last that it wrote to standard error
        """
        running, self._running = self._running, None
        if self._stop is not None:
            self._stop()
        return running.last_words if running is not None else ""


class _RunningProcess:
    """A started process; knows nothing of the object that started it, so that this can be collected."""

    def __init__(self, reference: str, project: Path) -> None:
        root = Path(tradewind.__path__[0]).parent
        command = [sys.executable, "-I", "-c", _START, reference, str(project), str(root)]
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the process has ended
        # Sums depend on how many threads share them.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=self._errors,
            env=environment,
            start_new_session=True,
        )
        self.last_words = ""

    def exchange(self, arrays: Mapping[str, Floats]) -> bytes:
        """Send arrays and wait for the line of the answer; empty if the process has ended."""
        import numpy as np

        sink = io.BytesIO()
        np.savez(sink, allow_pickle=False, **arrays)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(sink.tell().to_bytes(8, "big") + sink.getvalue())
            self._process.stdin.flush()
            return self._process.stdout.readline()
        except (OSError, ValueError):  # it has ended, or was stopped meanwhile
            return b""

    def stop(self) -> None:
        """Kill the process and what it started, and wait for its end."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._errors.seek(0)
        self.last_words = self._errors.read().decode(errors="replace").strip()[-500:]
        self._errors.close()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):  # what was not written any more
                    stream.close()


def main() -> None:
    """What the process of a metric runs: arrays come by standard input, answers go by what was standard output."""
    reference, project = sys.argv[1:3]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the function prints is no answer
    import numpy as np

    code = locate_project_code(reference, Path(project))
    with mount_package(code.package, code.folder):
        function, error = _import_function(code.module, code.function, Path(project))
        while size := sys.stdin.buffer.read(8):
            arrays = np.load(io.BytesIO(sys.stdin.buffer.read(int.from_bytes(size, "big"))), allow_pickle=False)
            answer = {"error": error} if function is None else _call_function(function, arrays, Path(project))
            print(json.dumps(answer), file=answers, flush=True)


def _import_function(module: str, name: str, project: Path) -> tuple[Callable[..., Any] | None, str]:
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as exc:
        return None, f"cannot be imported: {_describe_failure(exc, project)}"
    if not callable(found):
        return None, f"is not there: the file has no function {name}"
    return found, ""


def _call_function(function: Callable[..., Any], arrays: Mapping[str, Any], project: Path) -> dict[str, Any]:
    import numpy as np

    y, score = arrays["y"], arrays["score"]
    try:
        if "draws" not in arrays:
            return {"values": [checked_metric_value(function(y, score))]}
        order = np.argsort(arrays["block"], kind="stable")
        block, values = arrays["block"][order], []
        for draw in arrays["draws"]:
            taken = np.repeat(order, draw[block])
            values.append(_value_of_draw(function, y[taken], score[taken]))
        return {"values": values}
    except MetricError as exc:
        return {"error": str(exc)}
    except Exception as exc:
        return {"error": f"raises {_describe_failure(exc, project)}"}


def _value_of_draw(function: Callable[..., Any], y: Floats, score: Floats) -> float:
    """The value of drawn rows; NaN where the function raises, for example because all have one label."""
    try:
        value = function(y, score)
    except Exception:
        return math.nan
    return checked_metric_value(value)


def checked_metric_value(value: Any) -> float:
    """What a metric returned, as a float.

    :raises MetricError: it is not a number, or infinite
    """
    import numpy as np

    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        shown = f"the text {value!r}" if isinstance(value, str) else f"a {type(value).__name__}"
        raise MetricError(f"returns {shown if value is not None else 'None'}, where a number is needed")
    if math.isinf(value):
        raise MetricError(f"returns {float(value)}, where a finite number is needed")
    return float(value)


def _describe_failure(exc: BaseException, project: Path) -> str:
    """The error with the last line of the project that it went through."""
    frames = [
        frame for frame in traceback.extract_tb(exc.__traceback__) if Path(frame.filename).is_relative_to(project)
    ]
    line = frames[-1].lineno if frames else exc.lineno if isinstance(exc, SyntaxError) else None
    return f"{type(exc).__name__}: {exc}{f' (line {line})' if line is not None else ''}"
