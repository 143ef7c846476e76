from __future__ import annotations

from typing import Any

import pytest

from tradewind.core import retraining
from tradewind.core.retraining import DriftRegime, RetrainingDecision, StandingShadow, evaluate_quorum
from tradewind.spec.policy import Retrain

POLICY = Retrain.model_validate(
    {"when": {"decay": "2 of 4", "drift": "2 of 4", "every": 26}, "cooldown": 3, "budget": {"max": 6, "per": 52}}
)


def decide(policy: Retrain = POLICY, **changes: Any) -> RetrainingDecision:
    given: dict[str, Any] = {
        "partition": "2013-05-06",
        "window_missing": [],
        "has_champion": True,
        "trainings": [8],
        "decay": [False] * 6,
        "drift": [False] * 6,
        "by_hand": None,
    }
    return retraining.decide_retraining(policy, **(given | changes))


def test_a_quiet_partition_is_skipped_with_the_numbers() -> None:
    decision = decide(decay=[True, False, False, False])
    assert decision.outcome == "skip"
    assert decision.reason == (
        "no reason to train: decay in 1 of the last 4 partitions, the newest not (needs 2 of 4); "
        "drift in 0 of the last 4 partitions, the newest not (needs 2 of 4); "
        "the last training is 8 partitions ago (needs 26)"
    )


def test_a_newest_partition_that_cannot_be_judged_is_called_that() -> None:
    assert (
        "decay in 0 of the last 2 partitions, the newest not judged (needs 2 of 4)" in decide(decay=[None] * 2).reason
    )


def test_without_a_champion_it_trains() -> None:
    decision = decide(has_champion=False, trainings=[], decay=[], drift=[])
    assert (decision.outcome, decision.reason) == ("train", "there is no champion yet")


def test_an_incomplete_window_is_skipped_whatever_speaks_for_training() -> None:
    decision = decide(window_missing=["flights 2013-04-29"], has_champion=False, by_hand="please")
    told = (
        "the training window is not complete: flights 2013-04-29; to train there is a reason: asked for by hand: please"
    )
    assert (decision.outcome, decision.reason) == ("skip", told)
    assert decision.evidence["waiting"] == ["asked for by hand: please"]


@pytest.mark.parametrize(
    ("changes", "waiting"),
    [
        ({"has_champion": False, "trainings": []}, ["there is no champion yet"]),
        ({}, []),
        ({"has_champion": False, "trainings": [2]}, []),
    ],
    ids=["reason", "no reason", "within the cooldown"],
)
def test_a_training_waits_for_its_window_only_if_nothing_else_speaks_against_it(
    changes: dict[str, Any], waiting: list[str]
) -> None:
    assert decide(window_missing=["flights 2013-04-29"], **changes).evidence["waiting"] == waiting
    assert decide(**changes).evidence["waiting"] == []


def test_while_a_shadow_stands_no_other_candidate_is_trained() -> None:
    decision = decide(has_champion=False, trainings=[], shadow=StandingShadow("7", "2013-05-20", False))
    assert (decision.outcome, decision.evidence["shadow"]["version"]) == ("skip", "7")
    assert "version 7 stands beside the champion as shadow; it is judged at 2013-05-20" in decision.reason


def test_a_shadow_that_is_due_is_judged_also_without_a_complete_window() -> None:
    assert decide(window_missing=["x"], shadow=StandingShadow("7", "2013-05-06", True)).outcome == "judge"


def test_a_person_may_train_beside_a_shadow() -> None:
    assert decide(by_hand="please", shadow=StandingShadow("7", "2013-05-20", False)).outcome == "train"


def test_decay_in_enough_partitions_with_the_newest_trains() -> None:
    decision = decide(decay=[False, True, False, False, True])
    assert decision.outcome == "train"
    assert decision.reason == "decay in 2 of the last 4 partitions, the newest included"


def test_drift_in_enough_partitions_with_the_newest_trains() -> None:
    assert decide(drift=[True, True]).outcome == "train"


@pytest.mark.parametrize(
    ("violated", "met"),
    [
        ([], False),
        ([True], False),
        ([True, True], True),
        ([True, False, False, True], True),
        ([True, False, False, False, True], False),
        ([True, True, False], False),
        ([True, True, None], False),
        ([True, None, True], True),
        ([None, None, None, None], False),
    ],
)
def test_quorum_two_of_four(violated: list[bool | None], met: bool) -> None:
    assert evaluate_quorum("2 of 4", violated).met is met


