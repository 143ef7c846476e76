"""What is wrong with the gates of a pipeline, each by itself and all together."""

from __future__ import annotations

from collections.abc import Iterator

from tradewind.spec.gate_kind import GateContext
from tradewind.spec.gates import prediction_gates
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.problems import Finding


def check_gates(spec: Pipeline) -> Iterator[Finding]:
    """What is wrong with each gate where `train` and `verdict` are as they are."""
    for name in sorted({"champion", "majority"} & set(spec.verdict.heuristics)):
        message = f"`versus: {name}` means something else already; choose another name"
        yield Finding(("verdict", "heuristics", name), message, on_key=True)
    yield from _first_champion(spec)
    train = spec.train
    context = GateContext(
        task=train.task if train else "binary",
        columns=(*train.columns, *spec.verdict.columns) if train else None,
        heuristics=tuple(spec.verdict.heuristics),
        metrics=spec.metrics,
    )
    for index, gate in enumerate(spec.gates):
        yield from gate.find_flaws(context, ("gates", index))


def _first_champion(spec: Pipeline) -> Iterator[Finding]:
    """Gates that would let no candidate become the first champion, ever."""
    judging = prediction_gates(spec.gates).values()
    expected = "a gate with `metric` and without `versus`, or against `majority` or a name of `verdict.heuristics`"
    if spec.gates and not judging:
        message = "every gate is a `check`: nothing judges what the candidate predicts"
        yield Finding(("gates",), message, expected=expected, on_key=True)
    elif judging and all(gate.opponent == "champion" for gate in judging):
        message = "every gate compares with the champion: nothing would judge the first candidate, which has none"
        yield Finding(("gates",), message, expected=expected, on_key=True)
