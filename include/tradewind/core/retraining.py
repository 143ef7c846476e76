"""Retraining: shall a candidate be trained for this partition? Plain values in, a decision with its reason out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tradewind.spec.policy import Retrain


@dataclass(frozen=True, slots=True)
class RetrainingDecision:
    """Train, judge a shadow, or skip; why in words, and every number that led to it."""

    outcome: Literal["train", "judge", "skip"]
    reason: str
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StandingShadow:
    """A version that stands beside the champion without serving.

    :param judged_at: the partition whose run judges it on what it would have predicted
    :param due: that is this partition, or an earlier one
    """

    version: str
    judged_at: str
    due: bool


@dataclass(frozen=True, slots=True)
class PolicyOutlook:
    """What the policy does for the partitions that come, as far as it depends on nothing that is judged until then.

    :param free_in: partitions from the next one to the first at which neither cooldown nor budget holds a training
        back; None: the budget always does
    :param held: what holds it back until then; None if nothing does
    :param due_in: partitions from the next one to the first at which it trains whatever is judged; None: at none
    :param due_because: why it does then
    :param rules: the rules that ask for a training when they are met, by name
    """

    free_in: int | None
    held: str | None
    due_in: int | None
    due_because: str
    rules: dict[str, str]


@dataclass(frozen=True, slots=True)
class DriftRegime:
    """What drifted and is waited for: partitions from the first of a run of alarms on.

    :param since: the first of them
    :param learned: those of them that a training now would learn from
    :param champion: version that they drifted away from
    """

    since: str
    learned: tuple[str, ...]
    champion: str


@dataclass(frozen=True, slots=True)
class QuorumState:
    """How a rule "m of n" stands.

    :param met: at least ``needed`` of the last ``of`` partitions are violated, and the newest is
    :param given: how many partitions there are to look at, at most ``of``
    :param violated: how many of them are violated
    :param newest: whether the newest is; None when it has no data
    """

    needed: int
    of: int
    given: int
    violated: int
    newest: bool | None
    met: bool


def decide_retraining(
    policy: Retrain,
    *,
    partition: str,
    window_missing: Sequence[str],
    has_champion: bool,
    trainings: Sequence[int],
    decay: Sequence[bool | None],
    drift: Sequence[bool | None],
    by_hand: str | None,
    shadow: StandingShadow | None = None,
    regime: DriftRegime | None = None,
) -> RetrainingDecision:
    """Apply the retraining policy to one partition.

    A reason is needed (by hand, no champion yet, decay, drift, or ``every``), a complete window, and room: no
    training within the cooldown and fewer than ``max`` in the budget's partitions. While a candidate stands as shadow
    no other is trained; when it is due it is judged. A person who asks by hand is held back by none of these, only by
    an incomplete window. Who has a reason and room and lacks only the window is ``waiting``, says the evidence.

    With ``wait_for_drifted`` a training for drift, and one for decay while drift is waited for, waits until so many
    partitions of the new regime are learned from. Drift stays a reason until then, also when the alarms have left the
    rule's partitions: else the wait itself would take it away.

    :param partition: key of the partition that is decided
    :param window_missing: what the training window lacks, in words; empty when it is complete
    :param has_champion: whether there is a model to keep
    :param trainings: partitions since each earlier training, newest first; 1 is the partition before
    :param decay: for each partition whether performance was below the limit, oldest first; None for no data
    :param drift: for each partition whether anything drifted, oldest first; None for no data
    :param by_hand: the reason a person gave; None for none
    :param shadow: the candidate that stands beside the champion; None for none
    :param regime: what drifted since the last training, where the policy waits for it; None for nothing
    """
    evidence: dict[str, Any] = {
        "partition": partition,
        "policy": policy.model_dump(mode="json"),
        "window_missing": list(window_missing),
        "has_champion": has_champion,
        "trainings": list(trainings),
        "decay": list(decay),
        "drift": list(drift),
        "by_hand": by_hand,
        "waiting": [],
        **({"shadow": asdict(shadow)} if shadow else {}),
        **({"regime": asdict(regime)} if regime else {}),
    }
    if shadow is not None and by_hand is None:
        return _beside(shadow, evidence)
    held = _held_back(policy, trainings)
    if by_hand is not None:
        reasons = [f"asked for by hand: {by_hand}{f' (although {held})' if held else ''}"]
        held = None
    else:
        reasons = _reasons(policy, has_champion, trainings, decay, drift, regime)
    if window_missing:
        evidence["waiting"] = [] if held else reasons
        why = f"; to train there is a reason: {'; '.join(reasons)}" if reasons and not held else ""
        return RetrainingDecision(
            "skip", f"the training window is not complete: {_some(window_missing)}{why}", evidence
        )
    if not reasons:
        return RetrainingDecision("skip", f"no reason to train: {_quiet(policy, trainings, decay, drift)}", evidence)
    if held:
        return RetrainingDecision("skip", f"{'; '.join(reasons)}; but {held}", evidence)
    if by_hand is None and has_champion and (lacks := _lacks_drifted(policy, trainings, regime)):
        return RetrainingDecision("skip", f"{'; '.join(reasons)}; but it {lacks}", evidence)
    return RetrainingDecision("train", "; ".join(reasons), evidence)


def _beside(shadow: StandingShadow, evidence: dict[str, Any]) -> RetrainingDecision:
    if shadow.due:
        why = f"the labels of all populations that version {shadow.version} shadowed have fallen due"
        return RetrainingDecision("judge", why, evidence)
    why = f"version {shadow.version} stands beside the champion as shadow; it is judged at {shadow.judged_at}"
    return RetrainingDecision("skip", why, evidence)


def policy_outlook(policy: Retrain, *, has_champion: bool, trainings: Sequence[int]) -> PolicyOutlook:
    """When the policy trains next.

    :param has_champion: whether there is a model to keep
    :param trainings: partitions from each earlier training to the next partition, newest first
    """
    rules = {name: rule for name, rule in (("decay", policy.when.decay), ("drift", policy.when.drift)) if rule}
    held = _held_back(policy, trainings)
    # Behind cooldown and budget's span nothing holds any more, but for a budget of nothing at all.
    furthest = max(policy.cooldown, policy.budget.per if policy.budget else 0)
    later = ([distance + step for distance in trainings] for step in range(furthest + 1))
    free_in = next((step for step, distances in enumerate(later) if not _held_back(policy, distances)), None)
    due_in, because = None, ""
    if not has_champion:
        due_in, because = 0, "there is no champion yet"
    elif policy.when.every is not None and trainings:
        due_in, because = max(policy.when.every - min(trainings), 0), f"of `every: {policy.when.every}`"
    if due_in is not None:
        due_in = None if free_in is None else max(due_in, free_in)
    return PolicyOutlook(free_in, held, due_in, because, rules)


def evaluate_quorum(rule: str, violated: Sequence[bool | None]) -> QuorumState:
    """How the rule "m of n" stands over the newest n partitions; one without data (None) is not violated.

    :param rule: for example ``2 of 4``
    :param violated: oldest first
    """
    needed, of = (int(number) for number in rule.split(" of "))
    recent = violated[-of:]
    newest = recent[-1] if recent else None
    count = sum(value is True for value in recent)
    return QuorumState(needed, of, len(recent), count, newest, met=count >= needed and newest is True)


def _reasons(
    policy: Retrain,
    has_champion: bool,
    trainings: Sequence[int],
    decay: Sequence[bool | None],
    drift: Sequence[bool | None],
    regime: DriftRegime | None,
) -> list[str]:
    reasons = [] if has_champion else ["there is no champion yet"]
    for name, state in _quorums(policy, decay, drift):
        if state.met:
            reasons.append(f"{_count(name, state)}, the newest included")
        elif name == "drift" and regime is not None:
            reasons.append(f"drift since {regime.since}, which was waited for")
    every = policy.when.every
    if every is not None and trainings and min(trainings) >= every:
        reasons.append(f"the last training is {_ago(trainings)} (every {every})")
    return reasons


def _quorums(
    policy: Retrain, decay: Sequence[bool | None], drift: Sequence[bool | None]
) -> Iterator[tuple[str, QuorumState]]:
    for name, rule, violated in (("decay", policy.when.decay, decay), ("drift", policy.when.drift, drift)):
        if rule is not None:
            yield name, evaluate_quorum(rule, violated)


def _lacks_drifted(policy: Retrain, trainings: Sequence[int], regime: DriftRegime | None) -> str | None:
    """How much of what drifted is missing; None where nothing is waited for, or `every` trains whatever drifts."""
    every = policy.when.every
    if regime is None or len(regime.learned) >= policy.wait_for_drifted:
        return None
    if every is not None and trainings and min(trainings) >= every:
        return None
    return (
        f"waits for drifted partitions: of those since {regime.since}, {len(regime.learned)} of "
        f"{policy.wait_for_drifted} would be learned from"
    )


def _held_back(policy: Retrain, trainings: Sequence[int]) -> str | None:
    if trainings and min(trainings) <= policy.cooldown:
        return f"the last training is {_ago(trainings)}, within the cooldown of {policy.cooldown}"
    if policy.budget is not None:
        spent = sum(distance < policy.budget.per for distance in trainings)
        if spent >= policy.budget.max:
            return (
                f"the budget is spent: {spent} trainings in {policy.budget.per} partitions, at most {policy.budget.max}"
            )
    return None


def _quiet(
    policy: Retrain, trainings: Sequence[int], decay: Sequence[bool | None], drift: Sequence[bool | None]
) -> str:
    said = []
    for name, state in _quorums(policy, decay, drift):
        newest = {True: "the newest included", False: "the newest not", None: "the newest not judged"}[state.newest]
        text = f"{_count(name, state)}, {newest}" if state.given else f"{name} not judged yet"
        said.append(f"{text} (needs {state.needed} of {state.of})")
    if policy.when.every is not None and trainings:
        said.append(f"the last training is {_ago(trainings)} (needs {policy.when.every})")
    return "; ".join(said) or "there is a champion and the policy names no reason"


def _count(name: str, state: QuorumState) -> str:
    return f"{name} in {state.violated} of the last {state.given} partition{'s' if state.given != 1 else ''}"


def _ago(trainings: Sequence[int]) -> str:
    return f"{min(trainings)} partition{'s' if min(trainings) != 1 else ''} ago"


def _some(items: Sequence[str]) -> str:
    return ", ".join(items[:5]) + (f" and {len(items) - 5} more" if len(items) > 5 else "")
