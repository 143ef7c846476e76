"""How large a gain the test partitions of a pipeline can show, before any candidate is judged."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path as FilePath
from typing import Any

from tradewind.core.power import GateResolution, approximate_error
from tradewind.ledger.journal import Entry
from tradewind.spec.gate_kind import PredictionGate
from tradewind.spec.gates import prediction_gates
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.problems import Problem
from tradewind.validation.validated_pipeline import ValidatedPipeline, read_validated_pipeline

_NEWEST = 20
_ROWS = (100, 1000)
_HOURS = {"hour": 1.0, "day": 24.0, "week": 168.0, "month": 730.5}


def resolution_notes(paths: Sequence[FilePath], verdicts: Callable[[str], Sequence[Entry]]) -> list[Problem]:
    """One note for each gate that compares candidates by an interval, of pipelines whose fields are right.

    The error of an interval is taken from what earlier verdicts of the pipeline found with the same metric, opponent
    and blocks: the median of error · √blocks, over √(blocks that `train.test` holds now). Without any, it is
    :func:`tradewind.core.power.approximate_error` of two numbers of rows a block.

    :param verdicts: the recorded verdicts of a pipeline, by its name; empty where none is known
    """
    found: list[Problem] = []
    for path in paths:
        subject, _ = read_validated_pipeline(path)
        if subject is None or subject.mended is not None:
            continue
        if subject.whole is not None and subject.whole.train is not None:
            found += _notes(subject, subject.whole, verdicts)
    return found


def _notes(subject: ValidatedPipeline, spec: Pipeline, verdicts: Callable[[str], Sequence[Entry]]) -> Iterator[Problem]:
    asked = [
        (place, gate) for place, gate in prediction_gates(spec.gates).items()
        if gate.opponent is not None and gate.bound[0] == "lower_bound"
    ]  # fmt: skip
    known = list(verdicts(spec.pipeline))[-_NEWEST:] if asked else []
    for place, gate in asked:
        recorded = [each for entry in known for each in _recorded_resolutions(entry, gate)]
        said = _from_records(spec, gate, recorded) if recorded else _approximately(spec, gate)
        if said:
            yield subject.at(("gates", place), said, severity="note")


def _recorded_resolutions(entry: Entry, gate: PredictionGate) -> Iterator[tuple[GateResolution, float]]:
    """What a verdict found for such a gate, and how many blocks a partition held."""
    partitions = len(entry.evidence.get("test_partitions", ()))
    for result in entry.evidence["gates"]:
        alike = (result["metric"], result.get("versus"), result["slice"]) == (gate.measured, gate.opponent, None)
        if alike and result["low"] is not None and f"interval by {gate.by})" in result["gate"] and partitions:
            yield _recorded(result), result["blocks"] / partitions


def _recorded(result: dict[str, Any]) -> GateResolution:
    return GateResolution.of_interval(
        result["low"], result["high"], blocks=result["blocks"], confidence=result["confidence"]
    )  # fmt: skip


def _from_records(spec: Pipeline, gate: PredictionGate, recorded: Sequence[tuple[GateResolution, float]]) -> str:
    assert spec.train is not None
    blocks = max(2, round(spec.train.test * statistics.median(held for _, held in recorded)))
    scatter = statistics.median(one.error * math.sqrt(one.blocks) for one, _ in recorded)
    shown = GateResolution(scatter / math.sqrt(blocks), blocks, gate.confidence)
    times = f"{len(recorded)} recorded verdict{'s' if len(recorded) > 1 else ''}"
    return (
        f"{_begin(spec, gate, blocks)} {_gain(gate, shown)} (by the intervals of {times}){_advice(spec, gate, shown)}"
    )


def _approximately(spec: Pipeline, gate: PredictionGate) -> str:
    """From the number of blocks and two numbers of rows; empty where neither is known."""
    assert spec.train is not None
    if gate.by not in _HOURS:
        return ""
    blocks = max(2, round(spec.train.test * _HOURS[spec.partition] / _HOURS[gate.by]))
    errors = [(rows, approximate_error(gate.measured, blocks=blocks, rows=rows)) for rows in _ROWS]
    said = [
        (f"{rows:,} rows in each", GateResolution(error, blocks, gate.confidence))
        for rows, error in errors if error is not None
    ]  # fmt: skip
    if not said:
        unit = GateResolution(1 / math.sqrt(blocks), blocks, gate.confidence)
        return (
            f"{_begin(spec, gate, blocks)} what lies {unit.margin():.2g} standard deviations between blocks above the "
            f"bound; no verdict is recorded yet, and {gate.measured} has no scale of its own"
        )
    parts = " and ".join(f"{_gain(gate, shown)} with {rows}" for rows, shown in said)
    about = (
        "an approximation, as no verdict is recorded yet; rows of one block are alike, so often two to three times that"
    )
    return f"{_begin(spec, gate, blocks)} {parts} ({about}){_advice(spec, gate, said[-1][1])}"


def _begin(spec: Pipeline, gate: PredictionGate, blocks: int) -> str:
    assert spec.train is not None
    return f"`test: {spec.train.test}` holds about {blocks} blocks by {gate.by}, which show in 8 of 10 cases"


def _gain(gate: PredictionGate, shown: GateResolution) -> str:
    least = gate.bound[1] + shown.margin()
    return f"a gain of {least:+.2g} or more" if least > 0 else f"a candidate that is worse by {-least:.2g} or less"


def _advice(spec: Pipeline, gate: PredictionGate, shown: GateResolution) -> str:
    """What makes an equally good candidate pass, where it mostly would not."""
    assert spec.train is not None
    bound, margin = gate.bound[1], shown.margin()
    if bound + margin <= 0 or bound > 0:
        return ""
    equal = f"; a candidate that only equals {gate.opponent} mostly fails"
    lower = f"`lower_bound: {-math.ceil(margin * 1000) / 1000:g}`"
    needed = shown.blocks_for(-bound) if bound else None
    if needed is None:
        return f"{equal}: {lower} lets it pass"
    return f"{equal}: `test: {math.ceil(spec.train.test * needed / shown.blocks)}` or {lower} lets it pass"
