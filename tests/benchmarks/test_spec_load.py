"""How long it takes to load pipelines, beside what PyYAML alone takes; printed, not asserted."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from tradewind.spec.load import load_pipeline

ROUNDS = 100


def median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)


def test_time_to_load_one_pipeline(project: Path) -> None:
    path = project / "dags" / "flight_delay.yaml"
    ours = median_ms(lambda: load_pipeline(path))
    fast = median_ms(lambda: yaml.load(path.read_text(), Loader=yaml.CSafeLoader))
    slow = median_ms(lambda: yaml.safe_load(path.read_text()))
    print(f"\nload one pipeline: {ours:.2f} ms, {ROUNDS} of them {ours * ROUNDS:.0f} ms")
    print(f"  / PyYAML CSafeLoader, no checks {fast:.2f} ms = {ours / fast:.2f}")
    print(f"  / PyYAML SafeLoader, no checks  {slow:.2f} ms = {ours / slow:.2f}")


def test_time_to_import_the_loader() -> None:
    code = "import time; t = time.perf_counter(); import tradewind.spec.load; print(time.perf_counter() - t)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    print(f"\nimport tradewind.spec.load: {statistics.median(runs) * 1e3:.0f} ms")
