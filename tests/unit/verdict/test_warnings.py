"""Warnings of a verdict: what no gate forbids, and whoever decides should know."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.gate_results import GateResult
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry
from tradewind.metrics.judged_rows import TestRows
from tradewind.registry.model_registry import RegisteredVersion
from tradewind.spec.metric_gate import MetricGate
from tradewind.verdict.evaluation_processes import CandidateEvaluation
from tradewind.verdict.warning_texts import verdict_warnings

ABSOLUTE = MetricGate(metric="brier", at_most=0.3)
RELATIVE = MetricGate(metric="brier", versus="champion", at_least=0.0)
CHAMPION = ChampionChange("delays", 1, "delays", "1", "2013-03-04")
TRAINED = Entry("delays", "trained", "2", "2013-03-04", "c", evidence={"warnings": ["distance is constant"]})


def warned(
    *results: GateResult, gates=(RELATIVE,), champion: ChampionChange | None = CHAMPION, serialization: str = "skops",
    trained: Entry | None = None, remarks: tuple[str, ...] = (),
) -> list[str]:  # fmt: skip
    rows = TestRows("binary", np.zeros(1), {"candidate": np.zeros(1)}, np.zeros(1, "datetime64[us]"), "UTC")
    tags = {"tradewind.serialization": serialization, "tradewind.test_partitions": '["2013-03-04"]'}
    candidate = RegisteredVersion("delays", "2", "", "", "", tags)
    found = CandidateEvaluation(tuple(gates), rows, {}, remarks=remarks)
    return verdict_warnings(found, results, candidate=candidate, champion=champion, trained=trained)


def result(*, blocks: int = 0, low: float | None = None, outcome="pass", slice_: str | None = None) -> GateResult:
    return GateResult("the gate", "brier", outcome, 0.1, low, low, 0.3, 9, blocks, "because", slice_)


def test_nothing_to_say() -> None:
    assert warned(result(), result(blocks=20, low=0.1)) == []


def test_what_training_warned_of_is_said_again_and_first() -> None:
    assert warned(trained=TRAINED, remarks=("of the rows",)) == ["distance is constant", "of the rows"]


def test_pickle_runs_code() -> None:
    assert warned(serialization="pickle") == [
        "The model is stored with pickle: whoever loads it runs code of whoever wrote the file."
    ]


@pytest.mark.parametrize(
    ("champion", "gates", "said"),
    [
        (None, (ABSOLUTE,), "Not compared with a champion: there is none, so only the other gates judge."),
        (CHAMPION, (ABSOLUTE,), "No gate compares it with the champion, version 1."),
    ],
    ids=["first", "not compared"],
)
def test_who_was_not_compared_is_said(champion, gates, said: str) -> None:
    assert warned(champion=champion, gates=gates) == [said]


def test_few_blocks_are_said_once_for_all_gates() -> None:
    found = warned(result(blocks=7, low=0.1), result(blocks=7, low=0.2, slice_="a=b"), result(blocks=30, low=0.1))
    assert len(found) == 1
    assert "rest on 7 blocks only" in found[0]


def test_what_was_skipped_is_said_with_its_reason() -> None:
    assert warned(result(outcome="skipped", slice_="3 other values")) == [
        "Not judged: the gate [3 other values]: because."
    ]
