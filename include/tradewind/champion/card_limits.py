"""What a champion cannot be trusted with: limits that follow from facts by rule, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tradewind.pages.formatting import describe_duration, first_few, partition_span
from tradewind.spec.fairness_gate import FairnessGate
from tradewind.spec.gates import gates_of_kind

if TYPE_CHECKING:
    from tradewind.champion.card_facts import CardFacts

_CALIBRATION_METRICS = ("ece", "brier")


def known_limits(facts: CardFacts) -> list[str]:
    """Every limit that follows from what is known; what stands between backticks is a name."""
    found = [
        *_data_limits(facts),
        *_label_limits(facts),
        *_gate_limits(facts),
        *_warning_limits(facts),
        *_drift_limits(facts),
    ]
    return [
        *found,
        "What it relies on is no cause: its importance says what it looks at, not what changes the outcome.",
    ]


def _data_limits(facts: CardFacts) -> Iterator[str]:
    spec, fitted = facts.spec, facts.fitted
    if not fitted:
        yield "On which partitions it was fitted is not recorded."
        return
    yield f"It has learned from {partition_span(fitted)} and knows nothing that is new since."
    if facts.judged:
        yield (
            f"It was not judged on rows that it has not seen: version {facts.judged}, fitted in the same way on fewer "
            "partitions, was, and its metrics stand here."
        )
    first, last = spec.partitioning.bounds(facts.champion.effective_from), spec.partitioning.bounds(fitted[-1])
    days = (first.start - last.end).total_seconds() / 86_400
    if days > 0:
        yield (
            f"The first population that it serves, {facts.champion.effective_from}, begins {days:.0f} days after the "
            "newest rows that it was fitted on."
        )
    yield "A prediction for a partition that it was fitted on is in sample, and says nothing about how well it does."
    if absent := facts.known.get("absent"):
        text = first_few((f"{key} ({why})" for key, why in absent.items()), most=4)
        yield f"Of the window of its training these partitions were not there: {text}."


def _label_limits(facts: CardFacts) -> Iterator[str]:
    train = facts.spec.train
    if train is None:
        return
    yield (
        f"Rows whose `{train.label.column}` never became known are neither learned from nor judged: for entities like "
        "these it was not measured."
    )
    if delay := train.label.available_after:
        yield f"How well it does is known {describe_duration(delay)} after an entity's time at the earliest."


def _gate_limits(facts: CardFacts) -> Iterator[str]:
    verdict = facts.decided
    gates = verdict.evidence["gates"] if verdict else []
    if verdict is None:
        yield "No verdict on it is recorded."
    elif not verdict.evidence["champion"]:
        yield "It was not compared with a champion: there was none."
    for gate in gates:
        said = any(gate["reason"] in warning for warning in _recorded_warnings(facts))
        if gate["outcome"] in ("skipped", "insufficient") and not said:
            where = f" [{gate['slice']}]" if gate["slice"] else ""
            yield f"Not judged: {gate['gate']}{where}, because {gate['reason']}."
    if not any(gate["slice"] or gate.get("relation") == "gap_at_most" for gate in gates):
        yield "No gate judges it by slices: on average it may do well and badly for some."
    if not gates_of_kind(facts.spec.gates, FairnessGate):
        yield "No gate measures whether it treats groups alike."
    classifies = facts.spec.train is not None and facts.spec.train.task != "regression"
    if classifies and not any(gate["metric"] in _CALIBRATION_METRICS for gate in gates):
        yield "No gate asks for calibration: a probability of 30 % need not mean three in ten."


def _warning_limits(facts: CardFacts) -> Iterator[str]:
    yield from (f"Warning: {warning}" for warning in _recorded_warnings(facts))


def _recorded_warnings(facts: CardFacts) -> list[str]:
    judged = facts.decided.evidence.get("warnings", ()) if facts.decided else ()
    return list(dict.fromkeys([*facts.known.get("warnings", ()), *judged]))


def _drift_limits(facts: CardFacts) -> Iterator[str]:
    if facts.alarms:
        text = first_few((f"{key}: {first_few(found, most=3)}" for key, found in facts.alarms.items()), most=4)
        yield f"Between its training and this promotion drift was found, against the champion of that time: {text}."
