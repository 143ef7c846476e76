from __future__ import annotations

import subprocess
import sys

CODE = """
import logging
logging.basicConfig(level=logging.INFO)
from tradewind.checks.expectations import load_great_expectations
load_great_expectations()
"""


def test_importing_great_expectations_logs_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], text=True, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
