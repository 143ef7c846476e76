"""Decay, drift, rejected candidates and a champion that is missing are incidents, closed by what heals them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.local_runtime import local_runtime
from tests.unit.retraining.test_training_decision import DAYS, champion, drifted, flown, performed, publish, ready
from tests.unit.retraining.test_training_decision import pipeline as retrained

from tradewind.alerting import model_alarms
from tradewind.alerting.channels import describe_next_step
from tradewind.alerting.incident_history import Incident
from tradewind.alerting.incidents import open_incidents
from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.ledger.journal import Entry, Ledger
from tradewind.retraining.training_decision import decide_training
from tradewind.spec.pipeline import Pipeline


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return local_runtime(tmp_path)


def pipeline(**alerts: Any) -> Pipeline:
    spec = retrained()
    return spec.model_copy(update={"alerts": spec.alerts.model_copy(update=alerts)})


def decided(runtime: Runtime, *days: str, spec: Pipeline | None = None) -> None:
    for day in days:
        ready(runtime, day)
        decide_training(Deployment(spec or pipeline(), runtime), day)


def opened(runtime: Runtime, kind: str) -> Incident | None:
    found = [one for one in open_incidents(Ledger(runtime.ledger), "flights") if one.error_type == kind]
    return found[0] if found else None


def verdict(runtime: Runtime, day: str, version: str, outcome: str = "rejected") -> None:
    reason = f"latency of {version} misses 100"
    Ledger(runtime.ledger).append(Entry("flights", "verdict", version, day, version, outcome=outcome, reason=reason))


def insufficient(runtime: Runtime, day: str, reason: str = "61 rows, fewer than 500") -> None:
    row = {"feature": "distance", "horizon": 1, "outcome": "insufficient", "psi": 0.0, "null_mean": 0.0,
           "null_high": 0.0, "p": 1.0, "alarm": None, "reason": reason}  # fmt: skip
    table = {"feature": "of another horizon", "horizon": 4, "outcome": "ok", "alarm": False, "reason": ""}
    publish(runtime, "drift", day, [{**row, **table}, row])


def served(runtime: Runtime) -> None:
    flown(runtime)
    champion(runtime, DAYS[3])


def test_decay_by_the_default_rule_is_one_incident_with_metric_values_and_since_when(runtime: Runtime) -> None:
    served(runtime)
    for day, value in zip(DAYS[4:8], (0.61, 0.70, 0.62, 0.63), strict=True):
        performed(runtime, day, value)
    decided(runtime, DAYS[4], DAYS[5])
    assert opened(runtime, "Decay") is None
    decided(runtime, DAYS[6], DAYS[7])
    incident = opened(runtime, "Decay")
    assert incident is not None
    assert incident.message.startswith(
        f"roc_auc is below 0.66 in 3 of the last 4 populations (incident: 2 of 4), since population {DAYS[4]}: "
        f"{DAYS[4]} 0.6100, {DAYS[6]} 0.6200, {DAYS[7]} 0.6300; version 1 served them. Report: "
    )
    assert incident.by_partition["-"].evidence["values"] == {DAYS[4]: 0.61, DAYS[6]: 0.62, DAYS[7]: 0.63}
    assert "`tradewind train flights --reason TEXT`" in describe_next_step(incident)


def test_decay_is_over_when_fewer_populations_of_the_window_miss_the_limit(runtime: Runtime) -> None:
    served(runtime)
    for day, value in zip(DAYS[4:9], (0.60, 0.60, 0.70, 0.70, 0.70), strict=True):
        performed(runtime, day, value)
    decided(runtime, *DAYS[4:8])
    assert opened(runtime, "Decay")  # two of the last four: the rule is not below yet
    decided(runtime, DAYS[8])
    assert opened(runtime, "Decay") is None
    (closed,) = Ledger(runtime.ledger).find("flights", "incident_closed")
    assert closed.reason == "roc_auc misses its limit in 1 of the last 4 populations, fewer than 2 of 4"


def test_the_rule_of_the_alert_comes_before_that_of_training(runtime: Runtime) -> None:
    spec = retrained(when={"decay": "3 of 4", "drift": "4 of 4"})
    assert (model_alarms.decay_rule(spec), model_alarms.drift_rule(spec)) == ("3 of 4", "4 of 4")
    spec = spec.model_copy(update={"alerts": spec.alerts.model_copy(update={"decay": "1 of 2"})})
    assert model_alarms.decay_rule(spec) == "1 of 2"


def test_drift_names_the_features_and_since_when_also_as_the_window_moves_on(runtime: Runtime) -> None:
    served(runtime)
    for day in DAYS[4:10]:
        drifted(runtime, day, alarm=True, alarm_over_4=True)
    decided(runtime, *DAYS[4:10])
    incident = opened(runtime, "Drift")
    assert incident is not None
    assert incident.message.startswith(
        f"drift over 1 partition in 4 of the last 4 partitions (incident: 2 of 4), since partition {DAYS[4]}: distance "
        "(PSI 0.40, usual up to 0.20, in 4 partitions). Report: "
    )
    for day in DAYS[10:13]:
        drifted(runtime, day, alarm=False)
    decided(runtime, *DAYS[10:13])
    assert opened(runtime, "Drift") is None


def test_a_partition_that_is_run_again_neither_opens_what_healed_nor_heals_what_is_open(runtime: Runtime) -> None:
    served(runtime)
    for day, alarm in zip(DAYS[4:9], (True, True, False, False, False), strict=True):
        drifted(runtime, day, alarm=alarm)
    decided(runtime, *DAYS[4:9])
    assert opened(runtime, "Drift") is None
    decided(runtime, DAYS[5])
    assert opened(runtime, "Drift") is None
    for day in DAYS[9:11]:
        drifted(runtime, day, alarm=True)
    decided(runtime, *DAYS[9:11])
    before = opened(runtime, "Drift")
    decided(runtime, DAYS[8])
    assert before is not None
    assert opened(runtime, "Drift") == before
    assert len(Ledger(runtime.ledger).find("flights", "note")) == 2


def test_deciding_again_adds_nothing(runtime: Runtime) -> None:
    served(runtime)
    for day in DAYS[4:6]:
        drifted(runtime, day, alarm=True)
    decided(runtime, DAYS[4], DAYS[5], DAYS[5])
    incident = opened(runtime, "Drift")
    assert incident is not None
    assert incident.occurrences == 1


def test_drift_that_cannot_be_judged_for_a_whole_window_is_an_incident(runtime: Runtime) -> None:
    served(runtime)
    for day in DAYS[4:8]:
        insufficient(runtime, day)
    decided(runtime, *DAYS[4:7])
    assert opened(runtime, "DriftNotJudged") is None
    decided(runtime, DAYS[7])
    incident = opened(runtime, "DriftNotJudged")
    assert incident is not None
    assert incident.message.startswith(
        f"drift over 1 partition could not be judged since partition {DAYS[4]}, in any of the last 4 partitions: "
        "61 rows, fewer than 500 (1 of 1). Report: "
    )
    drifted(runtime, DAYS[8], alarm=False)
    decided(runtime, DAYS[8])
    assert opened(runtime, "DriftNotJudged") is None


def test_drift_that_a_training_keeps_from_being_judged_is_an_incident_only_if_it_stays_so(runtime: Runtime) -> None:
    served(runtime)
    drifted(runtime, DAYS[3], alarm=False)
    for day in DAYS[4:9]:
        insufficient(runtime, day, "the last 1 partitions reach into the champion's training, which ended with it")
    decided(runtime, *DAYS[4:8])
    assert opened(runtime, "DriftNotJudged") is None
    decided(runtime, DAYS[8])  # the horizon of 1 and the rule's 4 are over
    assert opened(runtime, "DriftNotJudged") is not None


def test_performance_that_cannot_be_judged_for_a_whole_window_is_an_incident(runtime: Runtime) -> None:
    served(runtime)
    for day in DAYS[4:8]:
        few = {"population": day, "model_version": "1", "value": 0.5, "rows": 4, "in_sample": False}
        others = {"metric": "of another configuration", "below": False}  # a column without any value has no type
        publish(runtime, "performance", day, [{**few, **others}, {**few, "metric": "roc_auc", "below": None}])
    decided(runtime, *DAYS[4:7])
    assert opened(runtime, "DecayNotJudged") is None
    decided(runtime, DAYS[7])
    incident = opened(runtime, "DecayNotJudged")
    assert incident is not None
    assert incident.message.startswith(
        f"roc_auc could not be judged since population {DAYS[4]}, in any of the last 4 populations: "
        "4 rows with a label each, fewer than 100. Report: "
    )
    assert "`monitor.performance.min_rows`" in describe_next_step(incident)
    performed(runtime, DAYS[8], 0.7)
    decided(runtime, DAYS[8])
    assert opened(runtime, "DecayNotJudged") is None


def test_rejected_candidates_in_a_row_are_an_incident_until_one_passes(runtime: Runtime) -> None:
    for day, version in zip(DAYS[2:5], "123", strict=True):
        assert opened(runtime, "CandidatesRejected") is None
        verdict(runtime, day, version)
        model_alarms.check_rejected_candidates(Deployment(pipeline(), runtime))
    incident = opened(runtime, "CandidatesRejected")
    assert incident is not None
    assert incident.message == (
        f"3 candidates in a row were rejected since partition {DAYS[2]}, there is no champion; "
        f"version 1 at {DAYS[2]}: latency of 1 misses 100; version 2 at {DAYS[3]}: latency of 2 misses 100; "
        f"version 3 at {DAYS[4]}: latency of 3 misses 100"
    )
    verdict(runtime, DAYS[5], "4", "passed")
    model_alarms.check_rejected_candidates(Deployment(pipeline(), runtime))
    assert opened(runtime, "CandidatesRejected") is None
    (closed,) = Ledger(runtime.ledger).find("flights", "incident_closed")
    assert closed.reason == f"version 4 at {DAYS[5]} passed its verdict"


def test_a_verdict_of_an_earlier_partition_stands_where_it_belongs(runtime: Runtime) -> None:
    verdict(runtime, DAYS[9], "9", "passed")
    for day, version in zip(DAYS[2:6], "1234", strict=True):
        verdict(runtime, day, version)
        model_alarms.check_rejected_candidates(Deployment(pipeline(), runtime))
    assert opened(runtime, "CandidatesRejected") is None


def test_how_many_rejections_are_an_incident_is_configured(runtime: Runtime) -> None:
    for day, version in zip(DAYS[2:8], "123456", strict=True):
        verdict(runtime, day, version)
    model_alarms.check_rejected_candidates(Deployment(pipeline(rejected=None), runtime))
    model_alarms.check_rejected_candidates(Deployment(pipeline(rejected=7), runtime))
    assert opened(runtime, "CandidatesRejected") is None
    model_alarms.check_rejected_candidates(Deployment(pipeline(rejected=6), runtime))
    assert opened(runtime, "CandidatesRejected")


def test_no_champion_for_long_after_the_window_was_complete_is_an_incident(runtime: Runtime) -> None:
    flown(runtime)
    verdict(runtime, DAYS[4], "1")
    decided(runtime, *DAYS[:6])  # complete since the third
    assert opened(runtime, "NoChampion") is None
    decided(runtime, DAYS[6])
    incident = opened(runtime, "NoChampion")
    assert incident is not None
    assert incident.message == (
        f"no champion serves although the training window was complete at partition {DAYS[2]}, 5 partitions ago (at "
        "most 4, `alerts.no_champion`): 1 candidate was judged; the last candidate, "
        f"version 1 at {DAYS[4]}, was rejected: latency of 1 misses 100; decision at {DAYS[6]}: "
        "there is no champion yet"
    )
    champion(runtime, DAYS[7])
    decided(runtime, DAYS[7])
    assert opened(runtime, "NoChampion") is None


def test_no_champion_is_an_incident_also_where_no_training_ended_with_a_verdict(runtime: Runtime) -> None:
    flown(runtime)
    decided(runtime, *DAYS[:7])
    incident = opened(runtime, "NoChampion")
    assert incident is not None
    assert "0 candidates were judged; decision at" in incident.message


def test_a_pipeline_that_is_too_young_to_train_lacks_no_champion(runtime: Runtime) -> None:
    flown(runtime, DAYS[:1])
    decided(runtime, *DAYS[:8])
    assert opened(runtime, "NoChampion") is None


def test_how_long_there_may_be_no_champion_is_configured(runtime: Runtime) -> None:
    flown(runtime)
    decided(runtime, *DAYS[:8], spec=pipeline(no_champion=None))
    assert opened(runtime, "NoChampion") is None
