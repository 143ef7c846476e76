"""What a model is and answers does not depend on threads."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tradewind.isolation.thread_limits import limit_threads

ROWS = 20_000


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    made = np.random.default_rng(7)
    inputs = made.normal(size=(ROWS, 12))
    return inputs, inputs[:, 0] * inputs[:, 1] + made.normal(size=ROWS)


def test_a_linear_model_is_the_same_on_any_number_of_threads(data: tuple[np.ndarray, np.ndarray]) -> None:
    inputs, target = data
    fitted = []
    for threads in (1, 2, 4):
        with threadpool_limits(limits=threads, user_api="blas"), limit_threads(fitting=True):
            fitted.append(LogisticRegression().fit(inputs, target > 0).coef_.tobytes())
    assert len(set(fitted)) == 1


def test_a_forest_answers_the_same_each_time(data: tuple[np.ndarray, np.ndarray]) -> None:
    inputs, target = data
    forest = RandomForestRegressor(20, min_samples_leaf=5, random_state=7, n_jobs=4).fit(inputs[:2000], target[:2000])
    answers = set()
    for _ in range(5):
        with limit_threads():
            answers.add(forest.predict(inputs).tobytes())
    assert len(answers) == 1
