"""The trial of a model or a rule on made-up rows; meant for a process of its own: :mod:`.alone`."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tradewind
from tradewind.errors import ModelError, TradewindError
from tradewind.validation.synthetic_rows import WORDS, SyntheticColumn, make_synthetic_label, make_synthetic_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.training.model_frame import ModelFrame

ROWS = 1000
"""So many rows are made up: enough for leaves, folds and neighbours that ask for some hundreds."""

_ABOUT_COLUMNS = re.compile(
    r"not columns of the dataframe|not a column of the dataframe|is not in list|not in index|are in the \[columns\]"
    r"|'DataFrame' object has no attribute|columns are missing"
)
_OF_VALUES = (ValueError, AssertionError, LookupError, ArithmeticError)


def try_model(request: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Fit the model on made-up rows, let it predict others, and see what its file would hold.

    :param request: ``train``, ``columns`` (:class:`SyntheticColumn` of its input), ``label`` (name, kind, values)
    :return: ``untrusted``: types that `train.trusted` lacks; or what went wrong as :func:`_failure` says it
    """
    return _first_without_failure(lambda missing: _try_fit(request, root, missing=missing), request, root)


def try_rule(request: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Let a rule answer for made-up test rows.

    :param request: ``reference``, ``task``, ``columns`` (:class:`SyntheticColumn` of the rows that judge), ``inputs``
        (names of those that the model sees)
    """
    return _first_without_failure(lambda missing: _try_answer(request, root, missing=missing), request, root)


def _first_without_failure(
    attempt: Callable[[bool], dict[str, Any]], request: Mapping[str, Any], root: Path
) -> dict[str, Any]:
    """Try with missing values, and if that fails without: what fails only with them may never meet one."""
    columns: Sequence[SyntheticColumn] = request["columns"]
    try:
        return attempt(True)
    except Exception as exc:
        failure = _failure(exc, root, columns)
    if failure["certain"] and not failure["unknown"] and any(column.missing for column in columns):
        try:
            found = attempt(False)
        except Exception as exc:
            return _failure(exc, root, columns)
        return {**found, **failure, "certain": False, "when": "where values are missing, and not without them"}
    return failure


def _try_fit(request: Mapping[str, Any], root: Path, *, missing: bool) -> dict[str, Any]:
    from tradewind.isolation.project_code import import_project_code, locate_project_code
    from tradewind.training import estimator as estimators

    train = request["train"]
    with import_project_code(locate_project_code(train.model, root)) as build_model:
        fitted = estimators.fit_estimator(
            build_model, train, _synthetic_frame(request, seed=0, missing=missing), name=train.model
        )
        estimators.predict_rows(fitted, _synthetic_frame(request, seed=1, missing=missing), name=train.model)
        if train.serialization != "skops":
            return {"untrusted": []}
        return {"untrusted": estimators.untrusted_types(fitted, train)}


def _synthetic_frame(request: Mapping[str, Any], *, seed: int, missing: bool) -> ModelFrame:
    from tradewind.training.model_frame import ModelFrame

    train, columns, label = request["train"], request["columns"], request["label"]
    table = make_synthetic_rows(columns, rows=ROWS, seed=seed, missing=missing)
    answer = make_synthetic_label(label["name"], train.task, label["kind"], values=label["values"], rows=ROWS)
    table = table.append_column(label["name"], answer)
    return ModelFrame(table, tuple(column.name for column in columns), "", "", label["name"], train.task)


def _try_answer(request: Mapping[str, Any], root: Path, *, missing: bool) -> dict[str, Any]:
    import pyarrow as pa

    from tradewind.isolation import heuristic_process
    from tradewind.isolation.project_code import import_project_code, locate_project_code
    from tradewind.training.model_frame import cast_model_inputs

    rows: pa.Table = make_synthetic_rows(request["columns"], rows=ROWS, seed=1, missing=missing)
    seen = cast_model_inputs(rows.select(request["inputs"]))
    for name in seen.column_names:
        rows = rows.set_column(rows.column_names.index(name), name, seen[name])
    with import_project_code(locate_project_code(request["reference"], root)) as rule:
        answer = heuristic_process.heuristic_answer_columns(rule(rows.to_pandas()), rows=rows.num_rows)
    heuristic_process.check_heuristic_answer(pa.table(dict(answer)), rows.num_rows, request["task"])
    return {}


def _failure(exc: Exception, root: Path, columns: Sequence[SyntheticColumn]) -> dict[str, Any]:
    """What went wrong.

    :return: ``error`` (message, file, line); ``unknown``: columns that the code names; ``certain``: whether it fails
        with any values, as far as can be seen
    """

    cause = exc.__cause__ if isinstance(exc, TradewindError) and isinstance(exc.__cause__, Exception) else exc
    unknown = _unknown_columns(cause, [column.name for column in columns])
    certain = bool(unknown) or not _depends_on_values(cause, root)
    return {"error": describe_user_error(exc, root), "unknown": unknown, "certain": certain, "when": "on these"}


def _unknown_columns(exc: BaseException | None, columns: Sequence[str]) -> list[str]:
    """Columns that the code asks for and its input does not have, from what pandas and scikit-learn say."""
    found: list[str] = []
    while exc is not None:
        text = str(exc)
        if _ABOUT_COLUMNS.search(text):
            found += re.findall(r"'([^']+)'", text)
        elif isinstance(exc, KeyError) and exc.args and str(exc.args[0]).isidentifier():
            found.append(exc.args[0])
        exc = exc.__cause__ or exc.__context__
    words = {*columns, *WORDS, "DataFrame", "object"}
    return sorted({name for name in found if name not in words})


def _depends_on_values(exc: Exception, root: Path) -> bool:
    """Whether other values might do: the project's own code refuses them, or a library names one that was made up."""
    if isinstance(exc, ModelError):
        return False
    if isinstance(exc, ArithmeticError | MemoryError):
        return True
    text = str(exc)
    if any(word in text for word in WORDS) and "could not convert string" not in text:
        return True
    frames = traceback.extract_tb(exc.__traceback__)
    own = bool(frames) and Path(frames[-1].filename).is_relative_to(root)
    return own and isinstance(exc, _OF_VALUES)


def describe_user_error(exc: BaseException, root: Path) -> dict[str, Any]:
    """What went wrong in the user's own words, and the last line of the project that it went through."""
    cause = exc.__cause__ if isinstance(exc, TradewindError) and exc.__cause__ else exc
    if isinstance(cause, SyntaxError) and cause.filename:
        return {"message": f"{type(cause).__name__}: {cause.msg}", "file": cause.filename, "line": cause.lineno}
    words = str(exc) if isinstance(exc, TradewindError) and cause is exc else f"{type(cause).__name__}: {cause}"
    frames = traceback.extract_tb(cause.__traceback__)
    own = Path(tradewind.__file__).parent
    lines = [f for f in frames if (p := Path(f.filename)).is_relative_to(root) and not p.is_relative_to(own)]
    return {"message": words, "file": lines[-1].filename, "line": lines[-1].lineno} if lines else {"message": words}
