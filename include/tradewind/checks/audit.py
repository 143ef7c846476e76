"""The audit of staged rows, before anybody else can see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.checks import expectations
from tradewind.checks.report import write
from tradewind.checks.result import Audit, CheckResult, Outcome
from tradewind.checks.trailing import compare
from tradewind.lake.database import connect, quoted
from tradewind.lake.history import Earlier
from tradewind.lake.parquet import files
from tradewind.lake.staging import Staged
from tradewind.spec.models import Audit as Rules

if TYPE_CHECKING:
    import duckdb

_RULES = Rules()


def audit(
    staged: Staged,
    *,
    suite: Path | None,
    keys: Sequence[str],
    title: str,
    report: Path,
    rules: Rules = _RULES,
    history: Sequence[Earlier] = (),
    facts: Mapping[str, str] | None = None,
) -> Audit:
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
    results = [_not_empty(staged), *_keys(staged, keys), *compare(staged, history, rules=rules)]
    if suite is not None:
        results += expectations.run(suite, staged, frame_rows=rules.frame_rows)
    done = Audit(all(result.outcome == "passed" for result in results), tuple(results), report)
    about = {"dataset": staged.dataset, "partition": staged.key, "rows": f"{staged.rows:,}", "digest": staged.digest}
    if staged.dropped:
        about["duplicates"] = f"{staged.dropped:,} rows left out by the rule for duplicates"
    write(done, title=title, about={**about, **(facts or {})})
    return done


def _not_empty(staged: Staged) -> CheckResult:
    outcome: Outcome = "passed" if staged.rows else "failed"
    wrong = "there is no row, and at least one is needed"
    return CheckResult("rows", "There is at least one row.", outcome, f"{staged.rows:,} rows", wrong=wrong)


def _keys(staged: Staged, keys: Sequence[str]) -> list[CheckResult]:
    if not keys:
        return []
    text = f"Together, {', '.join(f'`{key}`' for key in keys)} name a row: no NULL, no duplicate."
    missing = [key for key in keys if key not in staged.schema.names]
    if missing:
        return [CheckResult("keys", text, "error", f"there is no column {', '.join(missing)}")]
    rows, named = files(staged.paths), ", ".join(map(quoted, keys))
    with connect(staged.folder) as connection:
        counts = ", ".join(f"count(*) - count({quoted(key)})" for key in keys)
        nulls = zip(keys, connection.execute(f"SELECT {counts} FROM {rows}").fetchall()[0], strict=True)
        [(groups,)] = connection.execute(f"SELECT count(*) FROM (SELECT {named} FROM {rows} GROUP BY ALL)").fetchall()
        found = [f"{count:,} rows have NULL in `{key}`" for key, count in nulls if count]
        if groups < staged.rows:
            example = _example(connection, rows, keys)
            found.append(f"{staged.rows - groups:,} rows more than keys, for example {example}")
    told = "; ".join(found)
    wrong = f"{', '.join(f'`{key}`' for key in keys)} {'do' if len(keys) > 1 else 'does'} not name a row: {told}"
    return [CheckResult("keys", text, "failed" if found else "passed", told or "all different", wrong=wrong)]


def _example(connection: duckdb.DuckDBPyConnection, rows: str, keys: Sequence[str]) -> str:
    named = ", ".join(map(quoted, keys))
    twice = f"SELECT {named}, count(*) AS n FROM {rows} GROUP BY ALL HAVING n > 1 ORDER BY ALL LIMIT 1"
    [(*values, count)] = connection.execute(twice).fetchall()
    return ", ".join(f"{key} {value}" for key, value in zip(keys, values, strict=True)) + f" ({count} times)"
