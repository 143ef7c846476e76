"""Numbers of the YAML that are right each by itself and make no sense together.

The rules, for a pipeline with `start` and `end`, which has n partitions: nothing may look at more than n of them
(lookbacks, the training window, horizons of drift, quorums, `every`), and `ahead` is less than n. For
every pipeline: some label of the test partitions is known when the training runs; the test partitions hold as many
time blocks as a comparison needs; `every` is longer than the cooldown.
"""

from __future__ import annotations

from collections.abc import Iterator

from tradewind.errors import InvalidPartitionKey
from tradewind.spec.gates import MetricGate
from tradewind.spec.models import Pipeline
from tradewind.spec.partitions import LONGEST
from tradewind.spec.problems import Path, Problem
from tradewind.spec.values import spell
from tradewind.validation.subject import Subject

def check_sense(subject: Subject) -> Iterator[Problem]:
    """Everything that contradicts something else in a pipeline whose fields are right."""
    spec = subject.whole
    if spec is None:
        return
    yield from _longer_than_the_pipeline(subject, spec)
    yield from _label_in_time(subject, spec)
    yield from _blocks(subject, spec)
    every, cooldown = spec.retrain.when.every, spec.retrain.cooldown
    if every is not None and every <= cooldown:
        message = f"every {every} partitions never comes: `cooldown` allows no training in {cooldown} after one"
        yield subject.at(("retrain", "when", "every"), message, expected=f"more than {cooldown}")


def _longer_than_the_pipeline(subject: Subject, spec: Pipeline) -> Iterator[Problem]:
    count = _partitions(spec)
    if count is None:
        return
    for path, number, what in _lengths(spec):
        if number > count:
            message = f"{what} {number} partitions, but `start`…`end` has only {count}"
            yield subject.at(path, message)


def _partitions(spec: Pipeline) -> int | None:
    """How many partitions the pipeline has; None if it has no end, or its range is wrong."""
    if spec.end is None:
        return None
    try:
        return max(1, len(spec.partitioning.between(spec.start, spec.end)) - 1)
    except (InvalidPartitionKey, LookupError, ValueError, OSError):
        return None


def _lengths(spec: Pipeline) -> Iterator[tuple[Path, int, str]]:
    for name, dataset in spec.datasets.items():
        for read, part in dataset.inputs.items():
            yield ("datasets", name, "inputs", read, "lookback"), part.lookback, "reads"
    if spec.features:
        yield ("features", "lookback"), spec.features.lookback, "covers"
    if spec.score:
        yield ("score", "ahead"), spec.score.ahead + 1, "needs"
    if spec.train:
        yield ("train", "window"), spec.train.window, "needs"
    for index, horizon in enumerate(spec.monitor.horizons if spec.monitor else ()):
        yield ("monitor", "horizons", index), horizon, "judges"
    for field in ("decay", "drift"):
        if rule := getattr(spec.retrain.when, field):
            yield ("retrain", "when", field), int(rule.split(" of ")[1]), "looks at"
    if spec.retrain.when.every:
        yield ("retrain", "when", "every"), spec.retrain.when.every, "waits for"


def _label_in_time(subject: Subject, spec: Pipeline) -> Iterator[Problem]:
    """Training at k uses labels that are known when k ends, so the test partitions need some that are."""
    if spec.train is None:
        return
    waited, length = spec.train.label.available_after, LONGEST[spec.partition]
    if waited >= spec.train.test * length:
        span = f"the {spec.train.test} test partitions" if spec.train.test > 1 else "the one test partition"
        message = f"no label of {span} is known when the training runs: it comes {spell(waited)} later"
        expected = f"`test` of more than {waited // length} partitions, or labels that come earlier"
        yield subject.at(("train", "label", "available_after"), message, expected=expected)


def _blocks(subject: Subject, spec: Pipeline) -> Iterator[Problem]:
    """A comparison draws whole time blocks; with too few of them there is no interval, and the gate never passes."""
    if spec.train is None:
        return
    tested = spec.train.test * LONGEST[spec.partition]
    for index, gate in enumerate(spec.gates):
        # A block that a partition only touches counts too.
        if not isinstance(gate, MetricGate) or gate.by not in LONGEST:
            continue
        count = tested // LONGEST[gate.by] + 1
        if gate.lower_bound is not None and count < gate.min_blocks:
            message = (
                f"the test partitions hold at most {count} blocks by {gate.by}, a comparison needs {gate.min_blocks}"
            )
            yield subject.at(("gates", index), message, expected="shorter blocks (`by`) or a larger `train.test`")
