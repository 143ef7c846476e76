"""The estimator itself: built by the project's function, seeded, fitted, and written in MLflow's form."""

from __future__ import annotations

import copy
import json
import random
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.errors import ModelError
from tradewind.isolation import task_outputs
from tradewind.isolation.thread_limits import limit_threads
from tradewind.training.requirements import exact_requirements

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa
    from mlflow.models import Model, ModelSignature

    from tradewind.isolation.project_code import ProjectCode
    from tradewind.spec.training import Train
    from tradewind.training.model_frame import ModelFrame


def fit_estimator(
    build_model: Callable[..., Any],
    train: Train,
    rows: ModelFrame,
    *,
    name: str,
    params: Mapping[str, Any] | None = None,
) -> Any:
    """Build, seed and fit the estimator.

    The global generators of Python, numpy and torch are seeded too: forked tasks share their parent's state.

    :param name: how messages call the model function
    :param params: handed to it; those of the YAML if None
    :raises ModelError: the function or the fit fails, or the result is not a model of the task
    """
    _seed_generators(train.seed)
    try:
        # A copy of its own: what the function does to lists in it is no part of what is recorded.
        estimator = build_model(copy.deepcopy(dict(train.params if params is None else params)))
        if isinstance(estimator, type) or not hasattr(estimator, "fit"):
            kind = f"the class {estimator.__name__}" if isinstance(estimator, type) else type(estimator).__name__
            raise ModelError(f"model {name} returns {kind}, where an estimator with `fit` is needed")
        _seed_estimator(estimator, train.seed)
        with limit_threads(fitting=True):
            result = estimator.fit(rows.inputs().to_pandas(), rows.labels())
    except ModelError:
        raise
    except Exception as exc:
        raise ModelError(
            f"model {name} cannot be fitted on {rows.table.num_rows} rows: {type(exc).__name__}: {exc}"
        ) from exc
    # By convention `fit` returns the estimator; some return nothing, some another object that predicts.
    asked = "predict" if train.task == "regression" else "predict_proba"
    fitted = result if hasattr(result, asked) else estimator
    _check_classes(fitted, rows, name)
    return fitted


def predict_rows(fitted: Any, rows: ModelFrame, *, name: str = "") -> tuple[npt.NDArray[Any], list[Any] | None]:
    """What the model predicts, float64 of shape (rows, outputs), and its classes; None for a regressor.

    :param name: how messages call the model
    :raises ModelError: it fails, or its answer is not what the task needs
    """
    name = name or type(fitted).__name__
    try:
        classes = task_outputs.model_classes(fitted, rows.task)
        with limit_threads():
            return task_outputs.predict_output(fitted, rows.inputs().to_pandas(), classes), classes
    except ModelError as exc:
        raise ModelError(f"model {name}: {exc}") from exc
    except Exception as exc:
        raise ModelError(
            f"model {name} cannot predict {rows.table.num_rows} rows: {type(exc).__name__}: {exc}"
        ) from exc


def make_model_writer(fitted: Any, train: Train, code: ProjectCode, example: pa.Table) -> Callable[[Path, Model], None]:
    """What writes the model as MLflow wants it, with its code, signature, example and exact requirements.

    :param example: some rows of model input
    :raises ModelError: the model holds types that the YAML does not trust
    """
    classes = task_outputs.model_classes(fitted, train.task)
    if train.serialization == "skops":
        _check_trusted(fitted, train)
    # Now, while the project's code is imported.
    required = exact_requirements(code)

    def save(folder: Path, described: Model) -> None:
        import mlflow.sklearn
        from mlflow.exceptions import MlflowException

        try:
            mlflow.sklearn.save_model(
                fitted,
                str(folder),
                mlflow_model=described,
                code_paths=[str(code.folder)],
                serialization_format=train.serialization,
                skops_trusted_types=list(train.trusted),
                signature=infer_model_signature(example, classes=None if classes is None else len(classes)),
                input_example=example.to_pandas(),
                pip_requirements=required,
                pyfunc_predict_fn="predict" if classes is None else "predict_proba",
            )
        except MlflowException:
            raise
        except Exception as exc:
            raise ModelError(
                f"model {train.model} cannot be stored as {train.serialization}: {type(exc).__name__}: {exc}"
            ) from exc
        _check_signature(folder, example, train)

    return save


