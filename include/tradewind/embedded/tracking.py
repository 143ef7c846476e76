"""``python -m tradewind.embedded.tracking URI server …``: MLflow's own command line, on tables that are whole."""

from __future__ import annotations

import runpy
import sys

from tradewind.models import tracking_tables

if __name__ == "__main__":
    tracking_tables.make(sys.argv.pop(1))
    runpy.run_module("mlflow", run_name="__main__", alter_sys=True)
