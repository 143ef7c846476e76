"""What the latency check finds on a quiet machine and beside others that want its processors, and the naive figure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tests.unit.verdict.test_serving_checks import COLUMNS, save, table

from tradewind.isolation.model_client import ModelHost
from tradewind.spec.check_gate import CheckGate
from tradewind.verdict.serving_checks import RunningCandidate, measure_serving

BURNERS = int(os.environ.get("TRADEWIND_BENCH_BURNERS", "4"))
REPEATS = 10


@contextmanager
def busy(number: int) -> Iterator[None]:
    """So many processes that never rest."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for one in burners:
            one.kill()
            one.wait()


def test_latency_beside_processes_that_never_rest(tmp_path: Path) -> None:
    gate = CheckGate(check="latency", rows=1, at_most=1000)
    print(f"\nlatency of one row on {os.cpu_count()} processors, milliseconds over {REPEATS} measurements each:")
    with ModelHost(save(tmp_path / "model"), name="m version 1", warm=False) as host:
        running = RunningCandidate(host, tmp_path / "model", table(), None, spread=0.5, seed=7)
        for number in (0, BURNERS):
            with busy(number):
                ours, naive = [], []
                for _ in range(REPEATS):
                    ours.append(measure_serving([gate], running=running, loaded={}, wanted=COLUMNS)[0].value)
                    naive.append(
                        1000 * np.percentile(host.latency(table().slice(0, 20), batch=1, tries=1, seconds=60), 95)
                    )
            print(f"  beside {number} busy processes")
            for name, found in (("the check", ours), ("p95 of 20 single calls", naive)):
                print(f"    {name:<24} median {np.median(found):.2f}, largest {max(found):.2f}")
