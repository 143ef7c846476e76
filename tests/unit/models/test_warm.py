"""Stages work in a fork of a process that has imported everything and used nothing, and open their hosts by forking."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

import tradewind
from tradewind.ledger import progress
from tradewind.ledger.champions import Champion
from tradewind.models.train import train
from tradewind.models.verdict import verdict

pytestmark = pytest.mark.slow

FORK = """
import json, os, sys
from pathlib import Path
from tradewind.embedded.warm import import_libraries
import_libraries()
from tradewind.core.runtime import Runtime
from tradewind.models.score import score
from tradewind.models.train import train
from tradewind.models.verdict import verdict
from tradewind.spec.models import Pipeline
given = json.loads(sys.argv[1])
spec = Pipeline.model_validate(given["spec"])
runtime = Runtime(**{**given["runtime"], "project": Path(given["runtime"]["project"]),
                     "reports": Path(given["runtime"]["reports"]), "warm": True})
stage = {"train": train, "verdict": verdict, "score": score}
for name, partition in given["work"]:
    if not (child := os.fork()):
        try:
            result = stage[name](spec, partition, runtime)
            said = getattr(result, "outcome", "") or getattr(result, "served_by", "") or result.version
            print("SAID", name, said, flush=True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
"""


def test_train_verdict_and_score_work_in_forks_of_a_warm_process(house) -> None:
    train(house.spec, house.week(4), house.runtime)
    verdict(house.spec, house.week(4), house.runtime)
    first = Champion("delays", 0, "delays", "1", house.week(6), house.week(4), evidence={})
    house.ledger.promote(first, expected=0)
    progress.complete(house.ledger, "delays", "train", house.week(4), cause="settled")
    work = [("train", house.week(5)), ("verdict", house.week(5)), ("score", house.week(5))]
    given = {"spec": house.spec.model_dump(mode="json"), "runtime": asdict(house.runtime), "work": work}
    environment = {**os.environ, "PYTHONPATH": str(Path(tradewind.__path__[0]).parent)}
    # The limit is the outside killer: a fork that hangs cannot end itself.
    done = subprocess.run(
        [sys.executable, "-c", FORK, json.dumps(given, default=str)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    said = [line.removeprefix("SAID ") for line in done.stdout.splitlines() if line.startswith("SAID ")]
    assert said == ["train 2", "verdict passed", "score champion"], done.stderr[-3000:]
