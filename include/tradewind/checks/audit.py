"""The audit of staged rows, before anybody else can see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.checks import expectations
from tradewind.checks.report import write
from tradewind.checks.result import Audit, CheckResult, Outcome
from tradewind.lake.staging import Staged

if TYPE_CHECKING:
    import pyarrow as pa


def audit(staged: Staged, *, suite: Path | None, keys: Sequence[str], title: str, report: Path) -> Audit:
    """Check staged rows and write the report.

    There must be a row, and keys must be whole and unique, whatever the suite says: Great Expectations passes an
    empty frame. The whole partition is read into memory.

    :param suite: Great Expectations suite as JSON; None for no more checks than these
    :param keys: columns that together name a row; empty for no such check
    :param title: what the report calls the partition
    :param report: where the report is written
    :raises SpecError: the suite cannot be used
    """
    rows = _rows(staged)
    results = [_not_empty(rows), *_keys(rows, keys)]
    if suite is not None:
        # Dates stay Python dates: only these compare with the dates of a JSON suite.
        results += expectations.run(suite, rows.to_pandas())
    done = Audit(all(result.outcome == "passed" for result in results), tuple(results), report)
    write(done, title=title, dataset=staged.dataset, partition=staged.key, rows=staged.rows, digest=staged.digest)
    return done


def _rows(staged: Staged) -> pa.Table:
    import pyarrow.dataset as pads

    return pads.dataset([str(path) for path in staged.paths], schema=staged.schema, format="parquet").to_table()


def _not_empty(rows: pa.Table) -> CheckResult:
    outcome: Outcome = "passed" if rows.num_rows else "failed"
    return CheckResult("rows", "There is at least one row.", outcome, f"{rows.num_rows:,} rows")


def _keys(rows: pa.Table, keys: Sequence[str]) -> list[CheckResult]:
    if not keys:
        return []
    text = f"Together, {', '.join(f'`{key}`' for key in keys)} name a row: no NULL, no duplicate."
    missing = [key for key in keys if key not in rows.schema.names]
    if missing:
        return [CheckResult("keys", text, "error", f"there is no column {', '.join(missing)}")]
    nulls = {key: count for key in keys if (count := rows[key].null_count)}
    duplicates = rows.num_rows - rows.group_by(list(keys)).aggregate([]).num_rows
    found = [f"{count:,} rows have NULL in `{key}`" for key, count in nulls.items()]
    found += [f"{duplicates:,} rows more than keys, for example {_example(rows, keys)}"] if duplicates else []
    return [CheckResult("keys", text, "failed" if found else "passed", "; ".join(found) or "all different")]


def _example(rows: pa.Table, keys: Sequence[str]) -> str:
    import pyarrow.compute as pc

    counted = rows.group_by(list(keys)).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1)).slice(0, 1).to_pylist()[0]
    return ", ".join(f"{key} {twice[key]}" for key in keys) + f" ({twice['count_all']} times)"
