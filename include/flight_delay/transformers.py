"""The project's own transformers. Every model version keeps the copy that it was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

if TYPE_CHECKING:
    import pandas as pd


class CyclicTime(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Put a column that runs in a circle on one: its sine and cosine, so that 23:59 is next to 0:00.

    :param period: where the circle closes: 24 for hours, 7 for weekdays
    """

    def __init__(self, period: float = 24.0) -> None:
        self.period = period

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:
        """Remember the columns (n rows, m columns); nothing is learnt."""
        self.columns_ = list(X.columns)
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """Sines of all columns, then cosines: float64, shape (n, 2m)."""
        angle = X[self.columns_].to_numpy(dtype=float) * (2 * np.pi / self.period)
        return np.hstack([np.sin(angle), np.cos(angle)])

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns that ``transform`` returns."""
        return np.array([f"{part}_{name}" for part in ("sin", "cos") for name in self.columns_], dtype=object)


class CategoryFrequency(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Replace each category by its share of the training rows; one never seen, or missing, is 0.

    The label is not used, so that a rare category cannot give it away.
    """

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:
        """Count the categories of each column (n rows, m columns)."""
        self.shares_ = {name: X[name].value_counts(normalize=True).to_dict() for name in X.columns}
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """Shares: float64, shape (n, m)."""
        return np.column_stack(
            [X[name].map(shares).fillna(0.0).to_numpy(float) for name, shares in self.shares_.items()]
        )

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns that ``transform`` returns."""
        return np.array([f"share_{name}" for name in self.shares_], dtype=object)
