"""The model of the example: will this flight arrive more than 15 minutes late?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from flight_delay.transformers import CategoryFrequency, CyclicTime

NUMBERS = ["distance", "carrier_late_share", "carrier_cancelled_share", "route_late_share", "origin_late_share"]


def build_model(params: Mapping[str, Any]) -> Pipeline:
    """An unfitted pipeline over the population's columns and the features.

    The weekday is left out on purpose: a window holds six of each, and the trees learn the weather of those six days.

    :param params: ``train.params`` of the YAML: parameters of the classifier
    """
    columns = ColumnTransformer(
        [
            ("hour", CyclicTime(period=24.0), ["local_hour"]),
            ("category", CategoryFrequency(), ["carrier", "origin", "dest"]),
            ("number", "passthrough", NUMBERS),
        ],
        remainder="drop",
    )
    settings = {"max_iter": 60, "learning_rate": 0.06, "max_leaf_nodes": 8, "min_samples_leaf": 300, **params}
    return Pipeline([("columns", columns), ("classifier", HistGradientBoostingClassifier(**settings))])
