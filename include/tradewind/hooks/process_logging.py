"""Logging of a process that imports Airflow and is none of Airflow's own."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import Any


@contextmanager
def keep_process_logging() -> Iterator[None]:
    """Import Airflow inside this: what the process logs, and how warnings are shown, is afterwards as it was before.

    The import gives the root logger a handler that writes everything from INFO on to standard output, where only the
    answer of a command belongs, and shows warnings there too. What Airflow itself logs goes to standard error.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with warnings.catch_warnings(), redirect_stdout(sys.__stderr__ or sys.stderr):
        yield
    root.handlers[:] = handlers
    root.setLevel(level)
    if "airflow" in sys.modules:
        _log_to_standard_error()


def _log_to_standard_error() -> None:
    """Let loggers of Airflow that are first used from now on write to standard error."""
    import structlog

    structlog.configure(logger_factory=partial(_made_for_standard_error, structlog.get_config()["logger_factory"]))


def _made_for_standard_error(make: Callable[..., Any], *names: Any) -> Any:
    # A logger without a file of its own takes what is standard output when it is made.
    with redirect_stdout(sys.__stderr__ or sys.stderr):
        return make(*names)
