"""Great Expectations suites: read from JSON, run on a frame in memory."""

from __future__ import annotations

import difflib
import json
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.checks.result import CheckResult, Outcome
from tradewind.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.expectations.expectation import Expectation

_NUMBER = "tradewind_check"
_EXAMPLES = 5


def load_great_expectations() -> None:
    """Import Great Expectations with its telemetry off, which must be said before the import."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        # Its modules use what Python and pydantic have deprecated.
        warnings.simplefilter("ignore")
        import great_expectations  # noqa: F401 - for what the import does
    # It asks to be heard, and tells of a folder that is gone by then.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)


def run(suite: Path, frame: pd.DataFrame) -> list[CheckResult]:
    """Evaluate every expectation of a suite on ``frame``, in the order of the file.

    :param suite: JSON as Great Expectations writes it: ``{"name": …, "expectations": [{"type": …, "kwargs": {…}}]}``
    :raises SpecError: the file is no such suite, or names an expectation or argument that does not exist
    """
    load_great_expectations()
    import great_expectations as gx
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.data_context.types.base import ProgressBarsConfig

    expectations = read(suite)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("staged").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    validation = batch.validate(
        ExpectationSuite(name=suite.stem, expectations=expectations),
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": _EXAMPLES},
    )
    return [_result(found) for found in sorted(validation.results, key=lambda found: _number(found))]


def read(suite: Path) -> list[Expectation]:
    """The expectations of a suite file; each knows its place in the file.

    :raises SpecError: see :func:`run`
    """
    return [expectation(entry, number, suite) for number, entry in enumerate(entries(suite))]


def entries(suite: Path) -> list[Any]:
    """What stands in the list of a suite file.

    :raises SpecError: the file is no suite
    """
    try:
        content = json.loads(suite.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise SpecError(f"{suite}: there is no such file") from exc
    except json.JSONDecodeError as exc:
        raise SpecError(f"{suite}:{exc.lineno}:{exc.colno}: this is not JSON: {exc.msg}") from exc
    found = content.get("expectations") if isinstance(content, dict) else None
    if not isinstance(found, list) or not found:
        raise SpecError(f'{suite}: expected {{"name": …, "expectations": […]}} with at least one expectation')
    return found


def expectation(entry: Any, number: int, suite: Path) -> Expectation:
    """One entry of a suite as Great Expectations' own object.

    :param number: its place in the list, from 0
    :raises SpecError: see :func:`run`
    """
    load_great_expectations()
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    where = f"{suite}: expectation {number + 1}"
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        raise SpecError(f'{where}: expected {{"type": …, "kwargs": {{…}}}}')
    kind, kwargs = entry["type"], entry.get("kwargs", {})
    extra = {name: entry[name] for name in ("description", "severity") if name in entry}
    meta = {**(entry.get("meta") or {}), _NUMBER: number}
    try:
        return ExpectationConfiguration(type=kind, kwargs=kwargs, meta=meta, **extra).to_domain_obj()
    except ExpectationNotFoundError as exc:
        close = difflib.get_close_matches(kind, list_registered_expectation_implementations(), n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        raise SpecError(f"{where}: Great Expectations knows no `{kind}`{hint}") from exc
    except (ValueError, TypeError) as exc:
        raise SpecError(f"{where} (`{kind}`): {' '.join(str(exc).split())}") from exc


def _number(found: Any) -> int:
    return int(found.expectation_config.meta[_NUMBER])


def _result(found: Any) -> CheckResult:
    config = found.expectation_config
    trouble = _trouble(found.exception_info or {})
    outcome: Outcome = "error" if trouble else "passed" if found.success else "failed"
    return CheckResult(
        name=config.type,
        text=config.description or _words(config.type, config.kwargs),
        outcome=outcome,
        observed=trouble or _observed(found.result or {}),
    )


def _trouble(info: dict[str, Any]) -> str:
    """What went wrong in the evaluation itself; empty if nothing did. GX has two shapes for it."""
    parts = [info] if "raised_exception" in info else [part for part in info.values() if isinstance(part, dict)]
    raised = dict.fromkeys(str(part.get("exception_message")) for part in parts if part.get("raised_exception"))
    return "; ".join(raised)


def _words(kind: str, kwargs: dict[str, Any]) -> str:
    """``expect_column_values_to_be_between`` and its arguments as a sentence."""
    sentence = kind.removeprefix("expect_").replace("_", " ").replace(" to ", " must ", 1)
    column = kwargs.get("column")
    if column and sentence.startswith("column "):
        sentence = f"`{column}`: {sentence.removeprefix('column ')}"
    told = [f"{name.replace('_', ' ')} {value}" for name, value in kwargs.items() if name not in ("column", "batch_id")]
    return sentence + (f" ({', '.join(told)})" if told else "")


def _observed(result: dict[str, Any]) -> str:
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
