"""Import Feast so that it leaves nothing behind."""

from __future__ import annotations

import importlib
import os
import sys

_PROMETHEUS = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")


def import_feast() -> None:
    """Import Feast, with the metrics of its server kept in memory; nothing happens if it is imported already.

    Left alone, the import makes a folder of metric files in the temporary directory and names it in the environment.
    A task ends without clean-up, so every task that imports Feast itself would leave a folder behind.
    """
    if "feast.metrics" in sys.modules:
        return
    added = [name for name in _PROMETHEUS if name not in os.environ]
    importlib.import_module("prometheus_client")  # first, while nothing tells it to share values through files
    os.environ.update(dict.fromkeys(added, os.devnull))
    try:
        importlib.import_module("feast.metrics")
    finally:
        for name in added:
            del os.environ[name]