def infer_model_signature(example: pa.Table, *, classes: int | None) -> ModelSignature:
    """What the model takes and gives; every input may be missing.

    :param classes: how many there are; None for a regressor
    """
    import numpy as np
    import pyarrow as pa
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    kinds = {pa.float64(): "double", pa.string(): "string", pa.timestamp("us"): "datetime"}
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(kinds[field.type], field.name, required=False) for field in example.schema
    ]
    shape = (-1,) if classes is None else (-1, classes)
    return ModelSignature(Schema(inputs), Schema([TensorSpec(np.dtype("float64"), shape)]))


def _seed_generators(seed: int) -> None:
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)


def _seed_estimator(estimator: Any, seed: int) -> None:
    """Set every ``random_state`` that the project's code left open, also of nested estimators."""
    if not hasattr(estimator, "get_params"):
        return
    try:
        params = estimator.get_params(deep=True)
    except TypeError:
        # Not scikit-learn's own: it knows no nested parameters.
        params = estimator.get_params()
    unset = {name: seed for name, value in params.items() if _is_seed_parameter(name) and value is None}
    if unset:
        estimator.set_params(**unset)


def _is_seed_parameter(name: str) -> bool:
    return name.rpartition("__")[2] in ("random_state", "random_seed")


def _check_classes(fitted: Any, rows: ModelFrame, name: str) -> None:
    try:
        classes = task_outputs.model_classes(fitted, rows.task)
    except ModelError as exc:
        raise ModelError(f"model {name}: {exc}") from exc
    if classes is None:
        return
    known = {0, 1} if rows.task == "binary" else set(rows.labels())
    if strange := [value for value in classes if value not in known]:
        raise ModelError(
            f"model {name}: its `classes_` have {strange[0]!r}, which is not a class of the label; an estimator that "
            "numbers classes by itself must give their names back in `classes_`"
        )


def _check_signature(folder: Path, example: pa.Table, train: Train) -> None:
    """MLflow leaves a signature out where it cannot tell a type, and says so only in a warning."""
    import yaml

    said = (yaml.safe_load((folder / "MLmodel").read_text()).get("signature") or {}).get("inputs")
    columns = [column.get("name") for column in json.loads(said)] if said else []
    if columns != example.schema.names:
        raise ModelError(
            f"model {train.model} was stored without its signature: MLflow's file says the columns "
            f"{', '.join(map(str, columns)) or 'nothing'}, and they are {', '.join(example.schema.names)}"
        )


def untrusted_types(fitted: Any, train: Train) -> list[str]:
    """All types in the model that skops does not load by itself and `train.trusted` does not name, sorted.

    :raises ModelError: skops cannot store it
    """
    # When it is imported, skops asks every module that is there for hundreds of names; Airflow's warn of each.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"skops\.io\.")
        import skops.io

    try:
        stored = skops.io.dumps(fitted)
    except Exception as exc:
        raise ModelError(
            f"model {train.model} cannot be stored with skops: {type(exc).__name__}: {exc}. Change the model, or set "
            "`train.serialization: pickle`, which runs code when it is loaded"
        ) from exc
    return sorted(set(skops.io.get_untrusted_types(data=stored)) - set(train.trusted))


def _check_trusted(fitted: Any, train: Train) -> None:
    if unknown := untrusted_types(fitted, train):
        raise ModelError(
            f"model {train.model} holds types that nobody has said to trust: {', '.join(unknown)}. "
            "If loading them is safe, add them to `train.trusted`"
        )
