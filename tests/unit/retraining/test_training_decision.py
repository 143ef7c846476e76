from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.local_runtime import local_runtime

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import NotReady, UsageError
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
from tradewind.ledger import completion, skipped_partitions
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Ledger
from tradewind.retraining.training_decision import decide_training
from tradewind.spec.pipeline import Pipeline

DAYS = [f"2013-02-{day:02}" for day in range(1, 15)]
START = DAYS[0]


def pipeline(**retrain: Any) -> Pipeline:
    files = {"files": "{landing}/{day}.csv", "format": "csv"}
    return Pipeline.model_validate(
        {
            "pipeline": "flights",
            "owner": "ops",
            "description": "late?",
            "partition": "day",
            "timezone": "UTC",
            "start": START,
            "schedule": "0 6 * * *",
            "datasets": {"flown": {"source": files, "sql": "flown.sql"}},
            "features": {"definitions": "features.py"},
            "score": {"population": {**files, "sql": "p.sql", "key": "id", "timestamp": "at"}, "ahead": 1},
            "train": {
                "window": 3,
                "test": 1,
                "service": "v1",
                "label": {"dataset": "flown", "column": "late"},
                "model": "model.py:build",
            },
            "gates": [{"metric": "roc_auc", "at_least": 0.6}],
            "monitor": {"performance": {"metric": "roc_auc", "at_least": 0.66}},
            "retrain": retrain,
        }
    )


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return local_runtime(tmp_path)


def publish(runtime: Runtime, name: str, key: str, rows: Sequence[dict[str, Any]]) -> None:
    dataset = Lake(runtime.lake).dataset("flights", name)
    table = pa.Table.from_pylist(list(rows))
    staged = dataset.stage(key, table.to_reader())
    dataset.publish(staged, cause=Cause({name: staged.digest}, "", "1"), run_id="r")


def flown(runtime: Runtime, days: Sequence[str] = DAYS) -> None:
    for day in days:
        publish(runtime, "flown", day, [{"id": day, "late": True}])


def performed(runtime: Runtime, key: str, value: float, **fields: Any) -> None:
    row = {
        "population": key,
        "model_version": "1",
        "metric": "roc_auc",
        "value": value,
        "rows": 500,
        "in_sample": False,
    }
    publish(runtime, "performance", key, [{**row, "below": value < 0.66, **fields}])


def drifted(runtime: Runtime, key: str, **alarms: bool) -> None:
    """Drift of one feature: ``alarm`` is judged over 1 partition, ``alarm_over_4`` over 4."""
    row = {"feature": "distance", "psi": 0.4, "null_mean": 0.1, "null_high": 0.2, "p": 0.01}
    horizons = {"alarm": 1, "alarm_over_4": 4}
    judged = [{**row, "horizon": horizons[name], "alarm": alarm, "outcome": "drift" if alarm else "ok",
               "reason": ""}
              for name, alarm in alarms.items()]  # fmt: skip
    publish(runtime, "drift", key, judged)


def ready(runtime: Runtime, partition: str) -> None:
    """Complete what deciding for ``partition`` waits for."""
    ledger = Ledger(runtime.ledger)
    completion.record_completion(ledger, "flights", "monitor", partition, cause="c")
    if partition > START:
        completion.record_completion(ledger, "flights", "train", DAYS[DAYS.index(partition) - 1], cause="c")


def champion(runtime: Runtime, effective_from: str, version: str = "1") -> None:
    ledger = Ledger(runtime.ledger)
    expected = len(ledger.champions("flights"))
    ledger.promote(ChampionChange("flights", 0, "flights", version, effective_from, effective_from), expected=expected)


def test_training_waits_for_the_partition_before(runtime: Runtime) -> None:
    completion.record_completion(Ledger(runtime.ledger), "flights", "monitor", DAYS[3], cause="c")
    with pytest.raises(NotReady, match=f"train of partition {DAYS[2]}"):
        decide_training(Deployment(pipeline(), runtime), DAYS[3])


def test_training_waits_for_the_monitoring_of_the_partition(runtime: Runtime) -> None:
    completion.record_completion(Ledger(runtime.ledger), "flights", "train", DAYS[2], cause="c")
    with pytest.raises(NotReady, match=f"monitor of partition {DAYS[3]}"):
        decide_training(Deployment(pipeline(), runtime), DAYS[3])


def test_the_first_partition_waits_for_no_earlier_one(runtime: Runtime) -> None:
    ready(runtime, START)
    flown(runtime, [START])
    decision = decide_training(Deployment(pipeline(), runtime), START)
    assert decision.outcome == "skip"
    assert "before the pipeline's start" in decision.reason


