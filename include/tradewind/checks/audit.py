"""The audit of staged rows, before anybody else can see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.checks import expectations
from tradewind.checks.audit_page import write_audit_page
from tradewind.checks.audit_result import AuditResult, CheckOutcome, CheckResult
from tradewind.checks.history_checks import compare_with_history
from tradewind.engine.database import connect_duckdb, quote_identifier
from tradewind.lake.history import EarlierPartition
from tradewind.lake.parquet import select_files
from tradewind.lake.staging import StagedPartition
from tradewind.spec.pipeline import AuditRules as Rules

if TYPE_CHECKING:
    import duckdb

_RULES = Rules()


def audit_partition(
    staged: StagedPartition,
    *,
    suite: Path | None,
    keys: Sequence[str],
    title: str,
    report: Path,
    rules: Rules = _RULES,
    history: Sequence[EarlierPartition] = (),
    facts: Mapping[str, str] | None = None,
) -> AuditResult:
    """Check staged rows and write the report, in bounded memory.

    Whatever the suite says, there must be a row (Great Expectations passes an empty frame), keys must be whole and
    unique, and rows and NULLs must be as many as in earlier partitions.

    :param suite: Great Expectations suite as JSON; None for no more checks than these
    :param keys: columns that together name a row; empty for no such check
    :param title: what the report calls the partition
    :param report: where the report is written
    :param rules: the YAML's `audit`
    :param history: earlier partitions that rows and NULLs are compared with, in order
    :param facts: more lines for the top of the report, by what they are called
    :raises SpecError: the suite cannot be used
    """
    results = [
        _check_not_empty(staged),
        *_check_keys(staged, keys),
        *compare_with_history(staged, history, rules=rules),
    ]
    if suite is not None:
        results += expectations.evaluate_suite(suite, staged, frame_rows=rules.frame_rows)
    done = AuditResult(not any(result.stops for result in results), tuple(results), report)
    about = {"dataset": staged.dataset, "partition": staged.key, "rows": f"{staged.rows:,}", "digest": staged.digest}
    if staged.dropped:
        about["duplicates"] = f"{staged.dropped:,} rows left out by the rule for duplicates"
    write_audit_page(done, title=title, about={**about, **(facts or {})})
    return done


def _check_not_empty(staged: StagedPartition) -> CheckResult:
    outcome: CheckOutcome = "passed" if staged.rows else "failed"
    wrong = "there is no row, and at least one is needed"
    return CheckResult("rows", "There is at least one row.", outcome, f"{staged.rows:,} rows", wrong=wrong)


def _check_keys(staged: StagedPartition, keys: Sequence[str]) -> list[CheckResult]:
    if not keys:
        return []
    text = f"Together, {', '.join(f'`{key}`' for key in keys)} name a row: no NULL, no duplicate."
    missing = [key for key in keys if key not in staged.schema.names]
    if missing:
        return [CheckResult("keys", text, "error", f"there is no column {', '.join(missing)}")]
    rows, named = select_files(staged.paths), ", ".join(map(quote_identifier, keys))
    with connect_duckdb(staged.folder) as connection:
        counts = ", ".join(f"count(*) - count({quote_identifier(key)})" for key in keys)
        nulls = zip(keys, connection.execute(f"SELECT {counts} FROM {rows}").fetchall()[0], strict=True)
        [(groups,)] = connection.execute(f"SELECT count(*) FROM (SELECT {named} FROM {rows} GROUP BY ALL)").fetchall()
        found = [f"{count:,} rows have NULL in `{key}`" for key, count in nulls if count]
        if groups < staged.rows:
            example = _duplicate_example(connection, rows, keys)
            found.append(f"{staged.rows - groups:,} rows more than keys, for example {example}")
    message = "; ".join(found)
    wrong = f"{', '.join(f'`{key}`' for key in keys)} {'do' if len(keys) > 1 else 'does'} not name a row: {message}"
    return [CheckResult("keys", text, "failed" if found else "passed", message or "all different", wrong=wrong)]


def _duplicate_example(connection: duckdb.DuckDBPyConnection, rows: str, keys: Sequence[str]) -> str:
    named = ", ".join(map(quote_identifier, keys))
    twice = f"SELECT {named}, count(*) AS n FROM {rows} GROUP BY ALL HAVING n > 1 ORDER BY ALL LIMIT 1"
    [(*values, count)] = connection.execute(twice).fetchall()
    return ", ".join(f"{key} {value}" for key, value in zip(keys, values, strict=True)) + f" ({count} times)"
