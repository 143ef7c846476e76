"""Great Expectations suites: read from JSON, run in DuckDB and, where that is not the same, on a frame in memory."""

from __future__ import annotations

import difflib
import json
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.checks import database_pass
from tradewind.checks.audit_result import CheckOutcome, CheckResult
from tradewind.checks.regexes import check_regexes
from tradewind.checks.row_conditions import VIEW, split_condition
from tradewind.engine.condition_sql import find_condition_flaw
from tradewind.errors import SpecError
from tradewind.lake.staging import StagedPartition

if TYPE_CHECKING:
    import pyarrow as pa
    from great_expectations.expectations.expectation import Expectation

_CONDITION = "tradewind_row_condition"
_EXAMPLES = 5


def load_great_expectations() -> None:
    """Import Great Expectations with its telemetry off, which must be said before the import."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    # It logs each of two hundred functions that its documentation leaves out.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # Its modules use what Python and pydantic have deprecated.
        warnings.simplefilter("ignore")
        import great_expectations  # noqa: F401 - for what the import does
    # It asks to be heard, and tells of a folder that is gone by then.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)


def evaluate_suite(suite: Path, rows: StagedPartition, *, frame_rows: int) -> list[CheckResult]:
    """Evaluate every expectation of a suite, in the order of the file.

    DuckDB computes what it can, all of it in one pass; Great Expectations judges the numbers as it judges its own. What
    DuckDB cannot compute runs on a frame in memory of the columns that it names.

    :param suite: JSON as Great Expectations writes it: ``{"name": …, "expectations": [{"type": …, "kwargs": {…}}]}``
    :param frame_rows: with more rows than this no frame is made, and what needs one is an error
    :raises SpecError: the file is no such suite, or names an expectation or argument that does not exist
    """
    expectations = read_suite(suite)
    done: dict[int, Any] = {}
    for condition in dict.fromkeys(map(expectation_condition, expectations)):
        some = [expectation for expectation in expectations if expectation_condition(expectation) == condition]
        done |= _evaluate_expectations(some, rows, condition=condition, frame_rows=frame_rows)
    return [
        found if isinstance(found, CheckResult) else _check_result(found)
        for found in (done[n] for n in range(len(done)))
    ]


def expectation_condition(expectation: Expectation) -> str | None:
    """SQL of the rows that an expectation looks at; None for all."""
    condition: str | None = (expectation.configuration.meta or {}).get(_CONDITION)
    return condition


def _evaluate_expectations(
    expectations: list[Expectation], rows: StagedPartition, *, condition: str | None, frame_rows: int
) -> dict[int, Any]:  # fmt: skip
    """Results, by place, of expectations that look at the same rows."""
    import duckdb

    if condition is not None and (flaw := find_condition_flaw(rows.schema, condition, view=VIEW)) is not None:
        return {
            database_pass.suite_position(one): _not_evaluated(one, f"`row_condition`: {flaw.message}")
            for one in expectations
        }
    done = database_pass.evaluate_in_duckdb(expectations, rows, examples=_EXAMPLES, condition=condition)
    rest = [expectation for expectation in expectations if database_pass.suite_position(expectation) not in done]
    if lost := [expectation for expectation in rest if _has_unknown_column(expectation, rows)]:
        done |= _evaluate_on_frame(lost, rows.schema.empty_table())  # it says which column, whatever the rows are
    rest = [expectation for expectation in rest if not _has_unknown_column(expectation, rows)]
    done |= {
        database_pass.suite_position(one): _not_evaluated(
            one, "a regular expression needs a column of text: cast it in SQL"
        )
        for one in rest
        if _has_regex(one)
    }
    rest = [expectation for expectation in rest if not _has_regex(expectation)]
    if not rest:
        return done
    try:
        table = database_pass.read_staged_table(
            rows, _needed_columns(rest, rows.schema.names), condition=condition, at_most=frame_rows
        )
    except duckdb.Error as exc:
        why = f"`row_condition`: {str(exc).strip().splitlines()[0]}"
        return done | {database_pass.suite_position(one): _not_evaluated(one, why) for one in rest}
    if table.num_rows > frame_rows:
        return done | {
            database_pass.suite_position(one): _not_evaluated(one, _too_many_rows_reason(rows.rows, frame_rows))
            for one in rest
        }
    return done | _evaluate_on_frame(rest, table)


def _has_regex(expectation: Expectation) -> bool:
    return not {"regex", "regex_list"}.isdisjoint(expectation.configuration.kwargs)


def _has_unknown_column(expectation: Expectation, rows: StagedPartition) -> bool:
    about_columns = expectation.configuration.type.startswith("expect_table_") or (
        expectation.configuration.type == "expect_column_to_exist"
    )
    return not about_columns and bool(database_pass.unknown_columns(expectation.configuration.kwargs, rows.schema))


def _evaluate_on_frame(expectations: list[Expectation], table: pa.Table) -> dict[int, Any]:
    import great_expectations as gx
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("staged").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table.to_pandas()})
    validation = batch.validate(
        ExpectationSuite(name="rest", expectations=expectations),
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": _EXAMPLES},
    )
    return {_result_position(found): found for found in validation.results}


def _needed_columns(expectations: list[Expectation], names: list[str]) -> list[str]:
    """The columns that expectations name; all where one looks at the table."""
    needed: set[str] = set()
    for expectation in expectations:
        kwargs = expectation.configuration.kwargs
        named = {kwargs[name] for name in ("column", "column_A", "column_B") if kwargs.get(name)}
        named |= set(kwargs.get("column_list") or ())
        if not named:
            return names
        needed |= named
    return [name for name in names if name in needed]


def _too_many_rows_reason(rows: int, limit: int) -> str:
    return (
        f"this expectation needs all rows in memory: there are {rows:,}, and `audit.frame_rows` allows {limit:,}; "
        "allow more, or use an expectation that the database can compute"
    )


def _not_evaluated(expectation: Expectation, why: str) -> CheckResult:
    config = expectation.configuration
    return CheckResult(name=config.type, text=_expectation_text(config), outcome="error", observed=why)


def read_suite(suite: Path) -> list[Expectation]:
    """The expectations of a suite file; each knows its place in the file.

    :raises SpecError: see :func:`evaluate_suite`
    """
    return [parse_expectation(entry, number, suite) for number, entry in enumerate(read_suite_entries(suite))]


def read_suite_entries(suite: Path) -> list[Any]:
    """What stands in the list of a suite file.

    :raises SpecError: the file is not a suite
    """
    try:
        content = json.loads(suite.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise SpecError(f"{suite}: there is no such file") from exc
    except UnicodeDecodeError as exc:
        raise SpecError(f"{suite}: this is not UTF-8: {exc}") from exc
    except RecursionError as exc:
        raise SpecError(f"{suite}: there are too many lists or objects inside each other") from exc
    except json.JSONDecodeError as exc:
        raise SpecError(f"{suite}:{exc.lineno}:{exc.colno}: this is not JSON: {exc.msg}") from exc
    found = content.get("expectations") if isinstance(content, dict) else None
    if not isinstance(found, list) or not found:
        raise SpecError(f'{suite}: expected {{"name": …, "expectations": […]}} with at least one expectation')
    return found


def parse_expectation(entry: Any, number: int, suite: Path) -> Expectation:
    """One entry of a suite as Great Expectations' own object.

    :param number: its place in the list, from 0
    :raises SpecError: see :func:`evaluate_suite`
    """
    load_great_expectations()
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    where = f"{suite}: expectation {number + 1}"
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        raise SpecError(f'{where}: expected {{"type": …, "kwargs": {{…}}}}')
    kind = entry["type"]
    extra = {name: entry[name] for name in ("description", "severity") if name in entry}
    try:
        kwargs, condition = split_condition(entry.get("kwargs") or {})
        check_regexes(kwargs)
        meta = {**(entry.get("meta") or {}), database_pass.PLACE: number, _CONDITION: condition}
        return ExpectationConfiguration(type=kind, kwargs=kwargs, meta=meta, **extra).to_domain_obj()
    except ExpectationNotFoundError as exc:
        close = difflib.get_close_matches(kind, list_registered_expectation_implementations(), n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        raise SpecError(f"{where}: Great Expectations knows no `{kind}`{hint}") from exc
    except (ValueError, TypeError) as exc:
        raise SpecError(f"{where} (`{kind}`): {' '.join(str(exc).split())}") from exc


def _result_position(found: Any) -> int:
    return int(found.expectation_config.meta[database_pass.PLACE])


def _check_result(found: Any) -> CheckResult:
    config = found.expectation_config
    trouble = _evaluation_error(found.exception_info or {})
    outcome: CheckOutcome = "error" if trouble else "passed" if found.success else "failed"
    return CheckResult(
        name=config.type,
        text=_expectation_text(config),
        outcome=outcome,
        observed=trouble or _observed_text(found.result or {}),
    )


def _evaluation_error(info: dict[str, Any]) -> str:
    """What went wrong in the evaluation itself; empty if nothing did. GX has two shapes for it."""
    parts = [info] if "raised_exception" in info else [part for part in info.values() if isinstance(part, dict)]
    raised = dict.fromkeys(str(part.get("exception_message")) for part in parts if part.get("raised_exception"))
    return "; ".join(raised)


def _expectation_text(config: Any) -> str:
    condition = (config.meta or {}).get(_CONDITION)
    return (config.description or _expectation_sentence(config.type, config.kwargs)) + (
        f", where {condition}" if condition else ""
    )


def _expectation_sentence(kind: str, kwargs: dict[str, Any]) -> str:
    """``expect_column_values_to_be_between`` and its arguments as a sentence."""
    sentence = kind.removeprefix("expect_").replace("_", " ").replace(" to ", " must ", 1)
    column = kwargs.get("column")
    if column and sentence.startswith("column "):
        sentence = f"`{column}`: {sentence.removeprefix('column ')}"
    lines = [
        f"{name.replace('_', ' ')} {value}" for name, value in kwargs.items() if name not in ("column", "batch_id")
    ]
    return sentence + (f" ({', '.join(lines)})" if lines else "")


def _observed_text(result: dict[str, Any]) -> str:
    if "observed_value" in result:
        mismatched = (result.get("details") or {}).get("mismatched")
        return f"{result['observed_value']}" + (f"; {mismatched}" if mismatched else "")
    if "unexpected_count" not in result:
        return ""
    count, total = result["unexpected_count"], result.get("element_count", 0)
    missing = f"; {result['missing_count']:,} are NULL" if result.get("missing_count") else ""
    if not count:
        return f"all of {total:,} rows{missing}"
    examples = ", ".join(dict.fromkeys(str(value) for value in result.get("partial_unexpected_list", [])))
    return f"{count:,} of {total:,} rows are otherwise ({count / total:.3%}), for example {examples}{missing}"
