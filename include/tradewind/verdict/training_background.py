"""What stands behind a verdict: why the training happened, how much drift it has seen, what it learned by heart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradewind.alerting.drift_alarms import drifted_partitions
from tradewind.core.drift_tests import drift_test_words
from tradewind.core.monitoring_rows import DriftRow
from tradewind.metrics.metric_list import METRICS
from tradewind.pages.formatting import first_few, format_count, format_number

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.ledger.journal import Entry

OPTIMISTIC = "training rows (optimistic)"
"""How a score on the rows that a model was fitted on is called wherever it stands."""


def read_training_background(deployment: Deployment, trained: Entry | None) -> dict[str, Any]:
    """The evidence of a verdict about the training of its candidate; empty where the ledger knows none.

    :param trained: the ledger's entry of kind ``trained`` of the candidate
    :return: ``why`` (the decision, with its numbers in words), ``drifted`` (alarmed partitions in ``fit`` and ``test``)
        and ``scores`` (by metric: on the test rows, and on the rows that were learned from)
    """
    if trained is None:
        return {}
    decisions = deployment.ledger.find(
        deployment.spec.pipeline, "decision", subject="train", partition=trained.partition
    )
    wanted = [entry for entry in decisions if entry.outcome == "train"]
    found: dict[str, Any] = {"drifted": dict(drifted_partitions(deployment, trained))}
    found["scores"] = trained.evidence.get("scores", {})
    if wanted:
        decided = wanted[-1]
        numbers = list(_performance_lines(decided.evidence))
        found["why"] = {"reason": decided.reason, "partition": decided.partition, "numbers": numbers}
    return found


def describe_drift_seen(drifted: Mapping[str, Sequence[str]]) -> str:
    """How many drifted partitions the fit and the test contain; empty where nothing is known of drift."""
    fit, test = drifted.get("fit", ()), drifted.get("test", ())
    if not drifted:
        return ""
    if not fit and not test:
        return "Drift was alarmed at no partition of the window."
    held = [f"{len(keys)} in the {name}{f' ({first_few(keys)})' if keys else ''}" for name, keys in drifted.items()]
    return f"Drift was alarmed at {format_count(len(fit) + len(test), 'partition')} of the window: {', '.join(held)}."


def unseen_drift_warning(drifted: Mapping[str, Sequence[str]]) -> str:
    """A warning where all that drifted judges and nothing of it was learned from; else empty."""
    fit, test = drifted.get("fit", ()), drifted.get("test", ())
    if fit or not test:
        return ""
    return (
        f"It has not seen what drifted: all {format_count(len(test), 'partition')} of the window at which drift was "
        f"alarmed ({first_few(test)}) judge, and it learned from none. `retrain.wait_for_drifted` waits until it "
        "would, and `train.refit` fits it on them too when it has passed."
    )


def score_table_rows(scores: Mapping[str, Mapping[str, float | None]]) -> list[list[str]]:
    """Metric, test, training, and how much better it is on what it has seen."""
    rows = []
    for name in sorted(scores, key=list(METRICS).index):
        one = scores[name]
        test, seen = one.get("test"), one.get("train")
        sign = 1 if METRICS[name].greater_is_better else -1
        better = sign * (seen - test) if test is not None and seen is not None else None
        rows.append(
            [
                f"{name} {'↑' if sign > 0 else '↓'}",
                format_number(test),
                format_number(seen),
                format_number(better, sign=True),
            ]
        )
    return rows


def describe_scores(scores: Mapping[str, Mapping[str, float | None]], metric: str) -> str:
    """One metric on the test rows and on the training rows, in words; empty where it was not recorded."""
    if (one := scores.get(metric)) is None or one.get("train") is None:
        return ""
    return f"{metric} {format_number(one.get('test'))} on the test rows, {format_number(one['train'])} on {OPTIMISTIC}"


def _performance_lines(evidence: Mapping[str, Any]) -> Iterator[str]:
    for population, rows in evidence.get("performance", {}).items():
        for row in rows:
            if row["value"] is not None:
                limit = {True: ", worse than the limit", False: ", within the limit", None: ""}[row["below"]]
                low, high = row.get("low"), row.get("high")
                ends = f" ({format_number(low)} to {format_number(high)})" if low is not None else ""
                measured = (
                    f"{row['metric']} {format_number(row['value'])}{ends} over {format_count(row['rows'], 'row')}"
                )
                yield f"population {population}, version {row['model_version']}: {measured}{limit}"
    for partition, alarms in evidence.get("drift_alarms", {}).items():
        found = [_describe_alarm(DriftRow.from_record(one)) for one in alarms]
        if found:
            yield f"drift at {partition}: {first_few(found, most=4)}"
    if regime := evidence.get("regime"):
        learned = regime["learned"]
        yield f"waited for what drifted since {regime['since']}: {format_count(len(learned), 'partition')} learned from"


def _describe_alarm(row: DriftRow) -> str:
    usual = "" if row.null_high is None else f", null up to {format_number(row.null_high)}"
    statistic = "" if row.statistic is None else f" {format_number(row.statistic)}"
    return f"{row.feature} ({drift_test_words(row.test)}{statistic}{usual})"
