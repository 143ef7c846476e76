"""Heuristics: rules of the project that a candidate is compared with, each in a process of its own.

A rule gets the test rows as a pandas frame without the label, and nothing else: it can neither see nor change how the
rows turned out, nor what others are given. It answers as a model would: probabilities of 1 (binary); the name of a
class for each row, or a frame with one column of probabilities a class (multiclass); numbers (regression).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tradewind
from tradewind.errors import ModelError
from tradewind.isolation.project_code import import_project_code, locate_project_code

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from tradewind.metrics.metric import Task

_START = (
    "import sys; sys.path.insert(0, sys.argv.pop()); "
    "from tradewind.isolation.heuristic_process import main; del sys.path[0]; main()"
)
_ONLY = "answer"


class HeuristicProcess(AbstractContextManager["HeuristicProcess"]):
    """A rule in a process of its own, which starts at once and is asked once.

    :param reference: ``file.py:function``, from the project root
    :param timeout: seconds that its answer may take
    """

    def __init__(self, reference: str, project: Path, *, timeout: float = 300.0) -> None:
        self.reference = reference
        self._project, self._timeout = project, timeout
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        root = Path(tradewind.__path__[0]).parent
        command = [sys.executable, "-I", "-c", _START, self.reference, str(self._project), str(root)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def answer(self, rows: pa.Table, task: Task) -> tuple[npt.NDArray[Any], list[Any] | None]:
        """What it says of each row, as a model would: float64 of shape (rows, outputs), and its classes.

        :param rows: the test rows without the label
        :raises ModelError: it fails, takes too long, or its answer does not match the task
        """
        import pyarrow as pa

        assert self._process is not None
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write(rows)
        try:
            said, wrote = self._process.communicate(sink.getvalue().to_pybytes(), timeout=self._timeout)
        except subprocess.TimeoutExpired:
            raise self._failed(f"gave no answer within {self._timeout:g} s and was stopped") from None
        if self._process.returncode:
            raise self._failed(f"failed: {wrote.decode(errors='replace').strip()[-500:] or 'its process died'}")
        try:
            return check_heuristic_answer(pa.ipc.open_stream(said).read_all(), rows.num_rows, task)
        except (ModelError, pa.ArrowInvalid) as exc:
            raise self._failed(str(exc)) from exc

    def _failed(self, what: str) -> ModelError:
        return ModelError(f"heuristic {self.reference} {what}")


def check_heuristic_answer(answer: pa.Table, rows: int, task: Task) -> tuple[npt.NDArray[Any], list[Any] | None]:
    """A rule's answer as a model's: float64 of shape (rows, outputs), and its classes; None for numbers.

    :param answer: as :func:`heuristic_answer_columns` gives it
    :raises ModelError: it does not match the task
    """
    import numpy as np
    import pyarrow as pa

    if answer.num_rows != rows:
        raise ModelError(f"answers {answer.num_rows} times for {rows} rows")
    if answer.column_names == [_ONLY] and pa.types.is_string(answer.schema.field(0).type):
        return _one_hot_classes(answer[_ONLY], task)
    values = np.column_stack([_numeric_values(answer[name], name) for name in answer.column_names])
    if task == "regression" and values.shape[1] == 1:
        return values, None
    if task == "binary" and values.shape[1] == 1:
        values, classes = np.column_stack([1 - values, values]), ["0", "1"]
    else:
        classes = answer.column_names
    if task == "regression" or len(classes) < 2 or (task == "binary" and sorted(classes) != ["0", "1"]):
        raise ModelError(f"answers with the columns {', '.join(answer.column_names)}, which is not a {task} answer")
    if (values < 0).any() or (np.abs(values.sum(axis=1) - 1) > 1e-6).any():
        raise ModelError("answers with something that is no probability: they lie between 0 and 1 and are 1 together")
    return values, list(classes)


def _one_hot_classes(answer: pa.ChunkedArray, task: Task) -> tuple[npt.NDArray[Any], list[Any]]:
    """Names of classes as probabilities 0 and 1."""
    import numpy as np

    if task != "multiclass":
        raise ModelError(f"answers with text, and the task is {task}: numbers are needed")
    if answer.null_count:
        raise ModelError(f"answers with no class for {answer.null_count} rows")
    classes, codes = np.unique(answer.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    return np.eye(len(classes))[codes], classes.tolist()


def _numeric_values(column: pa.ChunkedArray, name: str) -> npt.NDArray[Any]:
    import numpy as np
    import pyarrow as pa

    of = column.type
    if not (pa.types.is_integer(of) or pa.types.is_floating(of) or pa.types.is_boolean(of)):
        raise ModelError(f"answers with {of} in {name}, where numbers are needed")
    values: npt.NDArray[Any] = column.cast(pa.float64(), safe=False).to_numpy()
    if not np.isfinite(values).all():
        raise ModelError(f"answers with {(~np.isfinite(values)).sum()} values that are no finite numbers")
    return values


def main() -> None:
    """What the process of a rule runs: rows come by standard input, the answer goes by what was standard output."""
    reference, project = sys.argv[1:3]
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the rule prints is no answer
    import pyarrow as pa

    rows = pa.ipc.open_stream(sys.stdin.buffer).read_all()
    try:
        with import_project_code(locate_project_code(reference, Path(project))) as function:
            frame = rows.to_pandas(ignore_metadata=True)  # which could say that a column is the index
            table = pa.table(heuristic_answer_columns(function(frame), rows=rows.num_rows))
    except Exception as exc:
        sys.exit(f"{type(exc).__name__}: {exc}")
    with pa.ipc.new_stream(answer, table.schema) as writer:
        writer.write(table)
    answer.close()


def heuristic_answer_columns(said: Any, *, rows: int) -> Mapping[str, Any]:
    """A rule's answer as columns: one a class, or the only one.

    :param rows: how many it was given
    :raises ModelError: its answer may be in another order than the rows, or names a class twice
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    if isinstance(said, pd.Series | pd.DataFrame) and len(said) == rows and not said.index.equals(pd.RangeIndex(rows)):
        raise ModelError(
            "answers with another index than that of the rows, so nobody can say which row each value is for; keep the "
            "index, or return an array in the order of the rows"
        )
    wide = isinstance(said, pd.DataFrame)
    frame = said if wide else pd.DataFrame(np.asarray(said))
    names = [str(name) for name in frame.columns] if wide and frame.shape[1] > 1 else None
    if names and len(set(names)) < len(names):
        raise ModelError(f"answers with a column twice: {', '.join(names)}")
    names = names or ([_ONLY] if frame.shape[1] == 1 else [str(place) for place in range(frame.shape[1])])
    return {name: pa.array(frame.iloc[:, place], from_pandas=True) for place, name in enumerate(names)}