def test_partitions_without_data_are_not_violated() -> None:
    assert decide(decay=[None, None, None, None]).outcome == "skip"


def test_the_time_since_the_last_training_is_a_reason() -> None:
    assert decide(trainings=[25]).outcome == "skip"
    assert decide(trainings=[26, 40]).reason == "the last training is 26 partitions ago (every 26)"


def test_nothing_is_trained_within_the_cooldown() -> None:
    decision = decide(trainings=[3], decay=[True, True])
    assert decision.outcome == "skip"
    assert decision.reason.endswith("; but the last training is 3 partitions ago, within the cooldown of 3")
    assert decide(trainings=[4], decay=[True, True]).outcome == "train"


def test_the_cooldown_holds_before_the_first_champion_too() -> None:
    assert decide(trainings=[1], has_champion=False).outcome == "skip"


def test_nothing_is_trained_when_the_budget_is_spent() -> None:
    spent = decide(trainings=[5, 10, 15, 20, 25, 51], decay=[True, True])
    assert spent.outcome == "skip"
    assert "the budget is spent: 6 trainings in 52 partitions, at most 6" in spent.reason
    assert decide(trainings=[5, 10, 15, 20, 25, 52], decay=[True, True]).outcome == "train"


def test_a_person_is_not_held_back_but_told() -> None:
    decision = decide(trainings=[1], by_hand="new aircraft type")
    assert decision.outcome == "train"
    held = "the last training is 1 partition ago, within the cooldown of 3"
    assert decision.reason == f"asked for by hand: new aircraft type (although {held})"


def test_a_policy_without_reasons_trains_only_the_first_champion() -> None:
    empty = Retrain()
    assert (
        decide(empty, decay=[True] * 9, drift=[True] * 9).reason
        == "no reason to train: there is a champion and the policy names no reason"
    )
    assert decide(empty, has_champion=False, trainings=[]).outcome == "train"


def test_two_reasons_are_both_named() -> None:
    decision = decide(decay=[True, True], drift=[True, True])
    assert decision.reason.count("in 2 of the last 2 partitions") == 2


def test_the_evidence_holds_every_number() -> None:
    evidence = decide(trainings=[4, 9], decay=[True, None], drift=[False]).evidence
    assert (evidence["trainings"], evidence["decay"], evidence["drift"]) == ([4, 9], [True, None], [False])
    assert evidence["policy"]["cooldown"] == 3


WAITS = Retrain.model_validate({"when": {"decay": "2 of 4", "drift": "2 of 4", "every": 26}, "wait_for_drifted": 2})
DRIFTS = [False, True, False, True]


def regime(*learned: str) -> DriftRegime:
    return DriftRegime("2013-04-22", learned, "3")


def test_a_training_for_drift_waits_until_enough_of_what_drifted_is_learned_from() -> None:
    decision = decide(WAITS, drift=DRIFTS, regime=regime("2013-04-22"))
    assert decision.outcome == "skip"
    assert decision.reason == (
        "drift in 2 of the last 4 partitions, the newest included; but it waits for drifted partitions: of those since "
        "2013-04-22, 1 of 2 would be learned from"
    )
    assert decision.evidence["regime"] == {"since": "2013-04-22", "learned": ("2013-04-22",), "champion": "3"}
    assert decision.evidence["waiting"] == []  # no incident: the window is there


def test_what_was_waited_for_is_trained_on_although_the_alarms_are_over() -> None:
    decision = decide(WAITS, drift=[False] * 4, regime=regime("2013-04-22", "2013-04-29"))
    assert (decision.outcome, decision.reason) == ("train", "drift since 2013-04-22, which was waited for")


def test_decay_beside_drift_waits_too_and_the_calendar_and_a_person_do_not() -> None:
    held = regime()
    assert decide(WAITS, decay=[True] * 4, regime=held).outcome == "skip"
    assert decide(WAITS, decay=[True] * 4).outcome == "train"
    assert decide(WAITS, trainings=[26], regime=held).outcome == "train"
    assert decide(WAITS, by_hand="now", regime=held).outcome == "train"
