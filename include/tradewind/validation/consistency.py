"""Numbers of the YAML that are right each by itself and make no sense together.

The rules, for a pipeline with `start` and `end`, which has n partitions: nothing may look at more than n of them
(lookbacks, the training window, horizons of drift, quorums, `every`, populations of a shadow), and `ahead` is less than
n. For every pipeline: some label of the test partitions is known when the training runs; some rows lie further than the
gap before what judges; the test partitions, and the populations that a shadow scores, hold as many time blocks as an
interval needs; `every` is longer than the cooldown; `wait_for_drifted` waits for drift, and for no more than the window
can learn from. A note where, with `train.refit`, a candidate can come before the champion's window has left its test.
"""

from __future__ import annotations

from collections.abc import Iterator

from tradewind.core.bootstrap import blocks_for
from tradewind.errors import InvalidPartitionKey
from tradewind.spec.gate_kind import PredictionGate
from tradewind.spec.gates import prediction_gates
from tradewind.spec.partitions import LONGEST, SHORTEST
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.problems import Path, Problem
from tradewind.spec.scalars import format_duration
from tradewind.validation.validated_pipeline import ValidatedPipeline


def check_consistency(subject: ValidatedPipeline) -> Iterator[Problem]:
    """Everything that contradicts something else in a pipeline whose fields are right."""
    spec = subject.whole
    if spec is None:
        return
    yield from _check_lengths(subject, spec)
    yield from _check_label_time(subject, spec)
    yield from _check_training_gap(subject, spec)
    yield from _check_blocks(subject, spec)
    yield from _check_drift_wait(subject, spec)
    yield from _check_refit_rows(subject, spec)
    every, cooldown = spec.retrain.when.every, spec.retrain.cooldown
    if every is not None and every <= cooldown:
        message = f"every {every} partitions never comes: `cooldown` allows no training in {cooldown} after one"
        yield subject.at(("retrain", "when", "every"), message, expected=f"more than {cooldown}")


def _check_lengths(subject: ValidatedPipeline, spec: Pipeline) -> Iterator[Problem]:
    count = _count_partitions(spec)
    if count is None:
        return
    for path, number, what in _list_lengths(spec):
        if number > count:
            message = f"{what} {number} partitions, but `start`…`end` has only {count}"
            yield subject.at(path, message)


def _count_partitions(spec: Pipeline) -> int | None:
    """How many partitions the pipeline has; None if it has no end, or its range is wrong."""
    if spec.end is None:
        return None
    try:
        return max(1, len(spec.partitioning.between(spec.start, spec.end)) - 1)
    except (InvalidPartitionKey, LookupError, ValueError, OSError):
        return None


def _list_lengths(spec: Pipeline) -> Iterator[tuple[Path, int, str]]:
    for name, dataset in spec.datasets.items():
        for read, part in dataset.inputs.items():
            yield ("datasets", name, "inputs", read, "lookback"), part.lookback, "reads"
    if spec.features:
        yield ("features", "lookback"), spec.features.lookback, "covers"
    if spec.score:
        yield ("score", "ahead"), spec.score.ahead + 1, "needs"
    if spec.train:
        yield ("train", "window"), spec.train.window, "needs"
    if spec.promotion.shadow:
        yield ("promotion", "shadow"), spec.promotion.shadow, "stands beside the champion for"
    for index, horizon in enumerate(spec.monitor.horizons if spec.monitor else ()):
        yield ("monitor", "horizons", index), horizon, "judges"
    for field in ("decay", "drift"):
        if rule := getattr(spec.retrain.when, field):
            yield ("retrain", "when", field), int(rule.split(" of ")[1]), "looks at"
    if spec.retrain.when.every:
        yield ("retrain", "when", "every"), spec.retrain.when.every, "waits for"


def _check_label_time(subject: ValidatedPipeline, spec: Pipeline) -> Iterator[Problem]:
    """Training at k uses labels that are known when k ends, so the test partitions need some that are."""
    if spec.train is None:
        return
    waited, length = spec.train.label.available_after, LONGEST[spec.partition]
    if waited >= spec.train.test * length:
        span = f"the {spec.train.test} test partitions" if spec.train.test > 1 else "the one test partition"
        message = f"no label of {span} is known when the training runs: it comes {format_duration(waited)} later"
        expected = f"`test` of more than {waited // length} partitions, or labels that come earlier"
        yield subject.at(("train", "label", "available_after"), message, expected=expected)


