"""The model: will this delivery arrive more than 15 minutes late?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = ["distance_km", "weight_kg", "planned_hour", "depot_late_share"]


def build_model(params: Mapping[str, Any]) -> Pipeline:
    """An unfitted classifier over the columns of the population and the features.

    :param params: ``train.params`` of the YAML
    """
    columns = ColumnTransformer(
        [
            ("depot", OneHotEncoder(handle_unknown="ignore"), ["depot"]),
            ("number", make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        ]
    )
    return Pipeline([("columns", columns), ("classifier", LogisticRegression(max_iter=1000, **params))])


def space(trial: Any) -> Mapping[str, Any]:
    """Parameters to try, for `train.search` of the YAML.

    :param trial: of Optuna
    """
    return {"C": trial.suggest_float("C", 0.01, 10.0, log=True)}