def test_a_pipeline_that_trains_nothing_has_nothing_to_decide(runtime: Runtime) -> None:
    spec = pipeline().model_copy(update={"train": None})
    with pytest.raises(UsageError, match="no `train`"):
        decide_training(Deployment(spec, runtime), DAYS[3])


def test_without_a_champion_a_complete_window_is_trained(runtime: Runtime) -> None:
    flown(runtime, DAYS[:4])
    ready(runtime, DAYS[3])
    assert decide_training(Deployment(pipeline(), runtime), DAYS[3]).outcome == "train"
    (entry,) = Ledger(runtime.ledger).find("flights", "decision", partition=DAYS[3])
    assert (entry.subject, entry.outcome) == ("train", "train")


def test_a_window_with_a_partition_missing_is_not_trained_and_the_reason_names_it(runtime: Runtime) -> None:
    flown(runtime, [day for day in DAYS[:4] if day != DAYS[2]])
    ready(runtime, DAYS[3])
    decision = decide_training(Deployment(pipeline(), runtime), DAYS[3])
    assert decision.outcome == "skip"
    assert f"{DAYS[2]} (flown is not published)" in decision.reason


def test_a_partition_that_is_left_out_is_in_no_window_and_holds_nobody_up(runtime: Runtime) -> None:
    ledger = Ledger(runtime.ledger)
    flown(runtime, [day for day in DAYS[:5] if day != DAYS[3]])
    skipped_partitions.leave_out(ledger, "flights", DAYS[3], dataset="flown", reason="no file")
    completion.record_completion(ledger, "flights", "monitor", DAYS[4], cause="c")
    completion.record_completion(ledger, "flights", "train", DAYS[2], cause="c")
    assert decide_training(Deployment(pipeline(), runtime), DAYS[4]).outcome == "train"


def test_a_window_without_enough_partitions_is_not_trained(runtime: Runtime) -> None:
    flown(runtime, DAYS[:5])
    for day in DAYS[2:4]:
        skipped_partitions.skip_partition(Ledger(runtime.ledger), "flights", day, reason="strike", actor="ann")
    completion.record_completion(Ledger(runtime.ledger), "flights", "train", DAYS[1], cause="c")
    completion.record_completion(Ledger(runtime.ledger), "flights", "monitor", DAYS[4], cause="c")
    decision = decide_training(Deployment(pipeline(), runtime), DAYS[4])
    assert (decision.outcome, "2 of 3 partitions are left out" in decision.reason) == ("skip", True)


def test_deciding_again_on_the_same_inputs_adds_nothing(runtime: Runtime) -> None:
    flown(runtime, DAYS[:4])
    ready(runtime, DAYS[3])
    first = decide_training(Deployment(pipeline(), runtime), DAYS[3])
    assert decide_training(Deployment(pipeline(), runtime), DAYS[3]) == first
    assert len(Ledger(runtime.ledger).find("flights", "decision")) == 1


def test_a_replay_decides_as_the_first_run_did(runtime: Runtime) -> None:
    flown(runtime, DAYS[:5])
    ready(runtime, DAYS[3])
    first = decide_training(Deployment(pipeline(cooldown=2), runtime), DAYS[3])
    champion(runtime, DAYS[5])
    performed(runtime, DAYS[4], 0.5)
    drifted(runtime, DAYS[4], alarm=True)
    ready(runtime, DAYS[4])
    decide_training(Deployment(pipeline(cooldown=2), runtime), DAYS[4])
    assert decide_training(Deployment(pipeline(cooldown=2), runtime), DAYS[3]) == first
    assert len(Ledger(runtime.ledger).find("flights", "decision")) == 2


def test_decay_in_enough_of_the_last_populations_is_a_reason(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3])
    for key, auc in zip(DAYS[4:8], (0.70, 0.60, 0.70, 0.65), strict=True):
        performed(runtime, key, auc)
    spec = pipeline(when={"decay": "2 of 4"})
    for partition, outcome in ((DAYS[5], "skip"), (DAYS[6], "skip"), (DAYS[7], "train")):
        ready(runtime, partition)
        assert decide_training(Deployment(spec, runtime), partition).outcome == outcome
    (entry,) = Ledger(runtime.ledger).find("flights", "decision", partition=DAYS[7])
    assert [one["value"] for day in DAYS[4:8] for one in entry.evidence["performance"][day]] == [0.70, 0.60, 0.70, 0.65]


