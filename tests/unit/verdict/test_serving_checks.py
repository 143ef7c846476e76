"""What serving demands of a candidate is measured on the registry's files, in a clean process."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tradewind.core import gates
from tradewind.errors import ModelError, ModelFilesChanged, SpecError
from tradewind.isolation import model_process
from tradewind.isolation.model_client import ModelHost
from tradewind.metrics.judged_rows import TestRows
from tradewind.spec.check_gate import CheckGate
from tradewind.spec.gates import VerdictSpec
from tradewind.spec.metric_gate import MetricGate
from tradewind.verdict.serving_checks import (
    RunningCandidate,
    answer_timeout,
    gates_with_defaults,
    measure_loading,
    measure_serving,
)

COLUMNS = [("a", "double"), ("b", "double"), ("word", "string")]
ROWS = 60
WEIGHT = 0.8


def table() -> pa.Table:
    random = np.random.default_rng(0)
    missing = np.arange(ROWS) % 7 == 0
    return pa.table(
        {
            "id": [str(n) for n in range(ROWS)],
            "a": pa.array(random.normal(size=ROWS), mask=missing),
            "b": pa.array(random.normal(size=ROWS) * 100),
            "word": pa.array(["x", None] * (ROWS // 2)),
        }
    )


def save(folder: Path, *, seed: int = 0) -> Path:
    """A regression on two numbers and a word, saved as training does."""
    import mlflow.sklearn
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = table().drop_columns(["id"]).to_pandas()
    columns = ColumnTransformer([("numbers", SimpleImputer(), ["a", "b"]), ("words", OneHotEncoder(), ["word"])])
    label = WEIGHT * frame["a"].fillna(0) + np.random.default_rng(seed).normal(scale=0.01, size=ROWS)
    mlflow.sklearn.save_model(
        make_pipeline(columns, LinearRegression()).fit(frame, label),
        str(folder),
        serialization_format="skops",
        skops_trusted_types=["numpy.dtype"],
        signature=ModelSignature(Schema([ColSpec(kind, name, required=False) for name, kind in COLUMNS])),
        pip_requirements=["scikit-learn"],
    )
    return folder


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCandidate]:
    """A candidate in a clean process, with the example that training would have logged."""
    folder = save(tmp_path_factory.mktemp("model") / "model")
    with ModelHost(folder, name="m version 1", warm=False) as host:
        example = table().slice(0, 5)
        then = host.predict(example)
        yield RunningCandidate(host, folder, table(), (example, then), spread=0.5, seed=7)


def judged(running: RunningCandidate, *checks: dict[str, object], loaded=None, wanted=COLUMNS):
    """What the checks find and how they are judged."""
    named = gates_with_defaults([CheckGate.model_validate(check) for check in checks], rows=ROWS)
    loaded = measure_loading(running, named) if loaded is None else loaded
    found = measure_serving(named, running=running, loaded=loaded, wanted=wanted)
    rows = TestRows(
        "regression", np.zeros(1), {"candidate": np.zeros(1)}, np.zeros(1, "datetime64[us]"), "UTC",
        fit_end={},
    )  # fmt: skip
    return gates.judge_gates(named, rows, measurements=found, verdict=VerdictSpec(), seed=0)


def test_loads_and_schema_are_checked_although_no_gate_names_them(running: RunningCandidate) -> None:
    found = judged(running)
    assert [(result.metric, result.outcome) for result in found] == [("loads", "pass"), ("schema", "pass")]
    assert found[0].value > 0
    assert "predictions of 5 example rows are those of training" in found[0].reason
    assert gates_with_defaults([CheckGate(check="loads"), CheckGate(check="schema")], rows=5)[2:] == ()
    assert gates_with_defaults([], rows=5)[0] == CheckGate(check="loads", rows=5, at_most=300.0)


def test_too_slow_to_load_fails_and_loading_ends_at_the_limit(running: RunningCandidate) -> None:
    assert [r.outcome for r in judged(running, {"check": "loads", "at_most": 1e-6, "rows": 10})] == ["fail", "pass"]
    assert answer_timeout([CheckGate(check="loads", at_most=2)]) == 300
    assert answer_timeout([CheckGate(check="loads", at_most=900)]) == 900


def test_loading_ends_when_the_process_says_so_however_late_somebody_listens(
    running: RunningCandidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = running.host.loaded_at - running.host.started_at
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)
    assert measure_loading(running, [CheckGate(check="loads", rows=10)]) == {10: pytest.approx(ready)}


def test_what_does_not_run_fails_every_check_that_needs_it(running: RunningCandidate) -> None:
    checks = [{"check": "latency", "at_most": 9}, {"check": "stability", "at_most": 9}, {"check": "size", "at_most": 9}]
    found = judged(running, *checks, loaded=ModelError("m version 1 died"))
    outcomes = {result.metric: result.outcome for result in found}
    assert outcomes == {"latency": "fail", "stability": "fail", "size": "pass", "loads": "fail", "schema": "pass"}
    assert "m version 1 died" in found[0].reason


def test_a_model_that_somebody_swapped_is_refused_with_the_numbers(running: RunningCandidate, tmp_path: Path) -> None:
    example, then = running.example
    moved = replace(running, example=(example, then + np.array([[0.0], [0.25], [0.0], [0.0], [0.0]])))
    found = judged(moved)[0]
    assert found.outcome == "fail"
    assert "1 of 5 example rows are predicted otherwise than when it was logged, by up to 0.25 (row 1" in found.reason
    more = judged(replace(running, example=(example, np.hstack([then, then]))))[0]
    assert (more.outcome, "predicts 1 numbers a row, and 2 when it was logged" in more.reason) == ("fail", True)


def test_files_that_have_changed_are_not_loaded_and_fail_every_check(running: RunningCandidate) -> None:
    named = gates_with_defaults(
        [CheckGate(check="latency", rows=1, at_most=1e4), CheckGate(check="size", at_most=1)], rows=ROWS
    )
    changed = ModelFilesChanged("model.skops has changed")
    found = measure_serving(named, running=changed, loaded=changed, wanted=COLUMNS)
    assert [(one.value, one.passed) for one in found.values()] == [(None, False)] * 4
    assert found[0].reason == "the candidate was not loaded: model.skops has changed"


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (COLUMNS[:2], "it wants word, which is gone"),
        ([*COLUMNS, ("late_share", "double")], "it does not know late_share"),
        ([COLUMNS[0], ("b", "string"), COLUMNS[2]], "b is string, and was double"),
        ([COLUMNS[1], COLUMNS[0], COLUMNS[2]], "the order is b, a, word, and was a, b, word"),
    ],
    ids=["gone", "new", "type", "order"],
)
def test_columns_that_serving_would_not_give_fail(running: RunningCandidate, wanted, why: str) -> None:
    found = judged(running, wanted=wanted)[1]
    assert (found.outcome, why in found.reason) == ("fail", True)


def test_a_schema_that_nobody_knows_is_insufficient(running: RunningCandidate) -> None:
    found = judged(running, wanted=SpecError("features.py does not run"))[1]
    assert (found.outcome, "features.py does not run" in found.reason) == ("insufficient", True)


def test_latency_is_that_of_warm_predictions_in_the_process_and_says_how_often_it_was_measured(
    running: RunningCandidate,
) -> None:
    slack, strict = {"check": "latency", "at_most": 1e4, "rows": 1}, {"check": "latency", "at_most": 1e-9, "rows": 1}
    once, found = judged(running, slack, strict)[:2]
    assert [once.outcome, found.outcome] == ["pass", "fail"]
    assert once.value == found.value  # measured once, however many gates ask
    assert 0 < once.value < 1e4
    assert "over 20 batches of 1 row, each at the fastest of " in once.reason
    assert "measured 5 times because it missed: " in found.reason
    alone = judged(running, slack)[0]
    assert "because it missed" not in alone.reason
    assert re.search(r"of all tries the median is [\d.]+ ms and the 95th percentile [\d.]+ ms$", alone.reason)


def test_batches_are_predicted_in_turn_as_often_as_asked(running: RunningCandidate) -> None:
    taken = running.host.latency(table(), batch=20, tries=7, seconds=60.0)
    assert (taken.shape, bool((taken > 0).all())) == ((7, 3), True)
    assert running.host.latency(table(), batch=20, tries=7, seconds=0.0).shape == (1, 3)


def test_every_try_of_a_batch_lies_apart_from_the_last_one() -> None:
    now, order = [0.0], []

    def call(name: str, cost: float) -> None:
        order.append(name)
        now[0] += cost

    calls = [partial(call, "a", 1.0), partial(call, "b", 2.0)]
    taken = model_process.time_calls_in_turn(calls, tries=9, seconds=5.0, clock=lambda: now[0])
    assert (order, list(taken)) == (["a", "b", "a", "b"], [1.0, 2.0, 1.0, 2.0])


@pytest.mark.parametrize("check", ["loads", "latency"])
def test_fewer_rows_than_asked_are_insufficient(running: RunningCandidate, check: str) -> None:
    found = judged(running, {"check": check, "rows": ROWS + 1, "at_most": 9}, loaded={ROWS: 0.1, ROWS + 1: 0.1})[0]
    assert (found.outcome, found.reason) == ("insufficient", f"there are {ROWS} test rows, fewer than {ROWS + 1}")


def test_size_is_that_of_all_files(running: RunningCandidate) -> None:
    size = sum(path.stat().st_size for path in running.folder.rglob("*") if path.is_file())
    found = judged(running, {"check": "size", "at_most": 1})[0]
    assert (found.value, found.outcome) == (size / 1e6, "pass")
    assert judged(running, {"check": "size", "at_most": 1e-6})[0].outcome == "fail"


def test_stability_is_the_mean_change_when_numbers_are_shaken(running: RunningCandidate) -> None:
    values = table()["a"].to_numpy()
    deviation = float(np.nanstd(values))
    found = judged(running, {"check": "stability", "at_most": 1, "noise": 0.1})[0]
    # E|N(0, s)| = s sqrt(2/pi); six of seven rows have the column that the label depends on.
    expected = WEIGHT * 0.1 * deviation * np.sqrt(2 / np.pi) * (6 / 7) / 0.5
    assert found.value == pytest.approx(expected, rel=0.3)
    assert "2 numeric columns shaken by 0.1" in found.reason
    again = judged(running, {"check": "stability", "at_most": 1, "noise": 0.1})[0]
    assert again.value == found.value
    other = judged(replace(running, seed=8), {"check": "stability", "at_most": 1, "noise": 0.1})[0]
    assert other.value != found.value


def test_what_cannot_be_shaken_is_insufficient(running: RunningCandidate) -> None:
    constant = running.rows.set_column(1, "a", pa.array([1.0] * ROWS)).set_column(2, "b", pa.nulls(ROWS, pa.float64()))
    found = judged(replace(running, rows=constant), {"check": "stability", "at_most": 1})[0]
    assert (found.outcome, "nothing can be shaken" in found.reason) == ("insufficient", True)
    flat = judged(replace(running, spread=0.0), {"check": "stability", "at_most": 1})[0]
    assert (flat.outcome, "one value in all test rows" in flat.reason) == ("insufficient", True)


def test_gates_of_metrics_are_left_alone(running: RunningCandidate) -> None:
    gate = MetricGate(metric="mae", at_most=1)
    assert gates_with_defaults([gate], rows=5)[0] is gate
    assert 0 not in measure_serving([gate], running=running, loaded={}, wanted=COLUMNS)
