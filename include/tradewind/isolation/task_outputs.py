"""What a task makes of labels and of a model's answers: which are right, and the shapes that metrics want.

Classes of a multi-class label are text: booleans and integers are spelled as SQL spells them. Their order is that of
the text, so it depends on nothing but the classes themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradewind.errors import ModelError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from tradewind.metrics.metric import Task

    Array = NDArray[Any]

TOLERANCE = 1e-3
"""How far the probabilities of a row may be from 1 together: models that count in float32 are not exact."""


def task_labels(column: pa.ChunkedArray, task: Task, name: str) -> Array:
    """Labels of a task, shape (rows,): int64 0 or 1 (binary), text (multiclass) or float64 (regression).

    :param column: values without NULL: booleans or integers 0 and 1; text, booleans or integers; numbers
    :param name: how messages call the column
    :raises ModelError: there are other values; names one of them
    """
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count:
        raise ModelError(f"label {name} is NULL in {column.null_count} rows; leave rows without a label out")
    return {"binary": _binary_labels, "multiclass": _multiclass_labels, "regression": _regression_labels}[task](
        column, name
    )


def _binary_labels(column: pa.ChunkedArray, name: str) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_boolean(column.type) or pa.types.is_integer(column.type)):
        raise ModelError(
            f"label {name} is {column.type}; where `train.task` is binary it is a boolean, or an integer that is 0 or 1"
        )
    values = column.cast(pa.int64(), safe=False)
    wrong = values.filter(pc.invert(pc.is_in(values, pa.array([0, 1]))))
    if len(wrong):
        raise ModelError(
            f"label {name} has values beside 0 and 1, for example {wrong[0]}; a label of more classes needs "
            "`train.task: multiclass`, a number `regression`"
        )
    found: Array = values.to_numpy()
    return found


def _multiclass_labels(column: pa.ChunkedArray, name: str) -> Array:
    import pyarrow as pa

    of, types = column.type, pa.types
    text = types.is_string(of) or types.is_large_string(of) or types.is_string_view(of)
    if not (text or types.is_boolean(of) or types.is_integer(of)):
        raise ModelError(
            f"label {name} is {of}, for example {_example_value(column)}; where `train.task` is multiclass it is text, "
            "a boolean or an integer: turn it into text in SQL, or set `train.task: regression`"
        )
    found: Array = column.cast(pa.string()).to_numpy()
    return found.astype(object)


def _regression_labels(column: pa.ChunkedArray, name: str) -> Array:
    import numpy as np
    import pyarrow as pa

    of, types = column.type, pa.types
    if not (types.is_integer(of) or types.is_floating(of) or types.is_decimal(of)):
        raise ModelError(
            f"label {name} is {of}, for example {_example_value(column)}; where `train.task` is regression it is a "
            "number"
        )
    found: Array = column.cast(pa.float64(), safe=False).to_numpy()
    if not (finite := np.isfinite(found)).all():
        raise ModelError(
            f"label {name} is not finite in {(~finite).sum()} rows, for example {found[~finite][0]}; make it NULL in "
            "SQL where it is not known"
        )
    return found


def _example_value(column: pa.ChunkedArray) -> str:
    return repr(column[0].as_py()) if len(column) else "nothing"


def predict_output(model: Any, frame: pd.DataFrame, classes: Sequence[Any] | None) -> Array:
    """What a model answers, checked: float64 of shape (rows, classes), or (rows, 1) for a regressor.

    :param classes: its classes, for ``predict_proba``; None for a regressor, which is asked for ``predict``
    :raises ModelError: the answer has another shape, is not finite, or is not a probability
    """
    import numpy as np

    asked = "predict" if classes is None else "predict_proba"
    given = getattr(model, asked)(frame)
    try:
        answer = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ModelError(
            f"`{asked}` answers with {type(given).__name__}, which is not an array of numbers: {exc}"
        ) from exc
    if classes is None and answer.ndim == 1:
        answer = answer.reshape(-1, 1)
    wanted = (len(frame), len(classes) if classes is not None else 1)
    if answer.shape != wanted:
        raise ModelError(f"`{asked}` answers with the shape {answer.shape}, where {wanted} is right")
    _check_output(answer, asked)
    return answer if classes is None else answer.clip(0, 1)


def _check_output(answer: Array, asked: str) -> None:
    import numpy as np

    if not (finite := np.isfinite(answer).all(axis=1)).all():
        raise ModelError(
            f"`{asked}` answers with {answer[~finite][0].tolist()} in {(~finite).sum()} of {len(answer)} rows"
        )
    if asked == "predict":
        return
    if not len(answer):
        return
    off = (answer < -TOLERANCE).any(axis=1) | (np.abs(answer.sum(axis=1) - 1) > TOLERANCE)
    if off.any():
        raise ModelError(
            f"`{asked}` answers with {answer[off][0].tolist()} in {off.sum()} of {len(answer)} rows: probabilities "
            "lie between 0 and 1 and are 1 together"
        )


def model_classes(model: Any, task: Task) -> list[Any] | None:
    """Classes of a fitted model in the order of its answers; None for a regressor.

    :raises ModelError: it is not a model of this task
    """
    kind = type(model).__name__
    if task == "regression":
        if not hasattr(model, "predict"):
            raise ModelError(f"{kind} has no `predict`; where `train.task` is regression a regressor is needed")
        return None
    if not hasattr(model, "predict_proba"):
        raise ModelError(
            f"{kind} has no `predict_proba`; where `train.task` is {task} a classifier that has one is needed (some "
            "need an option for it; any can be wrapped in scikit-learn's CalibratedClassifierCV)"
        )
    if (classes := getattr(model, "classes_", None)) is None:
        raise ModelError(f"{kind} has no `classes_` after `fit`, so nobody can say what its probabilities are of")
    return plain_classes(classes)


def plain_classes(classes: Any) -> list[Any]:
    """Classes as Python's own values, which JSON can hold."""
    return [value.item() if hasattr(value, "item") else value for value in classes]


