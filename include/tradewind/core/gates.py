"""Gates: may a candidate serve? Test rows in, one result a gate out, and the decision over all of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tradewind.core import case_judgement, gate_cases
from tradewind.core.gate_results import GateResult, Measurement
from tradewind.core.judged_rows import TestRows
from tradewind.spec.gates import CheckGate

if TYPE_CHECKING:
    from tradewind.spec.gates import Gate, VerdictSpec

log = logging.getLogger(__name__)


def judge_gates(
    gates: Sequence[Gate],
    rows: TestRows,
    *,
    measurements: Mapping[int, Measurement],
    verdict: VerdictSpec,
    seed: int,
) -> tuple[GateResult, ...]:
    """Judge a candidate by every gate.

    Only rows at or after the end of training count: the candidate's, and for a comparison also the other's, because a
    model shines on rows that it has seen.

    With ``verdict.correction: bonferroni`` every interval has the confidence 1 - (1 - confidence) / m, where m counts
    the results that an end of an interval decides (``lower_bound``, ``upper_bound``): one for each such gate without
    slices, and one for each slice of such a gate that has enough rows. What is skipped, and what had too few rows to be
    judged at all, does not count.

    :param measurements: what was measured for each gate that is a check, by its position in ``gates``
    :param verdict: the correction over gates and the number of resamples
    :param seed: of the resampling
    :return: one result a gate, for gates with a slice one for each value that has enough rows, and where values had
        not, one more, skipped, that names them
    :raises ValueError: the test rows do not say when the candidate's training ended, or are no labels and predictions
    """
    planned: list[gate_cases.GateCase | GateResult] = []
    for position, gate in enumerate(gates):
        if isinstance(gate, CheckGate):
            planned.append(case_judgement.judge_check(gate, measurements.get(position)))
        else:
            planned.extend(gate_cases.prepare_case(gate, rows))
    decided = sum(isinstance(item, gate_cases.GateCase) and item.decided_by_interval for item in planned)
    share = max(decided, 1) if verdict.correction == "bonferroni" else 1
    results = tuple(
        item
        if isinstance(item, GateResult)
        else case_judgement.judge_case(item, share=share, resamples=verdict.resamples, seed=seed)
        for item in planned
    )
    for result in results:
        named = f"{result.gate} [{result.slice}]" if result.slice else result.gate
        log.info("gate %s: %s, %s", named, result.outcome, result.reason)
    return results
