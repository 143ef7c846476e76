"""Whom a candidate is compared with, and the rows that judge with everybody's answers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.local_runtime import local_runtime

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import ModelError
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry, Ledger
from tradewind.registry.model_registry import RegisteredVersion
from tradewind.spec.pipeline import Pipeline
from tradewind.verdict.comparators import find_champion_to_replace, learned_rows_end, prepare_test_rows

WEEKS = [f"2013-{day}" for day in ("01-28", "02-04", "02-11", "02-18", "02-25", "03-04", "03-11", "03-18", "03-25")]
CANDIDATE = RegisteredVersion(
    "delays", "2", "run", "0", "", {"tradewind.train_partitions": f'["{WEEKS[4]}", "{WEEKS[5]}"]'}
)
RULES = """
def evening(rows):
    assert "late" not in rows
    return rows["hour"] / 24

def broken(rows):
    raise ValueError("no such luck")
"""


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    package = tmp_path / "include" / "delays_model"
    package.mkdir(parents=True)
    (package / "rules.py").write_text(RULES)
    return local_runtime(tmp_path)


def changed(ledger: Ledger, version: str, *, decided_at: str | None, effective_from: str, seq: int) -> None:
    new = ChampionChange("delays", 0, "delays", version, effective_from, decided_at, evidence={})
    ledger.promote(new, expected=seq - 1)


def table(label: list[object]) -> pa.Table:
    count = len(label)
    return pa.table(
        {
            "flight_id": [str(n) for n in range(count)],
            "scheduled_at": pa.array([datetime(2013, 3, 20, 12, tzinfo=UTC)] * count, pa.timestamp("us", "UTC")),
            "partition": [WEEKS[7]] * count,
            "late": label,
            "origin": ["JFK", "EWR", None, "JFK"][:count],
            "terminal": pa.array([1, 2, None, 4][:count], pa.int64()),
            "legs": [["JFK", "BOS"], [], None, ["JFK", "BOS"]][:count],
            "hour": [6.0, 12.0, 18.0, None][:count],
        }
    )


def asking(pipeline: Pipeline, *gates: dict[str, object], task: str = "binary", **changes: object) -> Pipeline:
    document = pipeline.model_dump()
    train = {**document["train"], "task": task}
    return Pipeline.model_validate({**document, "train": train, "gates": list(gates), **changes})


def test_a_replay_looks_at_the_champion_of_its_own_time(pipeline: Pipeline, runtime: Runtime) -> None:
    ledger = Ledger(runtime.ledger)
    changed(ledger, "1", decided_at=WEEKS[3], effective_from=WEEKS[5], seq=1)
    changed(ledger, "2", decided_at=WEEKS[5], effective_from=WEEKS[7], seq=2)
    changed(ledger, "3", decided_at=WEEKS[6], effective_from=WEEKS[8], seq=3)
    found = [find_champion_to_replace(pipeline, WEEKS[n], ledger, candidate="9") for n in (2, 3, 4, 5, 6)]
    assert [change and change.model_version for change in found] == [None, "1", "1", "2", "3"]


def test_a_candidate_is_not_compared_with_itself(pipeline: Pipeline, runtime: Runtime) -> None:
    ledger = Ledger(runtime.ledger)
    changed(ledger, "1", decided_at=WEEKS[3], effective_from=WEEKS[5], seq=1)
    changed(ledger, "2", decided_at=WEEKS[5], effective_from=WEEKS[7], seq=2)
    known = find_champion_to_replace(pipeline, WEEKS[5], ledger, candidate="2")
    assert known is not None
    assert known.model_version == "1"


def test_a_rollback_counts_from_the_population_that_it_serves(pipeline: Pipeline, runtime: Runtime) -> None:
    ledger = Ledger(runtime.ledger)
    changed(ledger, "1", decided_at=WEEKS[1], effective_from=WEEKS[3], seq=1)
    changed(ledger, "2", decided_at=WEEKS[2], effective_from=WEEKS[4], seq=2)
    changed(ledger, "1", decided_at=None, effective_from=WEEKS[7], seq=3)
    found = [find_champion_to_replace(pipeline, WEEKS[n], ledger, candidate="9") for n in (4, 5)]
    assert [change and change.seq for change in found] == [2, 3]


def test_the_rows_know_their_columns_conditions_and_when_each_model_stopped_learning(
    pipeline: Pipeline, runtime: Runtime
) -> None:
    asked = asking(
        pipeline,
        {"metric": "brier", "at_most": 0.3, "slice": "origin", "by": "terminal"},
        {"metric": "brier", "at_most": 0.3, "where": "hour > 10"},
        {"metric": "brier", "at_most": 0.3, "where": "late"},
        {"fairness": "demographic_parity_difference", "group": "legs", "at_most": 0.1},
        {"check": "size", "at_most": 1},
        verdict={"columns": ["origin", "terminal", "legs"]},
    )
    output = np.array([[0.2, 0.8]] * 4)
    champion = RegisteredVersion("delays", "1", "", "", "", {"tradewind.fit_until": "2013-03-01T00:00:00+00:00"})
    ready = prepare_test_rows(
        Deployment(asked, runtime),
        table([True, False, True, False]),
        answers={"candidate": (output, [0, 1]), "champion": (output[:, ::-1], [1, 0])},
        candidate=CANDIDATE,
        champion=champion,
    )
    test = ready.test
    assert (test.y.tolist(), test.timezone, test.task) == ([1, 0, 1, 0], "America/New_York", "binary")
    assert {name: scores.tolist() for name, scores in test.scores.items()} == {
        "candidate": [0.8] * 4, "champion": [0.8] * 4,
    }  # fmt: skip
    assert {name: values.tolist() for name, values in test.columns.items()} == {
        "origin": ["JFK", "EWR", None, "JFK"], "terminal": [1, 2, None, 4],
        "legs": ["['JFK', 'BOS']", "[]", None, "['JFK', 'BOS']"],
    }  # fmt: skip
    assert test.masks["hour > 10"].tolist() == [False, True, True, False]
    assert "there is no column `late`" in test.absent["late"]  # which rows judge does not depend on the label
    assert test.fit_end == {
        "candidate": asked.partitioning.bounds(WEEKS[5]).end, "champion": learned_rows_end(asked, champion),
    }  # fmt: skip
    assert ready.notes == ("`hour > 10` is NULL in 1 of 4 rows, which do not count",)
    assert learned_rows_end(asked, champion) == datetime(
        2013, 3, 1, 0, 0, 0, 1, tzinfo=UTC
    )  # rows of midnight were learned


def test_majority_and_heuristics_are_asked_when_a_gate_names_them_and_one_that_fails_has_a_reason(
    pipeline: Pipeline,
    runtime: Runtime,
) -> None:
    trained = Entry(
        "delays", "trained", "2", WEEKS[7], "c", evidence={"majority": {"classes": [0, 1], "shares": [0.7, 0.3]}}
    )
    Ledger(runtime.ledger).append(trained)
    rules = {name: f"include/delays_model/rules.py:{name}" for name in ("evening", "broken", "unasked")}
    asked = asking(
        pipeline,
        *({"metric": "brier", "versus": name, "at_least": 0} for name in ("majority", "evening", "broken")),
        verdict={"heuristics": rules},
    )
    answer = (np.array([[0.2, 0.8]] * 3), [0, 1])
    test = prepare_test_rows(
        Deployment(asked, runtime),
        table([True, False, True]),
        answers={"candidate": answer, "champion": ModelError("its files are not at /models/1")},
        candidate=CANDIDATE,
        champion=None,
    ).test
    assert {name: np.round(scores, 6).tolist() for name, scores in test.scores.items()} == {
        "candidate": [0.8] * 3, "majority": [0.3] * 3, "evening": [0.25, 0.5, 0.75],
    }  # fmt: skip
    assert sorted(test.absent) == ["broken", "champion"]
    assert "ValueError: no such luck" in test.absent["broken"]
    assert test.absent["champion"] == "its files are not at /models/1"


def test_a_majority_that_the_ledger_does_not_know_is_absent(pipeline: Pipeline, runtime: Runtime) -> None:
    asked = asking(pipeline, {"metric": "brier", "versus": "majority", "at_least": 0})
    test = prepare_test_rows(
        Deployment(asked, runtime),
        table([True]),
        answers={"candidate": (np.array([[0.2, 0.8]]), [0, 1])},
        candidate=CANDIDATE,
        champion=None,
    ).test
    assert "does not know the majority" in test.absent["majority"]


def test_classes_are_the_same_for_everybody(pipeline: Pipeline, runtime: Runtime) -> None:
    asked = asking(pipeline, {"metric": "accuracy", "at_least": 0.5}, task="multiclass")
    ready = prepare_test_rows(Deployment(asked, runtime), table(["b", "a", "z"]), answers={
            "candidate": (np.array([[0.9, 0.1]] * 3), ["b", "a"]),
            "champion": (np.array([[0.2, 0.3, 0.5]] * 3), ["c", "b", "a"]),
        }, candidate=CANDIDATE, champion=CANDIDATE)  # fmt: skip
    assert ready.classes == ("a", "b", "c")
    assert ready.test.scores["candidate"][0].tolist() == [0.1, 0.9, 0.0]
    assert ready.test.scores["champion"][0].tolist() == [0.5, 0.3, 0.2]
    assert ready.test.y.tolist() == [1, 0, -1]
    assert ready.notes == ("1 of 3 rows have a class that no model knows",)


def test_a_rule_that_predicts_what_is_no_class_is_absent_and_not_easily_beaten(
    pipeline: Pipeline, runtime: Runtime
) -> None:
    gates = ({"metric": "accuracy", "versus": name, "at_least": 0} for name in ("right", "upper"))
    rules = dict.fromkeys(("right", "upper"), "include/delays_model/rules.py:evening")
    asked = asking(pipeline, *gates, task="multiclass", verdict={"heuristics": rules})
    test = prepare_test_rows(Deployment(asked, runtime), table(["b", "a", "z"]), answers={
            "candidate": (np.full((3, 2), 0.5), ["a", "b"]),
            "right": (np.array([[0, 1, 0]] * 3), ["B", "a", "z"]),  # never says B
            "upper": (np.array([[1, 0]] * 3), ["B", "a"]),
        }, candidate=CANDIDATE, champion=None).test  # fmt: skip
    assert sorted(test.scores) == ["candidate", "right"]
    assert test.absent["upper"].startswith("it predicts B, and the classes that labels or models have are a, b, z;")


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_candidate_that_does_not_run_has_no_usable_prediction(
    pipeline: Pipeline, runtime: Runtime, task: str
) -> None:
    metric = {"binary": "brier", "multiclass": "accuracy", "regression": "mae"}[task]
    bound = "at_least" if metric == "accuracy" else "at_most"
    asked = asking(pipeline, {"metric": metric, bound: 0.5}, task=task)
    label: list[object] = {"binary": [True, False], "multiclass": ["a", "b"], "regression": [1.0, 2.0]}[task]
    champion = {"binary": [0, 1], "multiclass": ["a", "b"], "regression": None}[task]
    answers = {
        "candidate": ModelError("it died"),
        "champion": (np.full((2, 1 if champion is None else 2), 0.5), champion),
    }
    test = prepare_test_rows(
        Deployment(asked, runtime), table(label), answers=answers, candidate=CANDIDATE, champion=CANDIDATE
    ).test
    assert np.isnan(test.scores["candidate"]).all()
    assert test.scores["candidate"].shape == test.scores["champion"].shape
    assert test.absent["candidate"] == "it died"