def metric_scores(
    task: Task, output: Array, classes: Sequence[Any] | None, *, order: Sequence[str] | None = None
) -> Array:
    """A model's answers as metrics want them.

    :param output: shape (rows, outputs), as :func:`predict_output` gives it
    :param classes: of the model, in the order of the columns
    :param order: for ``multiclass``, the classes of the result; one that the model does not know has probability 0
    :return: probability of 1, shape (rows,); class probabilities, shape (rows, len(order)); or values, shape (rows,)
    :raises ModelError: the model has other classes than the task, or some that are not in ``order``
    """
    import numpy as np

    check_classes(task, classes, "the model")
    known = list(classes or ())
    if task == "regression":
        return output[:, 0]
    if task == "binary":
        return output[:, [_class_name(value) for value in known].index("1")]
    if order is None or not set(known) <= set(order):
        raise ModelError(f"the model knows the classes {known}, and asked for are {list(order or ())}")
    columns = {name: output[:, place] for place, name in enumerate(known)}
    found = np.zeros((len(output), len(order)))
    for number, name in enumerate(order):
        found[:, number] = columns.get(name, 0.0)
    return found


def check_classes(task: Task, classes: Sequence[Any] | None, name: str) -> None:
    """See that a model is one of the task.

    :param classes: of the model; None for a regressor
    :raises ModelError: it is not
    """
    known = list(classes or ())
    right = {
        "binary": sorted(_class_name(value) for value in known) == ["0", "1"],
        "multiclass": classes is not None and all(isinstance(value, str) for value in known),
        "regression": classes is None,
    }
    if not right[task]:
        of = "predicts numbers" if classes is None else f"knows the classes {known}"
        raise ModelError(f"{name} {of}: that is no model for `train.task: {task}`; train and promote one that is")


def _class_name(value: Any) -> str:
    """One class as text; of two classes `False` and `True`, like 0.0 and 1.0, are other spellings of 0 and 1."""
    whole = isinstance(value, bool | int) or (isinstance(value, float) and value.is_integer())
    return str(int(value)) if whole else str(value)


def class_order(*classes: Sequence[str] | None) -> list[str]:
    """All the classes that some models of several classes know, in the one order; else an empty list."""
    return sorted({value for known in classes for value in known or () if isinstance(value, str)})


def class_codes(names: Array, order: Sequence[str]) -> Array:
    """Number of each label's class in ``order``, int64, shape (rows,); -1 for a class that is not in it."""
    import numpy as np

    numbers = {name: number for number, name in enumerate(order)}
    return np.fromiter((numbers.get(name, -1) for name in names), np.int64, len(names))


def metric_targets(task: Task, values: Array, order: Sequence[str]) -> Array:
    """Labels as metrics want them: the numbers of their classes where there are several, else as they are."""
    return class_codes(values, order) if task == "multiclass" else values


def majority_answer(task: Task, values: Array) -> Mapping[str, Any]:
    """What a model that knows only the labels of training would predict; JSON can hold it.

    :param values: labels as :func:`task_labels` gives them, at least one
    :return: ``classes`` (0 and 1, or text) with their ``shares``; or ``mean``
    """
    import numpy as np

    if task == "regression":
        return {"mean": float(values.mean())}
    if task == "binary":
        positive = float(values.mean())
        return {"classes": [0, 1], "shares": [1 - positive, positive]}
    names, counts = np.unique(values, return_counts=True)
    return {"classes": names.tolist(), "shares": (counts / len(values)).tolist()}


def majority_output(majority: Mapping[str, Any], rows: int) -> tuple[Array, list[Any] | None]:
    """What :func:`majority_answer` predicts for so many rows, as a model would: its answers and classes."""
    import numpy as np

    values = [majority["mean"]] if "mean" in majority else majority["shares"]
    return np.tile(np.asarray(values, dtype=np.float64), (rows, 1)), majority.get("classes")


def majority_scores(majority: Mapping[str, Any], rows: int, order: Sequence[str] | None = None) -> Array:
    """What :func:`majority_answer` predicts for so many rows, as metrics want it; see :func:`metric_scores`."""
    output, classes = majority_output(majority, rows)
    task: Task = "regression" if classes is None else "binary" if classes == [0, 1] else "multiclass"
    return metric_scores(task, output, classes, order=order)
