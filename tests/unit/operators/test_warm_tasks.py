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
from tradewind.ledger import completion
from tradewind.ledger.champions import ChampionChange
from tradewind.training.candidate import train_candidate
from tradewind.verdict.judgement import judge_candidate_version

pytestmark = pytest.mark.slow

FORK = """
import json, os, sys
from pathlib import Path
from tradewind.operators.warm_start import import_libraries
import_libraries()
from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.scoring.batch_scoring import score_population
from tradewind.training.candidate import train_candidate
from tradewind.verdict.judgement import judge_candidate_version
from tradewind.spec.pipeline import Pipeline
given = json.loads(sys.argv[1])
spec = Pipeline.model_validate(given["spec"])
runtime = Runtime(**{**given["runtime"], "project": Path(given["runtime"]["project"]),
                     "reports": Path(given["runtime"]["reports"]), "warm": True})
stage = {"train": train_candidate, "verdict": judge_candidate_version, "score": score_population}
for name, partition in given["work"]:
    if not (child := os.fork()):
        try:
            result = stage[name](Deployment(spec, runtime), partition)
            said = getattr(result, "outcome", "") or getattr(result, "served_by", "") or result.version
            print("SAID", name, said, flush=True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
"""


def test_train_verdict_and_score_work_in_forks_of_a_warm_process(house) -> None:
    train_candidate(house.deployment, house.week(4))
    judge_candidate_version(house.deployment, house.week(4))
    first = ChampionChange("delays", 0, "delays", "1", house.week(6), house.week(4), evidence={})
    house.ledger.promote(first, expected=0)
    completion.record_completion(house.ledger, "delays", "train", house.week(4), cause="settled")
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
