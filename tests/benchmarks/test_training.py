"""Training set, fit and verdict on 63 days of flights, beside a script of one's own that does the same by hand.

What Tradewind adds is everything but ``fit`` and ``predict``: the join at pinned versions, checks of the rows, logging
with signature, example, evidence and importance, registration, the verdict in processes of their own with all gates,
and its report. Nothing is asserted about time. Memory is that of the whole process tree, shared pages counted once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

SCRIPT = Path(__file__).with_name("training.py")
ROUNDS = int(os.environ.get("TRADEWIND_BENCH_ROUNDS", "3"))


def run(what: str, folder: Path) -> dict[str, Any]:
    """Run one of the script's parts; what it printed, and the peak of its memory in MB."""
    command = [sys.executable, str(SCRIPT), what, str(folder)]
    # One thread for each, as the local Airflow's tasks have on two processors.
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2] / "include"), "OMP_NUM_THREADS": "1"}
    with (folder / f"{what}.log").open("w+") as log:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        peak = 0.0
        while running.poll() is None:
            peak = max(peak, memory(running.pid))
            time.sleep(0.25)  # adding up the pages of a process costs it time too
        output = running.communicate()[0]
        log.seek(0)
        assert running.returncode == 0, log.read()
    return {**json.loads(output.splitlines()[-1] if output else "{}"), "peak_mb": peak}


def memory(pid: int) -> float:
    """Proportional memory of a process and all that it started, in MB."""
    total = 0.0
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total / 2**20


@pytest.mark.slow
def test_training_and_verdict_beside_a_bare_script(tmp_path: Path) -> None:
    run("make", tmp_path)
    peers = [run("bare", tmp_path) for _ in range(ROUNDS)]
    peer = sorted(peers, key=lambda one: one["seconds"])[len(peers) // 2]
    ours = run("ours", tmp_path)  # once: a second training of the same would find it there
    added, added_cpu = ours["seconds"] - peer["fit_and_predict"], ours["cpu"] - peer["fit_and_predict_cpu"]
    print(f"\ntraining set, fit and verdict on 63 days of flights ({peer['rows']:,} rows):")
    print(
        f"  Tradewind: {ours['seconds']:.1f} s (train {ours['train']:.1f}, verdict {ours['verdict']:.1f}; "
        f"{ours['cpu']:.1f} s of CPU), peak {ours['peak_mb']:.0f} MB"
    )
    print(
        f"  / bare DuckDB and scikit-learn: {peer['seconds']:.1f} s ({peer['cpu']:.1f} s of CPU), of it fit and "
        f"predict {peer['fit_and_predict']:.1f} s ({peer['fit_and_predict_cpu']:.1f}), peak {peer['peak_mb']:.0f} MB"
    )
    print(
        f"  around fit and predict: {added:.1f} s, {added / ours['seconds']:.0%} of the whole ({added_cpu:.1f} s of "
        f"CPU); memory {ours['peak_mb'] / peer['peak_mb']:.2f} times"
    )
    assert ours["auc"] == pytest.approx(peer["auc"], abs=1e-9)  # the same rows, the same model
