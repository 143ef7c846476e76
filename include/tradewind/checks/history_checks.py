"""A partition held against those before it: how many rows, and which share of each column is NULL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from tradewind.checks.audit_result import CheckOutcome, CheckResult
from tradewind.lake.history import EarlierPartition
from tradewind.lake.staging import StagedPartition, null_counts
from tradewind.spec.pipeline import AuditRules as Rules

_ROWS, _NULLS = "rows as before", "NULLs as before"
_SHOWN = 5


def compare_with_history(
    staged: StagedPartition, history: Sequence[EarlierPartition], *, rules: Rules
) -> list[CheckResult]:
    """Row count and NULL shares beside the earlier partitions.

    :param history: the last partitions before this one, in order
    """
    texts = {
        _ROWS: f"There are between {rules.rows_at_least:g} and {rules.rows_at_most:g} times as many rows as in the "
        f"median of the last {rules.window} partitions.",
        _NULLS: f"No column has a share of NULLs more than {rules.nulls_at_most:.0%}, or more than they differ among "
        f"themselves, above the largest of the last {rules.window} partitions.",
    }
    if len(history) < rules.min_partitions:
        few = f"not compared: only {len(history)} earlier partitions, and it takes {rules.min_partitions}"
        return [CheckResult(name, text, "insufficient", few, trailing=True) for name, text in texts.items()]
    counted = [null_counts(path, staged.schema) for path in staged.paths]
    nulls = {name: sum(file[name] for file in counted) for name in set.intersection(*map(set, counted))}
    return [
        _compare_row_count(texts[_ROWS], staged.rows, history, rules),
        _compare_null_shares(texts[_NULLS], nulls, staged.rows, history, rules),
    ]


def _compare_row_count(text: str, rows: int, history: Sequence[EarlierPartition], rules: Rules) -> CheckResult:
    usual = median(earlier.rows for earlier in history)
    fine = rules.rows_at_least * usual <= rows <= rules.rows_at_most * usual
    times = f", {rows / usual:.2f} times as many" if usual else ""
    observed = f"{rows:,} rows{times}; the median of {history[0].key} to {history[-1].key} is {usual:,.0f}"
    limits = f"at least {rules.rows_at_least:g} and at most {rules.rows_at_most:g} times that are allowed"
    outcome: CheckOutcome = "passed" if fine else "failed"
    return CheckResult(_ROWS, text, outcome, observed, trailing=True, wrong=f"{observed}; {limits}")


def _compare_null_shares(
    text: str, nulls: Mapping[str, int], rows: int, history: Sequence[EarlierPartition], rules: Rules
) -> CheckResult:
    rises = []
    for name, count in nulls.items():
        before = [earlier.nulls[name] / earlier.rows for earlier in history if earlier.rows and name in earlier.nulls]
        if rows and len(before) >= rules.min_partitions:
            # A column that is mostly NULL varies by itself, like the gusts of a calm week.
            allowed = max(rules.nulls_at_most, max(before) - min(before))
            rises.append((count / rows - max(before), name, count / rows, max(before), allowed))
    if not rises:
        nothing = "not compared: nothing is known of the earlier partitions"
        return CheckResult(_NULLS, text, "insufficient", nothing, trailing=True)
    rises.sort(key=lambda rise: (-rise[0], rise[1]))
    over = [rise for rise in rises if rise[0] > rise[4]]
    lines = [f"`{name}` {now:.1%}, at most {then:.1%} before" for _, name, now, then, _ in (over or rises[:1])[:_SHOWN]]
    more = f"; and {len(over) - _SHOWN} more columns" if len(over) > _SHOWN else ""
    observed = ("" if over else "largest change: ") + "; ".join(lines) + more
    wrong = [
        f"column `{name}`: {now:.1%} NULL, at most {then + allowed:.1%} allowed ({then:.1%} at most before)"
        for _, name, now, then, allowed in over[:_SHOWN]
    ]
    outcome: CheckOutcome = "failed" if over else "passed"
    return CheckResult(_NULLS, text, outcome, observed, trailing=True, wrong="; ".join(wrong) + more)