def _check_training_gap(subject: ValidatedPipeline, spec: Pipeline) -> Iterator[Problem]:
    """Rows within the gap before what judges are not learned from, so some must lie further back."""
    train, length = spec.train, LONGEST[spec.partition]
    if train is None:
        return
    gap = train.label.available_after if train.gap is None else train.gap
    field: Path = ("train", "gap") if train.gap is not None else ("train", "label", "available_after")
    if train.gap is None and gap >= train.test * length:
        return  # told already
    parts = [("learn from", "test", train.window - train.test, "window")]
    if train.search or train.early:
        parts.append(("learn from", "validation", train.window - train.test - train.validation, "window"))
        parts.append(("choose by", "test", train.validation, "validation"))
    for purpose, judging, before, larger in parts:
        if gap >= before * length:
            of = "validation " if larger == "validation" else ""
            several = f"{before} {of}partitions" if before > 1 else f"1 {of}partition"
            message = (
                f"nothing is left to {purpose}: rows of {format_duration(gap)} before the {judging} partitions are not "
                "used"
            )
            yield subject.at(field, f"{message}, and only {several} lie there", expected=f"a larger `train.{larger}`")
            return


def _check_blocks(subject: ValidatedPipeline, spec: Pipeline) -> Iterator[Problem]:
    """An interval comes from whole time blocks; with too few of them there is none, and the gate never passes."""
    if spec.train is None:
        return
    judging = [("test partitions", spec.train.test, "`train.test`")]
    if spec.promotion.shadow:
        judging.append(("shadowed populations", spec.promotion.shadow, "`promotion.shadow`"))
    for index, gate in prediction_gates(spec.gates).items():
        if gate.by not in SHORTEST or not gate.needs_interval:
            continue
        confidence = _least_confidence(spec, gate)
        needed = max(gate.min_blocks, blocks_for(confidence))
        for what, partitions, field in judging:
            # A block that a partition only touches counts too.
            count = -(-partitions * LONGEST[spec.partition] // SHORTEST[gate.by]) + 1
            if count < needed:
                message = f"the {what} hold at most {count} blocks by {gate.by}"
                message += f", an interval of {confidence:.4g} needs {needed}"
                yield subject.at(("gates", index), message, expected=f"shorter blocks (`by`) or a larger {field}")
                break


def _check_drift_wait(subject: ValidatedPipeline, spec: Pipeline) -> Iterator[Problem]:
    """What is waited for must come: drift that is a reason, and so many partitions that can be learned from."""
    train, waited, path = spec.train, spec.retrain.wait_for_drifted, ("retrain", "wait_for_drifted")
    if not waited:
        return
    if spec.retrain.when.drift is None:
        message = "nothing waits: drift is no reason to train"
        yield subject.at(path, message, expected="`retrain.when.drift`", on_key=True)
    elif train is not None and waited > train.window - train.test:
        message = f"a training never learns from {waited} partitions: `window` less `test` is"
        yield subject.at(
            path, f"{message} {train.window - train.test}", expected=f"{train.window - train.test} at most"
        )


def _check_refit_rows(subject: ValidatedPipeline, spec: Pipeline) -> Iterator[Problem]:
    """A refit has learned from its whole window: what judges the next candidate beside it lies after that."""
    train, cooldown = spec.train, spec.retrain.cooldown
    if train is None or not train.refit or cooldown + 1 >= train.test:
        return
    if not any(gate.opponent == "champion" for gate in prediction_gates(spec.gates).values()):
        return
    message = (
        f"the next candidate may come {cooldown + 1} partition{'s' if cooldown else ''} after the champion, whose "
        f"refit has seen all before: only so many of {train.test} test partitions compare the two, and with too few "
        "the gates `versus: champion` are insufficient"
    )
    expected = f"`retrain.cooldown: {train.test - 1}` or more"
    yield subject.at(("train", "refit"), message, expected=expected, on_key=True, severity="note")


def _least_confidence(spec: Pipeline, gate: PredictionGate) -> float:
    """The least confidence that the gate's interval will have, after the correction over gates."""
    if spec.verdict.correction == "none":
        return gate.confidence
    gates = prediction_gates(spec.gates).values()
    always = [one for one in gates if one.needs_interval and one.opponent != "champion"]
    return 1 - (1 - gate.confidence) / (len(always) + (gate.opponent == "champion"))
