"""Predictions as rows: which columns each task has, written from a model's answers and read back into them.

=============  =========================================================================================
binary         ``probability`` (double): of the label 1
multiclass     ``prediction`` (text): the class with the largest probability, of equal ones the first;
               ``probability`` (double): of that class; ``probabilities`` (text): of all, a JSON object
regression     ``prediction`` (double)
=============  =========================================================================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradewind.errors import UsageError
from tradewind.isolation import task_outputs
from tradewind.metrics.metric import Task
from tradewind.training.model_inputs import train_config

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.deployment import Deployment
    from tradewind.isolation.task_outputs import Array
    from tradewind.training.model_frame import ModelFrame

DATASET = "predictions"
BATCH_ROWS = 50_000
COLUMNS: Mapping[Task, tuple[str, ...]] = {
    "binary": ("probability",),
    "multiclass": ("prediction", "probability", "probabilities"),
    "regression": ("prediction",),
}
"""What each task predicts; the first is the one whose drift is watched."""


def prediction_batches(
    frame: ModelFrame,
    output: Array,
    classes: Sequence[Any] | None,
    lineage: Mapping[str, Any],
    *,
    pipeline: str,
    population: str,
) -> Iterator[pa.RecordBatch]:
    """Entities with what was predicted for them and where it came from, batch by batch.

    :param output: answers of one model for all rows of ``frame``, shape (rows, outputs)
    :param classes: of that model; None for a regressor
    :param lineage: what is the same for every row; ``model_version`` is among it
    """
    import pyarrow as pa

    kinds = {"scored_at": pa.timestamp("us", "UTC"), "in_sample": pa.bool_()}
    for begin in range(0, frame.table.num_rows, BATCH_ROWS):
        part = frame.table.slice(begin, BATCH_ROWS)
        keys = part[frame.key].combine_chunks()
        named = (pipeline, lineage["model_version"], population)
        constant = {
            name: pa.repeat(pa.scalar(value, kinds.get(name, pa.string())), part.num_rows)
            for name, value in lineage.items()
        }
        columns = {
            frame.key: keys,
            frame.timestamp: part[frame.timestamp].combine_chunks(),
            **prediction_columns(frame.task, output[begin : begin + BATCH_ROWS], classes),
            "prediction_id": pa.array([prediction_id(*named, key) for key in keys.to_pylist()], pa.string()),
            **constant,
        }
        yield pa.RecordBatch.from_pydict(columns)


def prediction_columns(task: Task, output: Array, classes: Sequence[Any] | None) -> dict[str, pa.Array]:
    """The columns of a task; see above.

    :param output: shape (rows, outputs)
    :param classes: in the order of its columns; None for a regressor
    :raises ModelError: the model is not one of this task
    """
    import numpy as np
    import pyarrow as pa

    known = task_outputs.class_order(classes) if task == "multiclass" else []
    found = task_outputs.metric_scores(task, output, classes, order=known)
    if task == "binary":
        return {"probability": pa.array(found, pa.float64())}
    if task == "regression":
        return {"prediction": pa.array(found, pa.float64())}
    best = np.argmax(found, axis=1)
    return {
        "prediction": pa.array(known, pa.string()).take(pa.array(best)),
        "probability": pa.array(found[np.arange(len(found)), best], pa.float64()),
        "probabilities": _probability_objects(found, known),
    }


def answers_from_columns(task: Task, rows: pa.Table) -> tuple[Array, list[Any] | None]:
    """What :func:`prediction_columns` wrote, as a model's answers: shape (rows, outputs), and classes of the columns.

    Of rows by several models the classes are all that one of them knows; the others give it probability 0.
    """
    import numpy as np

    if task == "binary":
        positive = rows["probability"].to_numpy()
        return np.column_stack([1 - positive, positive]), [0, 1]
    if task == "regression":
        return rows["prediction"].to_numpy().reshape(-1, 1), None
    said = json.loads(f"[{','.join(rows['probabilities'].to_pylist())}]")
    known = sorted({name for row in said for name in row})
    return np.array([[row.get(name, 0.0) for name in known] for row in said]).reshape(len(said), len(known)), known


def require_same_task(deployment: Deployment) -> None:
    """See that what was predicted before was of the task that the YAML states now.

    :raises UsageError: it was not: its table has no place for the predictions of a model that is trained now
    """
    spec = deployment.spec
    snapshot = deployment.lake.dataset(spec.pipeline, DATASET).snapshot()
    if snapshot is not None and (before := task_from_columns(snapshot.schema.names)) != (
        task := train_config(spec).task
    ):
        raise UsageError(
            f"pipeline {spec.pipeline}: its predictions are {before}, and `train.task` is {task}. A pipeline keeps its "
            "task: write the new one under another name"
        )


def task_from_columns(names: Iterable[str]) -> Task | None:
    """Whose predictions have these columns, among others."""
    found = {name for columns in COLUMNS.values() for name in columns} & set(names)
    return next((task for task, columns in COLUMNS.items() if set(columns) == found), None)


def prediction_id(pipeline: str, version: str, population: str, key: object) -> str:
    """Name of one prediction: 32 hex digits, the same whenever it is made again."""
    text = json.dumps([pipeline, version, population, str(key)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _probability_objects(probabilities: Array, names: Sequence[str]) -> pa.Array:
    """One JSON object a row. Arrow writes the shortest text that reads back as the same number."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    parts: list[Any] = []
    for number, name in enumerate(names):
        text = pc.cast(pa.array(np.ascontiguousarray(probabilities[:, number])), pa.string())
        parts += [f"{', ' if number else '{'}{json.dumps(name, ensure_ascii=False)}: ", text]
    return pc.binary_join_element_wise(*parts, "}", "")
