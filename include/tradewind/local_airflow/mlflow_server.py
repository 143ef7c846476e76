"""MLflow's own command line, on tables that are whole: ``python -m`` with this module, ``URI server …``."""

from __future__ import annotations

import runpy
import sys

from tradewind.registry import mlflow_schema

if __name__ == "__main__":
    mlflow_schema.create_mlflow_tables(sys.argv.pop(1))
    runpy.run_module("mlflow", run_name="__main__", alter_sys=True)
