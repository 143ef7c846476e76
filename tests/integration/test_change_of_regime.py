"""A made-up series with a change in the middle: what a refit, and waiting for what drifted, are worth.

Half-hourly prices of sixty weeks, by hour and weekday, with a level that moves slowly and noise that hours share. In
week thirty the market changes: higher, with another shape of the day. Each week a policy decides as Tradewind does
(drift, or decay too, in two of the last four weeks, or every thirteen; a cooldown of three); candidates learn from
eight weeks less two that judge. One is promoted if it is no worse than the champion on the weeks that neither has seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from tradewind.core import retraining
from tradewind.core.refit_distance import decide_refit, refit_distance
from tradewind.core.retraining import DriftRegime
from tradewind.spec.policy import Retrain

pytestmark = pytest.mark.slow

WEEKS, CHANGE, SLOTS = 60, 30, 336
WINDOW, TEST = 8, 2
LIMIT = 6.0  # of the mean absolute error; before the change it is some 4
FIRST = WINDOW  # the first week that a champion predicts


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model, and the weeks that it has learned from: from ``first`` to before ``until``."""

    model: Any
    first: int
    until: int


@dataclass(frozen=True)
class Told:
    """What became of a policy: error by week, and when who was trained and promoted."""

    errors: dict[int, float]
    trained: list[int]
    promoted: list[int]

    def mean(self, first: int, last: int) -> float:
        """Mean absolute error of the weeks from ``first`` to before ``last``."""
        return float(np.mean([self.errors[week] for week in range(first, last)]))


@dataclass(frozen=True, eq=False)
class Series:
    """Prices and what is known of each half hour: slot of the day, day of the week, week of the year."""

    inputs: np.ndarray
    price: np.ndarray

    def rows(self, first: int, until: int) -> slice:
        return slice(first * SLOTS, until * SLOTS)

    def fit(self, first: int, until: int) -> Fitted:
        rows = self.rows(first, until)
        model = HistGradientBoostingRegressor(max_leaf_nodes=15, random_state=7)
        with threadpool_limits(1):
            return Fitted(model.fit(self.inputs[rows], self.price[rows]), first, until)

    def predict(self, fitted: Fitted, first: int, until: int) -> np.ndarray:
        with threadpool_limits(1):
            return fitted.model.predict(self.inputs[self.rows(first, until)])

    def error(self, fitted: Fitted, first: int, until: int) -> float:
        return float(np.abs(self.predict(fitted, first, until) - self.price[self.rows(first, until)]).mean())


def series(seed: int) -> Series:
    rng = np.random.default_rng(seed)
    slot = np.arange(WEEKS * SLOTS)
    half_hour, day, week = slot % 48, slot // 48 % 7, slot // SLOTS
    level = 50 + np.cumsum(rng.normal(0, 1.0, WEEKS))[week]
    morning, evening = (np.exp(-(((half_hour - at) / 5) ** 2)) for at in (16, 37))
    before = level + 12 * morning + 18 * evening - 6 * (day > 4)
    after = level + 15 + 2 * morning + 40 * evening - 14 * np.exp(-(((half_hour - 26) / 6) ** 2)) - 2 * (day > 4)
    shared = np.repeat(rng.normal(0, 4, len(slot) // 8), 8)
    price = np.where(week < CHANGE, before, after) + shared + rng.normal(0, 2, len(slot))
    return Series(np.column_stack([half_hour, day]), price)


def live(data: Series, when: dict[str, Any], *, refit: bool, wait: int) -> Told:
    """Decide week after week; what is promoted at a week predicts from the week after next."""
    policy = Retrain.model_validate({"when": when, "cooldown": 3, "wait_for_drifted": wait})
    first = data.fit(0, WINDOW if refit else WINDOW - TEST)
    champions, told = {FIRST: first}, Told({}, [], [])
    alarms: dict[int, bool] = {}
    since: int | None = None
    for week in range(FIRST, WEEKS):
        champion = champions[max(key for key in champions if key <= week)]
        told.errors[week] = data.error(champion, week, week + 1)
        newest = champions[max(champions)]
        # Over the floor where most of the baseline is of the other regime.
        alarms[week] = week >= CHANGE and (newest.until - max(newest.first, CHANGE)) * 2 < newest.until - newest.first
        rule = [alarms.get(key, False) for key in range(week - 3, week + 1)]
        if since is None and wait and retraining.evaluate_quorum("2 of 4", rule).met:
            since = next(key for key in range(week - 3, week + 1) if alarms.get(key, False))
        served = [key for key in range(week - 3, week + 1) if key >= max(at for at in champions if at <= week)]
        decay: list[bool | None] = [told.errors[key] > LIMIT for key in served]
        judging, begin = week + 1 - TEST, week + 1 - WINDOW
        learned = tuple(str(key) for key in range(begin, judging) if since is not None and key >= since)
        decision = retraining.decide_retraining(
            policy, partition=str(week), window_missing=(), has_champion=True,
            trainings=[week - key for key in reversed(told.trained)] or [week], decay=decay, drift=rule, by_hand=None,
            regime=DriftRegime(str(since), learned, "") if since is not None else None,
        )  # fmt: skip
        if decision.outcome != "train":
            continue
        told.trained.append(week)
        since = None
        candidate, compared = data.fit(begin, judging), max(judging, newest.until)
        if data.error(candidate, compared, week + 1) <= data.error(newest, compared, week + 1):
            told.promoted.append(week)
            champions[week + 2] = refitted(data, candidate, week + 1) if refit else candidate
    return told


def refitted(data: Series, judged: Fitted, until: int) -> Fitted:
    """The whole window, where that may serve."""
    again = data.fit(judged.first, until)
    rows = data.rows(judged.until, until)
    answers = [data.predict(one, judged.until, until) for one in (judged, again)]
    near = refit_distance("regression", data.price[rows], *answers, bound=0.1)
    serves, _ = decide_refit(near, ())
    return again if serves else replace(judged)


@pytest.mark.parametrize("reasons", ["drift", "drift and decay"])
def test_a_refit_pays_after_a_change_of_regime(reasons: str) -> None:
    when: dict[str, Any] = {"every": 13, **dict.fromkeys(reasons.split(" and "), "2 of 4")}
    policies: dict[str, dict[str, Any]] = {
        "as judged": {"refit": False, "wait": 0},
        "refitted": {"refit": True, "wait": 0},
        "as judged, waited for 2": {"refit": False, "wait": 2},
        "refitted, waited for 2": {"refit": True, "wait": 2},
    }
    spans = {
        "before": (FIRST, CHANGE), "8 weeks after": (CHANGE, CHANGE + 8), "all after": (CHANGE, WEEKS),
        "all": (FIRST, WEEKS),
    }  # fmt: skip
    head = "".join(name.rjust(15) for name in spans)
    print(f"\nmean absolute error, trained for {reasons}, 3 series\n{'':26}{head}   trained since the change")
    means = {}
    for name, given in policies.items():
        found = [live(series(seed), when, **given) for seed in range(3)]
        means[name] = [float(np.mean([one.mean(*span) for one in found])) for span in spans.values()]
        weeks = [[week - CHANGE for week in one.trained if week >= CHANGE] for one in found]
        print(f"{name:26}" + "".join(f"{value:15.3f}" for value in means[name]) + f"   {weeks}")
    assert means["refitted"][2] < means["as judged"][2]
    assert means["as judged, waited for 2"][2] < means["as judged"][2]
