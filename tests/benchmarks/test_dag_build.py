"""How long it takes to build the DAGs of many pipelines, beside the same DAGs written by hand and beside dag-factory.

dag-factory is no dependency: put it on the path (``pip install --no-deps --target DIR dag-factory``, PYTHONPATH=DIR) to
have it measured too.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.build_dags import prepare

PIPELINES = int(os.environ.get("TRADEWIND_BENCH_PIPELINES", "100"))
ROUNDS = 5
SCRIPT = Path(__file__).with_name("build_dags.py")


def test_time_to_build_the_dags_of_many_pipelines(project: Path, tmp_path: Path) -> None:
    prepare(tmp_path, project, pipelines=PIPELINES)
    command = [sys.executable, str(SCRIPT), str(tmp_path), str(ROUNDS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["shapes"]["yaml"] == found["shapes"]["hand"]

    print(f"\n{PIPELINES} pipelines, {PIPELINES * 6} DAGs, CPU seconds (median of {ROUNDS} rounds, smallest):")
    for name, seconds in found["seconds"].items():
        ratios = [one / hand for one, hand in zip(seconds, found["seconds"]["hand"], strict=True)]
        ratio = f"{statistics.median(ratios):.2f} × by hand"
        print(f"  {name:<12} {statistics.median(seconds):.2f} s, {min(seconds):.2f} s, {ratio}")
    if "dag-factory" not in found["seconds"]:
        print("  dag-factory  not measured: it is not installed here")
