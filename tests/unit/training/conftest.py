"""Rows as a training sees them, made without a lake, and functions of a project that are made here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tradewind.spec.training import Train
from tradewind.training.model_frame import ModelFrame

BEGIN = datetime(2013, 3, 4, tzinfo=UTC)


@pytest.fixture(scope="session")
def framed() -> Callable[..., ModelFrame]:
    """Makes rows, one a minute: `signal` and `carrier` say something of the label, `noise` does not, `same` cannot."""

    def make(rows: int = 300, *, task: str = "binary", seed: int = 0) -> ModelFrame:
        random = np.random.default_rng(seed)
        signal, code = random.normal(size=rows), random.integers(0, 3, rows)
        value = signal + (code == 2) + random.normal(size=rows)
        labels: dict[str, Any] = {
            "binary": value > 0,
            "multiclass": np.select([value < -0.5, value < 1], ["low", "middle"], "high"),
            "regression": value,
        }
        table = pa.table(
            {
                "key": [f"k{n}" for n in range(rows)],
                "at": pa.array([BEGIN + timedelta(minutes=n) for n in range(rows)], pa.timestamp("us", "UTC")),
                "partition": ["2013-03-04"] * rows,
                "signal": signal,
                "noise": random.normal(size=rows),
                "same": np.ones(rows),
                "carrier": np.array(["AA", "UA", "WN"])[code],
                "label": labels[task],
            }
        )
        return ModelFrame(table, ("signal", "noise", "same", "carrier"), "key", "at", "label", task)

    return make


@pytest.fixture(scope="session")
def build() -> Callable[..., Any]:
    """A `build_model` for each task that takes `alpha` and `depth`, and nothing else."""

    def of(task: str) -> Callable[[dict[str, Any]], Any]:
        from sklearn.compose import make_column_transformer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OrdinalEncoder
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        def estimator(*, depth: int = 3, alpha: float = 0.0) -> Any:
            tree = DecisionTreeRegressor if task == "regression" else DecisionTreeClassifier
            columns = make_column_transformer((OrdinalEncoder(), ["carrier"]), ("passthrough", ["signal", "noise"]))
            return make_pipeline(columns, tree(max_depth=depth, ccp_alpha=alpha))

        return lambda params: estimator(**params)

    return of


@pytest.fixture(scope="session")
def asked() -> Callable[..., Train]:
    """Makes the `train` part of a YAML."""

    def make(**changes: Any) -> Train:
        given = {
            "window": 4,
            "test": 1,
            "validation": 1,
            "service": "delays_v1",
            "label": {"dataset": "flights", "column": "label"},
            "model": "include/delays_model/model.py:build_model",
        }
        return Train.model_validate(given | changes)

    return make
