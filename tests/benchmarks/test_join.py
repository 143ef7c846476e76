"""A point-in-time join of a million entities over three views, beside Feast's own DuckDB store over Parquet files."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROWS = int(os.environ.get("TRADEWIND_BENCH_JOIN_ROWS", "1000000"))
ROUNDS = 3
SCRIPT = Path(__file__).with_name("point_in_time.py")


def run(*arguments: object) -> str:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measured(what: str, folder: Path) -> dict[str, Any]:
    """The median round, each in a process of its own."""
    rounds: list[dict[str, Any]] = [json.loads(run(what, folder).splitlines()[-1]) for _ in range(ROUNDS)]
    middle = statistics.median(one["seconds"] for one in rounds)
    return next(one for one in rounds if one["seconds"] == middle)


def test_point_in_time_join_beside_feasts_duckdb_store(tmp_path: Path) -> None:
    run("make", tmp_path, ROWS)
    ours, peer = measured("ours", tmp_path), measured("feast", tmp_path)
    print(f"\npoint-in-time join, {ROWS:,} entities, 3 views × 4 features, at pinned versions:")
    for name, one in (("Tradewind", ours), ("Feast's DuckDB store, Parquet files", peer)):
        speed = ROWS / one["seconds"]
        print(f"  {name}: {one['seconds']:.2f} s ({speed:,.0f} rows/s), peak {one['peak_mb']:.0f} MB")
    print(f"  ratio {peer['seconds'] / ours['seconds']:.2f}, peak memory {ours['peak_mb'] / peer['peak_mb']:.2f}")
    assert ours["matched"] == peer["matched"]
    assert min(ours["matched"]) > 0
    assert ours["digest"] == peer["digest"]
