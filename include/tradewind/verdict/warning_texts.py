"""Warnings of a verdict: what no gate forbids, and the person who decides should know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tradewind.metrics.judged_rows import CANDIDATE, CHAMPION
from tradewind.spec.gates import prediction_gates

if TYPE_CHECKING:
    from tradewind.core.gate_results import GateResult
    from tradewind.ledger.champions import ChampionChange
    from tradewind.ledger.journal import Entry
    from tradewind.registry.model_registry import RegisteredVersion
    from tradewind.verdict.evaluation_processes import CandidateEvaluation

FEW_BLOCKS = 20
"""With fewer, intervals from resampled blocks are narrower than they say (Cameron, Gelbach and Miller 2008)."""


def verdict_warnings(
    found: CandidateEvaluation, results: Sequence[GateResult], *,
    candidate: RegisteredVersion, champion: ChampionChange | None, trained: Entry | None,
) -> list[str]:  # fmt: skip
    """All warnings, those of the training first.

    :param trained: the ledger's entry of kind ``trained`` of the candidate
    """
    lines = [*_training_warnings(candidate, trained), *found.remarks, *_comparison_warnings(found, champion, candidate)]
    return list(dict.fromkeys([*lines, *_result_warnings(results)]))


def _training_warnings(candidate: RegisteredVersion, trained: Entry | None) -> Iterator[str]:
    if trained is not None:
        yield from (str(warning) for warning in trained.evidence.get("warnings", ()))
    if candidate.tags.get("tradewind.serialization") == "pickle":
        yield "The model is stored with pickle: whoever loads it runs code of whoever wrote the file."
    tags = candidate.tags
    if "tradewind.refit_of" not in tags and json.loads(tags.get("tradewind.test_partitions", "[]")) == []:
        yield "Nobody recorded which partitions the test rows come from."


def _comparison_warnings(
    found: CandidateEvaluation, champion: ChampionChange | None, candidate: RegisteredVersion
) -> Iterator[str]:
    compared = any(gate.opponent == "champion" for gate in prediction_gates(found.gates).values())
    if champion is None:
        yield "Not compared with a champion: there is none, so only the other gates judge."
    elif not compared:
        yield f"No gate compares it with the champion, version {champion.model_version}."
    elif CHAMPION in found.test.fit_end:
        yield from _seen_rows_warnings(found, champion, candidate)


def _seen_rows_warnings(
    found: CandidateEvaluation, champion: ChampionChange, candidate: RegisteredVersion
) -> Iterator[str]:
    ours, theirs = (found.test.since(found.test.fit_end[name]) for name in (CANDIDATE, CHAMPION))
    if len(theirs.y) >= len(ours.y):
        return
    text = (
        f"The champion, version {champion.model_version}, has learned from rows until "
        f"{found.test.fit_end[CHAMPION]:%Y-%m-%d %H:%M} UTC: {len(theirs.y)} of {len(ours.y)} test rows, which neither "
        "has seen, compare the two."
    )
    tests = len(json.loads(candidate.tags.get("tradewind.test_partitions", "[]")))
    if champion.evidence.get("refit_of") and tests > 1:
        text += (
            f" It was fitted on its whole window (`train.refit`); with `retrain.cooldown: {tests - 1}` or more, all "
            "test rows of the next candidate would lie behind it."
        )
    yield text


def _result_warnings(results: Sequence[GateResult]) -> Iterator[str]:
    few = {(result.blocks, result.gate) for result in results if result.low is not None and result.blocks < FEW_BLOCKS}
    for blocks in sorted({blocks for blocks, _ in few}):
        count = sum(known == blocks for known, _ in few)
        yield (
            f"The intervals of {count} gate{'s' if count > 1 else ''} rest on {blocks} blocks only: with fewer than "
            f"{FEW_BLOCKS}, they are narrower than they say."
        )
    for result in results:
        if result.outcome == "skipped":
            where = f" [{result.slice}]" if result.slice else ""
            yield f"Not judged: {result.gate}{where}: {result.reason}."
