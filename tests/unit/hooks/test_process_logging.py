"""A process that imports Airflow logs as it did before; in processes of their own, since logging is set up once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

IMPORT = """
import json, logging, sys, warnings
from tradewind.hooks.process_logging import keep_process_logging

with keep_process_logging():
    from airflow.sdk import Connection
logging.getLogger("tradewind").info("an ordinary line")
logging.getLogger("tradewind").error("an incident")
warnings.warn("a warning of a library", FutureWarning)
"""
STRUCTURED = """
import structlog
structlog.get_logger("airflow.something").warning("a line of Airflow")
"""


def run_python(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment = {**kept, "AIRFLOW_HOME": str(home)}
    return subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True)


def test_an_imported_airflow_adds_no_line_to_what_a_process_logs(tmp_path: Path) -> None:
    done = run_python(IMPORT, tmp_path)
    assert done.stdout == ""
    assert "an ordinary line" not in done.stderr
    assert [line for line in done.stderr.splitlines() if "incident" in line] == ["an incident"]
    assert "FutureWarning: a warning of a library" in done.stderr


def test_what_airflow_logs_later_is_not_in_the_answer_of_a_command(tmp_path: Path) -> None:
    done = run_python(IMPORT + STRUCTURED, tmp_path)
    assert done.stdout == ""
    assert "a line of Airflow" in done.stderr
