"""The estimator itself: built by the project's function, seeded, fitted, and written in MLflow's form."""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.errors import ModelError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa
    from mlflow.models import Model, ModelSignature

    from tradewind.models.code import ProjectCode
    from tradewind.models.frame import Frame
    from tradewind.spec.training import Train

_REQUIRED = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")


def fit(build_model: Callable[..., Any], train: Train, rows: Frame, *, name: str) -> Any:
    """Build, seed and fit the estimator.

    numpy's and Python's global generators are seeded too: forked tasks share their parent's state.

    :param name: how messages call the model function
    :raises ModelError: the function or the fit fails, or the result predicts no probabilities
    """
    import numpy as np

    random.seed(train.seed)
    np.random.seed(train.seed)
    try:
        estimator = build_model(dict(train.params))
        _seed(estimator, train.seed)
        fitted = estimator.fit(rows.inputs().to_pandas(), rows.labels())
    except Exception as exc:
        raise ModelError(
            f"model {name} cannot be fitted on {rows.table.num_rows} rows: {type(exc).__name__}: {exc}"
        ) from exc
    if not hasattr(fitted, "predict_proba"):
        raise ModelError(
            f"model {name}: {type(fitted).__name__} has no predict_proba; a classifier that has one is needed"
        )
    return fitted


def probability(fitted: Any, rows: Frame) -> npt.NDArray[Any]:
    """Probability of the label 1, float64, shape (rows,)."""
    result: npt.NDArray[Any] = fitted.predict_proba(rows.inputs().to_pandas())[:, 1]
    return result


def saver(fitted: Any, train: Train, code: ProjectCode, example: pa.Table) -> Callable[[Path, Model], None]:
    """What writes the model as MLflow wants it, with its code, signature, example and exact requirements.

    :param example: some rows of model input
    :raises ModelError: the model holds types that the YAML does not trust
    """
    if train.serialization == "skops":
        _check_trusted(fitted, train)

    def save(folder: Path, described: Model) -> None:
        import mlflow.sklearn

        mlflow.sklearn.save_model(
            fitted,
            str(folder),
            mlflow_model=described,
            code_paths=[str(code.folder)],
            serialization_format=train.serialization,
            skops_trusted_types=list(train.trusted),
            signature=signature(example, classes=len(fitted.classes_)),
            input_example=example.to_pandas(),
            pip_requirements=requirements(code),
            pyfunc_predict_fn="predict_proba",
        )

    return save


def signature(example: pa.Table, *, classes: int) -> ModelSignature:
    """What the model takes and gives; every input may be missing."""
    import numpy as np
    import pyarrow as pa
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    kinds = {pa.float64(): "double", pa.string(): "string", pa.timestamp("us"): "datetime"}
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(kinds[field.type], field.name, required=False) for field in example.schema
    ]
    return ModelSignature(Schema(inputs), Schema([TensorSpec(np.dtype("float64"), (-1, classes))]))


def requirements(code: ProjectCode) -> list[str]:
    """Exact versions of what the model needs in an empty environment, and the ``requirements.txt`` beside its code."""
    own = code.folder / "requirements.txt"
    lines = own.read_text().splitlines() if own.is_file() else []
    extra = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [*(f"{name}=={version(name)}" for name in _REQUIRED), *extra]


def _seed(estimator: Any, seed: int) -> None:
    unset = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if (name == "random_state" or name.endswith("__random_state")) and value is None
    }
    if unset:
        estimator.set_params(**unset)


def _check_trusted(fitted: Any, train: Train) -> None:
    import skops.io

    unknown = sorted(set(skops.io.get_untrusted_types(data=skops.io.dumps(fitted))) - set(train.trusted))
    if unknown:
        raise ModelError(
            f"model {train.model} holds types that nobody has said to trust: {', '.join(unknown)}. "
            "If loading them is safe, add them to `train.trusted`"
        )
