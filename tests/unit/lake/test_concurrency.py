"""Several processes at one table, and a process that dies in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tradewind.lake.dataset import Dataset, Lake

# Forks 8 children that stage, wait for each other, and then publish at once; each prints what became of it.
RACE = """
import json, os, sys
import deltalake, duckdb, pyarrow, pyarrow.dataset, pyarrow.parquet
from tradewind.errors import Conflict
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
root, kind = sys.argv[1:]
ready, go = os.pipe(), os.pipe()
for number in range(8):
    if os.fork() == 0:
        dataset = Lake(root).dataset("shop", "orders")
        key = f"2013-0{number + 1}" if kind == "many" else "2013-01"
        staged = dataset.stage(key, pyarrow.table({"value": [number]}).to_reader())
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        try:
            dataset.publish(staged, cause=Cause({"rows": staged.digest}, "c", "1"), run_id=str(number))
            outcome = "published"
        except Conflict:
            outcome = "conflict"
        os.write(1, (json.dumps([number, outcome]) + "\\n").encode())
        os._exit(0)
for _ in range(8):
    os.read(ready[0], 1)
os.write(go[1], b"x" * 8)
for _ in range(8):
    os.wait()
"""

# Publishes 9 in place of 1, and dies at the named function.
CRASH = """
import os, signal, sys
import pyarrow
from tradewind.lake import publish
from tradewind.lake.cause import Cause
from tradewind.lake.dataset import Lake
root, where = sys.argv[1:]
die = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
dataset = Lake(root).dataset("shop", "orders")
staged = dataset.stage("2013-01", pyarrow.table({"value": [9]}).to_reader())
if where == "after the commit":
    publish._published = die
else:
    publish.commit_partition = die
dataset.publish(staged, cause=Cause({"rows": staged.digest}, "config", "1"), run_id="crash")
"""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)


def race(root: Path, kind: str) -> dict[int, str]:
    done = run(RACE, str(root), kind)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


def published(dataset: Dataset) -> dict[str, list[int]]:
    snapshot = dataset.snapshot()
    assert snapshot is not None
    return {key: snapshot.arrow([key]).to_table()["value"].to_pylist() for key in snapshot.partitions}


def test_of_eight_first_versions_of_one_partition_exactly_one_wins(tmp_path: Path) -> None:
    outcomes = race(tmp_path, "one")
    assert Counter(outcomes.values()) == {"published": 1, "conflict": 7}
    winner = next(number for number, outcome in outcomes.items() if outcome == "published")
    assert published(Lake(str(tmp_path)).dataset("shop", "orders")) == {"2013-01": [winner]}


def test_eight_different_partitions_at_once_are_all_published(tmp_path: Path) -> None:
    outcomes = race(tmp_path, "many")
    assert Counter(outcomes.values()) == {"published": 8}
    assert published(Lake(str(tmp_path)).dataset("shop", "orders")) == {f"2013-0{n + 1}": [n] for n in range(8)}


def crash_and_retry(root: Path, where: str) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """What is published after the crash, and after trying again."""
    import pyarrow as pa

    from tradewind.lake.cause import Cause

    dataset = Lake(str(root)).dataset("shop", "orders")
    for value in (1, None):
        if value is None:
            done = run(CRASH, str(root), where)
            assert done.returncode == -9, done.stderr
            after = published(dataset)
            value = 9
        staged = dataset.stage("2013-01", pa.table({"value": [value]}).to_reader())
        dataset.publish(staged, cause=Cause({"rows": staged.digest}, "config", "1"), run_id="retry")
    return after, published(dataset)


def test_a_kill_before_the_commit_leaves_the_old_version_and_a_retry_works(tmp_path: Path) -> None:
    assert crash_and_retry(tmp_path, "before the commit") == ({"2013-01": [1]}, {"2013-01": [9]})


def test_a_kill_after_the_commit_leaves_the_new_version_and_a_retry_adds_none(tmp_path: Path) -> None:
    assert crash_and_retry(tmp_path, "after the commit") == ({"2013-01": [9]}, {"2013-01": [9]})
    snapshot = Lake(str(tmp_path)).dataset("shop", "orders").snapshot()
    assert snapshot is not None
    assert snapshot.version == 2