def test_what_the_champion_before_did_badly_does_not_count_against_the_new_one(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3], "1")
    for key in DAYS[4:7]:
        performed(runtime, key, 0.5, model_version="1")
    champion(runtime, DAYS[7], "2")
    spec = pipeline(when={"decay": "2 of 4"})
    for key, outcome, counted in ((DAYS[7], "skip", [True]), (DAYS[8], "train", [True, True])):
        performed(runtime, key, 0.5, model_version="2")
        ready(runtime, key)
        decision = decide_training(Deployment(spec, runtime), key)
        assert (decision.outcome, decision.evidence["decay"]) == (outcome, counted)


def test_what_a_fallback_served_says_nothing_about_the_champion(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3], "1")
    champion(runtime, DAYS[4], "2")
    performed(runtime, DAYS[4], 0.5, model_version="2")
    performed(runtime, DAYS[5], 0.5, model_version="1")
    ready(runtime, DAYS[5])
    assert decide_training(Deployment(pipeline(when={"decay": "1 of 4"}), runtime), DAYS[5]).evidence["decay"] == [
        True,
        None,
    ]


def test_performance_in_sample_or_of_another_metric_is_no_decay(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3])
    performed(runtime, DAYS[4], 0.5, in_sample=True)
    performed(runtime, DAYS[5], 0.5, metric="accuracy")
    ready(runtime, DAYS[5])
    decision = decide_training(Deployment(pipeline(when={"decay": "1 of 4"}), runtime), DAYS[5])
    assert decision.outcome == "skip"
    assert decision.evidence["decay"] == []


def test_performance_without_enough_rows_counts_as_no_data(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3])
    row = {"population": DAYS[4], "model_version": "1", "metric": "roc_auc", "value": 0.1, "rows": 3}
    schema = pa.schema(
        [("population", pa.string()), ("model_version", pa.string()), ("metric", pa.string()), ("value", pa.float64()),
         ("rows", pa.int64()), ("in_sample", pa.bool_()), ("below", pa.bool_())]
    )  # fmt: skip
    table = pa.Table.from_pylist([{**row, "in_sample": False, "below": None}], schema=schema)
    dataset = Lake(runtime.lake).dataset("flights", "performance")
    dataset.publish(dataset.stage(DAYS[4], table.to_reader()), cause=Cause({}, "", "1"), run_id="r")
    ready(runtime, DAYS[4])
    assert decide_training(Deployment(pipeline(when={"decay": "1 of 4"}), runtime), DAYS[4]).evidence["decay"] == [None]


def test_a_population_that_was_judged_again_counts_once_as_it_was_judged_last(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3])
    performed(runtime, DAYS[4], 0.5)
    performed(runtime, DAYS[5], 0.8, population=DAYS[4])
    ready(runtime, DAYS[5])
    assert decide_training(Deployment(pipeline(when={"decay": "1 of 4"}), runtime), DAYS[5]).evidence["decay"] == [
        False
    ]


def test_drift_in_enough_of_the_last_partitions_is_a_reason_and_names_the_feature(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3])
    for key, alarm in zip(DAYS[4:7], (True, False, True), strict=True):
        drifted(runtime, key, alarm=alarm)
    ready(runtime, DAYS[6])
    decision = decide_training(Deployment(pipeline(when={"drift": "2 of 3"}), runtime), DAYS[6])
    assert decision.outcome == "train"
    assert decision.evidence["drift"] == [True, False, True]
    assert decision.evidence["drift_alarms"][DAYS[6]][0]["feature"] == "distance"


def test_drift_over_a_longer_horizon_informs_and_does_not_count(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3])
    drifted(runtime, DAYS[4], alarm=False, alarm_over_4=True)
    ready(runtime, DAYS[4])
    spec = pipeline(when={"drift": "1 of 1"})
    assert spec.monitor is not None
    spec = spec.model_copy(update={"monitor": spec.monitor.model_copy(update={"horizons": (4, 1)})})
    decision = decide_training(Deployment(spec, runtime), DAYS[4])
    assert (decision.outcome, decision.evidence["drift"]) == ("skip", [False])


def test_a_partition_whose_drift_was_not_judged_has_no_data(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3])
    drifted(runtime, DAYS[4], alarm=True)
    ready(runtime, DAYS[5])
    decision = decide_training(Deployment(pipeline(when={"drift": "1 of 2"}), runtime), DAYS[5])
    assert decision.evidence["drift"] == [True, None]
    assert decision.outcome == "skip"


def test_within_the_cooldown_there_is_no_training_and_the_reason_says_so(runtime: Runtime) -> None:
    flown(runtime)
    spec = pipeline(cooldown=2)
    outcomes = []
    for partition in DAYS[3:7]:
        ready(runtime, partition)
        outcomes.append(decide_training(Deployment(spec, runtime), partition))
    assert [decision.outcome for decision in outcomes] == ["train", "skip", "skip", "train"]
    assert "cooldown" in outcomes[1].reason
    assert outcomes[2].evidence["trainings"] == [2]


def test_a_person_may_ask_within_the_cooldown(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[4])
    ready(runtime, DAYS[4])
    decision = decide_training(Deployment(pipeline(), runtime), DAYS[4], by_hand="new airport")
    assert decision.outcome == "train"
    assert "new airport" in decision.reason


def test_deciding_again_on_other_inputs_is_a_new_decision_that_names_the_first(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3])
    ready(runtime, DAYS[4])
    spec = pipeline(when={"decay": "1 of 2"})
    decide_training(Deployment(spec, runtime), DAYS[4])
    performed(runtime, DAYS[4], 0.5)
    decision = decide_training(Deployment(spec, runtime), DAYS[4])
    assert decision.outcome == "train"
    assert "decided again, on other inputs" in decision.reason
    assert [one["outcome"] for one in decision.evidence["before"]] == ["skip"]
    assert len(Ledger(runtime.ledger).find("flights", "decision")) == 2


def test_every_decision_is_one_line_of_the_log_also_when_it_stands_already(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    flown(runtime, DAYS[:4])
    ready(runtime, DAYS[3])
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="tradewind.retraining.training_decision"):
            decision = decide_training(Deployment(pipeline(), runtime), DAYS[3])
        lines = [
            record.getMessage() for record in caplog.records if record.name == "tradewind.retraining.training_decision"
        ]
        assert lines == [f"flights {DAYS[3]}: {decision.outcome}, because {decision.reason}"]


def test_inputs_that_change_and_change_back_are_journalled_as_they_hold_now(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3])
    ready(runtime, DAYS[4])
    spec = pipeline(when={"decay": "1 of 2"})
    for auc, outcome in ((0.8, "skip"), (0.5, "train"), (0.8, "skip"), (0.8, "skip"), (0.5, "train")):
        performed(runtime, DAYS[4], auc)
        assert decide_training(Deployment(spec, runtime), DAYS[4]).outcome == outcome
    entries = Ledger(runtime.ledger).find("flights", "decision", partition=DAYS[4])
    assert [entry.outcome for entry in entries] == ["skip", "train", "skip", "train"]
    assert f"entry {entries[1].id} says train" in entries[2].reason


def settled(runtime: Runtime, spec: Pipeline, days: Sequence[str], alarms: Sequence[str]) -> list[str]:
    """Decide day after day, with drift alarmed on some of them; the reasons."""
    reasons = []
    for day in days:
        drifted(runtime, day, alarm=day in alarms)
        ready(runtime, day)
        decision = decide_training(Deployment(spec, runtime), day)
        reasons.append(f"{decision.outcome}: {decision.reason}")
    return reasons


def test_what_drifted_is_waited_for_until_it_is_learned_from_also_when_it_is_quiet_again(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[1])
    spec = pipeline(when={"drift": "2 of 2"}, wait_for_drifted=2)  # of a window of 3 the last 1 judges
    told = settled(runtime, spec, DAYS[4:10], alarms=DAYS[4:6])
    assert [one.split(":")[0] for one in told] == ["skip", "skip", "train", "skip", "skip", "skip"]
    assert "waits for drifted partitions: of those since 2013-02-05, 1 of 2 would be learned from" in told[1]
    assert told[2] == "train: drift since 2013-02-05, which was waited for"
    assert told[3].startswith("skip: no reason to train")
    entry = Ledger(runtime.ledger).find("flights", "decision", partition=DAYS[6])[-1]
    assert entry.evidence["regime"]["learned"] == DAYS[4:6]


def test_another_champion_ends_the_waiting(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[1])
    spec = pipeline(when={"drift": "2 of 2"}, wait_for_drifted=2)
    settled(runtime, spec, DAYS[4:6], alarms=DAYS[4:6])
    champion(runtime, DAYS[7], version="2")
    (told,) = settled(runtime, spec, DAYS[6:7], alarms=[])
    assert told.startswith("skip: no reason to train")


def test_without_waiting_drift_trains_at_once(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[1])
    told = settled(runtime, pipeline(when={"drift": "2 of 2"}), DAYS[4:6], alarms=DAYS[4:6])
    assert told[1].startswith("train: drift in 2 of the last 2 partitions")
