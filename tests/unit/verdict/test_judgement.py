"""A candidate is judged beside the champion that it would replace, on rows that neither has seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from tradewind.core.gate_results import Measurement
from tradewind.deployment import Deployment
from tradewind.errors import SpecError, Unavailable, UsageError
from tradewind.isolation.model_process import load_logged_model
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry, Ledger
from tradewind.metrics.judged_rows import TestRows
from tradewind.registry.model_registry import ModelRegistry, RegisteredVersion
from tradewind.spec.gates import VerdictSpec as Asked
from tradewind.spec.pipeline import Pipeline
from tradewind.training.candidate import train_candidate
from tradewind.training.model_signature import expected_input_columns
from tradewind.verdict.judgement import judge_candidate_version, judge_prepared_rows, verdict_config_hash

RULES = """
def evening(rows):
    return (rows["hour"] - 5) / 20

def broken(rows):
    return rows["late"]
"""
GATES = [
    {"metric": "roc_auc", "at_least": 0.55},
    {"metric": "roc_auc", "versus": "champion", "lower_bound": -0.05},
    {"metric": "roc_auc", "slice": "origin", "at_least": 0.5, "min_rows": 50},
    {"metric": "brier", "where": "hour > 12", "at_most": 0.3, "min_rows": 50},
    {"metric": "brier", "versus": "majority", "at_least": 0.0},
    {"metric": "brier", "versus": "evening", "at_least": -0.1},
    {"check": "latency", "rows": 10, "at_most": 1e4},
    {"check": "size", "at_most": 5},
    {"check": "stability", "at_most": 0.1},
    {"metric": "log_loss", "where": "late", "at_most": 0.3},
    {"metric": "log_loss", "slice": "carrier", "at_most": 0.3, "min_rows": 250},
    {"metric": "log_loss", "versus": "broken", "at_least": 0.0},
    {"check": "loads", "rows": 100_000},
]


@pytest.fixture(scope="module")
def house(built, tmp_path_factory: pytest.TempPathFactory):
    """Versions 1 and 2, trained at weeks 5 and 6; version 1 is champion since week 5. Nobody has judged anything."""
    house = built(tmp_path_factory.mktemp("judged"))
    (house.runtime.project / "include" / "delays_model" / "rules.py").write_text(RULES)
    names = ("evening", "broken")
    rules = Asked(columns=("origin",), heuristics={name: f"include/delays_model/rules.py:{name}" for name in names})
    house = house.with_spec(verdict=rules)
    for week in (5, 6):
        train_candidate(house.deployment, house.week(week))
    first = ChampionChange("delays", 0, "delays", "1", house.week(7), house.week(5), evidence={})
    house.ledger.promote(first, expected=0)
    return house


def asking(house, gates: list[dict[str, object]], **changes: object) -> Pipeline:
    document = {**house.spec.model_dump(), "gates": gates, **changes}
    return Pipeline.model_validate(document)


@pytest.fixture(scope="module")
def first(house):
    """The verdict on version 1, before there was a champion."""
    return judge_candidate_version(house.deployment, house.week(5))


@pytest.fixture(scope="module")
def gone(house):
    """The verdict on version 2 while the champion's files were away."""
    with ModelRegistry(house.runtime, "delays").folder(ModelRegistry(house.runtime, "delays").get("1")) as folder:
        away = folder.rename(folder.parent / "away")
        judged = judge_candidate_version(Deployment(asking(house, GATES), house.runtime), house.week(6))
        away.rename(folder)
    return judged


@pytest.fixture(scope="module")
def judged(house, gone):
    """The verdict on version 2 by the same gates, when they were there again."""
    return judge_candidate_version(Deployment(asking(house, GATES), house.runtime), house.week(6))


def entries(house, **which: str) -> list[Entry]:
    return house.ledger.find("delays", "verdict", **which)


def run_folder(house, version: str) -> Path:
    registry = ModelRegistry(house.runtime, "delays")
    run = registry.client.get_run(registry.get(version).mlflow_run_id)
    return Path(run.info.artifact_uri.removeprefix("file://"))


def judging_rows(house) -> pa.Table:
    registry = ModelRegistry(house.runtime, "delays")
    with registry.evidence(registry.get("2")) as folder:
        return pq.read_table(folder / "test.parquet")


def predicted(house, version: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the test rows of version 2, and what a version says of them."""
    registry, rows = ModelRegistry(house.runtime, "delays"), judging_rows(house)
    with registry.folder(registry.get(version)) as folder, ExitStack() as stack:
        loaded = load_logged_model(folder, stack)
        scores = loaded.model.predict_proba(rows.select(loaded.columns).to_pandas())[:, 1]
    return rows["late"].to_numpy(), scores


def outcomes(judged) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for gate in judged.gates:
        found.setdefault(gate.metric, []).append(gate.outcome)
    return found


def test_the_first_model_is_judged_on_absolute_gates_and_says_so(first) -> None:
    assert (first.outcome, first.candidate, first.champion) == ("passed", "1", None)
    assert outcomes(first) == {"roc_auc": ["pass", "skipped", "pass", "pass"], "loads": ["pass"], "schema": ["pass"]}
    assert first.reason == "5 of 5 gate results pass; skipped: there is no champion to compare with"
    assert "Not compared with a champion: there is none, so only the other gates judge." in first.warnings
    assert any(warning.startswith("Not judged: roc_auc no worse than the champion") for warning in first.warnings)
    assert "No gate compares" not in " ".join(first.warnings)


def test_everybody_predicts_the_same_rows_afresh(house, judged) -> None:
    y, ours = predicted(house, "2")
    _, theirs = predicted(house, "1")
    assert (judged.candidate, judged.champion) == ("2", "1")
    auc, better, _, _, where, majority, evening = [gate.value for gate in judged.gates][:7]
    assert auc == pytest.approx(roc_auc_score(y, ours))
    assert better == pytest.approx(roc_auc_score(y, ours) - roc_auc_score(y, theirs))
    share = house.ledger.find("delays", "trained", subject="2")[-1].evidence["majority"]["shares"][1]
    assert majority == pytest.approx(brier_score_loss(y, np.full(len(y), share)) - brier_score_loss(y, ours))
    hour = judging_rows(house)["hour"].to_numpy()
    assert where == pytest.approx(brier_score_loss(y[hour > 12], ours[hour > 12]))
    assert evening == pytest.approx(brier_score_loss(y, (hour - 5) / 20) - brier_score_loss(y, ours))
    assert all(gate.outcome == "pass" for gate in judged.gates[:10])
    assert [gate.metric for gate in judged.gates[7:10]] == ["latency", "size", "stability"]


def test_a_missing_metric_slice_sample_or_rule_fails(judged) -> None:
    assert judged.outcome == "rejected"
    assert outcomes(judged) | {"brier": [], "roc_auc": []} == {
        "roc_auc": [], "brier": [], "latency": ["pass"], "size": ["pass"], "stability": ["pass"],
        "log_loss": ["insufficient"] * 3, "loads": ["insufficient"], "schema": ["pass"],
    }  # fmt: skip
    reasons = " ".join(gate.reason for gate in judged.gates)
    for why in (
        "there is no column `late`",
        "no value of carrier has 250 rows",
        "KeyError: 'late'",
        "test rows, fewer",
    ):
        assert why in reasons


def test_a_champion_whose_files_are_gone_is_no_missing_champion(gone) -> None:
    assert (gone.outcome, gone.champion) == ("rejected", "1")
    assert outcomes(gone)["roc_auc"] == ["pass", "insufficient", "pass", "pass"]  # absolute gates are judged
    assert "the champion cannot be asked" in gone.gates[1].reason
    assert "its files are not at" in gone.gates[1].reason


def test_what_could_not_be_asked_is_asked_again(house, judged) -> None:
    assert outcomes(judged)["roc_auc"] == ["pass"] * 4
    of = [entry.evidence["absent"] for entry in entries(house, partition=house.week(6))[:2]]
    assert [sorted(absent) for absent in of] == [["broken", "champion", "late"], ["broken", "late"]]


@pytest.mark.parametrize(
    ("gates", "why"),
    [([], "there are no gates"), ([{"check": "size", "at_most": 5}], "only checks of serving passed")],
    ids=["no gates", "checks alone"],
)
def test_no_gates_and_checks_alone_speak_for_nobody(house, gates: list[dict[str, object]], why: str) -> None:
    asked = house.spec.model_copy(update={"gates": asking(house, [*gates, *GATES[:1]]).gates[: len(gates)]})
    candidate = ModelRegistry(house.runtime, "delays").get("2")
    judged = judge_prepared_rows(
        Deployment(asked, house.runtime),
        house.week(11),
        candidate=candidate,
        champion=None,
        test=rows(house),
        key=why,
        basis="shadow",
        measurements={0: Measurement(1.0, 0, "small")},
    )
    assert (judged.outcome, why in judged.reason) == ("rejected", True)


def test_judging_again_judges_nothing(house, first) -> None:
    before = len(entries(house))
    assert judge_candidate_version(house.deployment, house.week(5)) == first  # the seconds of loading too
    assert len(entries(house)) == before


def test_the_entry_has_all_of_it(house, judged) -> None:
    evidence = entries(house, partition=house.week(6))[1].evidence
    assert (evidence["version"], evidence["champion"], evidence["expected_seq"]) == ("2", "1", 1)
    assert (evidence["basis"], evidence["rows"]) == ("test", judging_rows(house).num_rows)
    assert evidence["test_partitions"] == [house.week(6)]
    gate = evidence["gates"][1]
    assert {"value", "low", "high", "bound", "rows", "outcome", "reason"} <= set(gate)
    assert (gate["blocks"], gate["confidence"], gate["versus"]) == (6, 0.9, "champion")
    assert any("rest on 6 blocks only" in warning for warning in evidence["warnings"])


def test_mlflow_has_the_verdict_its_page_and_its_pictures(house, judged) -> None:
    folder = run_folder(house, "2") / "verdict"
    found = {path.parent: json.loads(path.read_text()) for path in folder.glob("*/verdict.json")}
    own = next(path for path, document in found.items() if document["reason"] == judged.reason)
    assert (found[own]["outcome"], len(found[own]["gates"])) == ("rejected", len(judged.gates))
    assert json.loads((own / "pictures.json").read_text())["metric"] == "roc_auc"
    page = (own / "verdict.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert (folder / "verdict.html").exists()


def test_a_rejected_version_says_so_and_why_and_the_champion_stays(house, judged) -> None:
    tags = ModelRegistry(house.runtime, "delays").get("2").tags
    latest = json.loads((run_folder(house, "2") / "verdict" / "verdict.json").read_text())
    assert tags["tradewind.verdict"] == latest["outcome"]
    assert tags["tradewind.verdict_reason"][:400] == latest["reason"][:400]
    assert len(tags["tradewind.verdict_reason"]) <= 500
    assert house.ledger.champions("delays")[-1].model_version == "1"


def test_a_report_that_is_gone_comes_back_as_it_was(house, first) -> None:
    report = Path(first.report)
    page = report.read_text()
    report.unlink()
    judge_candidate_version(house.deployment, house.week(5))
    assert report.read_text() == page


def test_a_page_is_written_anew_when_mlflows_copy_is_gone_too(house, first, tmp_path) -> None:
    folder, kept = run_folder(house, "1") / "verdict", tmp_path / "verdict"
    shutil.move(folder, kept)
    Path(first.report).unlink()
    again = judge_candidate_version(house.deployment, house.week(5))
    assert "Version 1 passed" in Path(again.report).read_text()
    shutil.move(kept, folder)
    Path(first.report).unlink()


def test_nothing_trained_is_said(house) -> None:
    with pytest.raises(UsageError, match="no candidate was trained at 2013-02-04"):
        judge_candidate_version(house.deployment, house.week(1))


def test_the_columns_that_serving_gives_are_those_of_the_yaml_and_the_feature_service(house) -> None:
    numbers = [("late_share", "double"), ("flown", "double")]
    assert expected_input_columns(house.deployment) == [
        ("hour", "double"), ("distance", "double"), ("carrier", "string"), *numbers,
    ]  # fmt: skip
    train = house.spec.train
    fewer = house.with_spec(train=train.model_copy(update={"columns": ("carrier", "hour")})).spec
    assert expected_input_columns(Deployment(fewer, house.runtime)) == [
        ("carrier", "string"),
        ("hour", "double"),
        *numbers,
    ]
    strange = house.with_spec(train=train.model_copy(update={"columns": ("hour", "gate", "wing")})).spec
    assert "has no column gate, wing" in str(expected_input_columns(Deployment(strange, house.runtime)))
    nowhere = house.with_spec(train=train.model_copy(update={"service": "delays_v2"})).spec
    assert isinstance(expected_input_columns(Deployment(nowhere, house.runtime)), SpecError)


def test_all_that_a_verdict_depends_on_beside_the_candidate_makes_it_another(house) -> None:
    code = house.runtime.project / "include" / "delays_model"
    asked = asking(house, [GATES[5]])
    strict = asked.model_copy(update={"verdict": asked.verdict.model_copy(update={"correction": "bonferroni"})})
    fewer = asked.model_copy(update={"train": asked.train.model_copy(update={"columns": ("hour",)})})
    found = [verdict_config_hash(Deployment(spec, house.runtime), None) for spec in (asked, strict, fewer)]
    for name in ("rules.py", "features.py"):
        before = (code / name).read_text()
        (code / name).write_text(f"{before}\nx = 1\n")
        found.append(verdict_config_hash(Deployment(asked, house.runtime), None))
        (code / name).write_text(before)
    assert len(set(found)) == 5
    assert verdict_config_hash(Deployment(asked, house.runtime), None) == found[0]


@pytest.fixture
def swapped(house, first) -> Iterator[None]:
    """Somebody put version 2 where version 1 was."""
    registry = ModelRegistry(house.runtime, "delays")
    with registry.folder(registry.get("1")) as one, registry.folder(registry.get("2")) as two:
        kept = one.rename(one.parent / "kept")
        shutil.copytree(two, one)
        yield
        shutil.rmtree(one)
        kept.rename(one)


def test_a_model_that_was_swapped_in_the_registry_is_rejected(house, swapped) -> None:
    gates = [{"metric": "roc_auc", "at_least": 0.5}]
    judged = judge_candidate_version(Deployment(asking(house, gates), house.runtime), house.week(5))
    assert (judged.outcome, outcomes(judged)) == (
        "rejected", {"roc_auc": ["insufficient"], "loads": ["fail"], "schema": ["fail"]},
    )  # fmt: skip
    assert "not those that were trained and judged: MLmodel has changed" in judged.reason
    assert "model.skops has changed" in judged.reason


@pytest.fixture
def damaged(house, first) -> Iterator[None]:
    """A file of version 1 is lost."""
    registry = ModelRegistry(house.runtime, "delays")
    with registry.folder(registry.get("1")) as folder:
        lost = (folder / "MLmodel").rename(folder.parent / "lost")
        yield
        lost.rename(folder / "MLmodel")


def test_a_candidate_that_does_not_load_is_rejected_and_its_page_says_why(house, damaged) -> None:
    judged = judge_candidate_version(Deployment(asking(house, [GATES[0], GATES[8]]), house.runtime), house.week(5))
    assert (judged.outcome, outcomes(judged)) == (
        "rejected",
        {"roc_auc": ["insufficient"], "stability": ["fail"], "loads": ["fail"], "schema": ["fail"]},
    )
    assert "the candidate cannot be asked: delays version 1: its files in" in judged.gates[0].reason
    assert "MLmodel is missing" in Path(judged.report).read_text()


def rows(house, *, good: bool = True) -> TestRows:
    """Rows that somebody put together, as for a shadow."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 400)
    score = np.clip(np.where(y == 1, 0.7, 0.3) + random.normal(scale=0.2, size=400), 0, 1)
    start = house.spec.partitioning.bounds(house.week(7)).start
    times = np.datetime64(start.replace(tzinfo=None), "us") + np.arange(400) * np.timedelta64(25, "m")
    # A little better than the champion, or much worse.
    ours = np.where(y == 1, score**0.999, score**1.001) if good else 1 - score
    return TestRows(
        "binary", y, {"candidate": ours, "champion": score}, times, "America/New_York",
        fit_end={name: house.spec.partitioning.bounds(house.week(5)).end for name in ("candidate", "champion")},
    )  # fmt: skip


def concluded(
    house, key: str, *, test: TestRows | None = None, partition: str | None = None, version: str = "2", gates=GATES[:2]
):
    spec = asking(house, [*gates, *GATES[6:9]])
    candidate: RegisteredVersion = ModelRegistry(house.runtime, "delays").get(version)
    return judge_prepared_rows(
        Deployment(spec, house.runtime),
        partition or house.week(9),
        candidate=candidate,
        champion=house.ledger.champions("delays")[-1],
        test=test or rows(house),
        key=key,
        basis="shadow",
        partitions=[house.week(7)],
        notes=["Said by who put the rows together."],
    )


def test_a_shadow_is_judged_by_the_same_gates_without_the_checks(house) -> None:
    judged = concluded(house, "shadow/one")
    entry = entries(house, partition=house.week(9))[-1]
    assert (judged.outcome, outcomes(judged)) == ("passed", {"roc_auc": ["pass", "pass"]})
    assert (entry.evidence["basis"], entry.evidence["test_partitions"]) == ("shadow", [house.week(7)])
    assert entry.key == "shadow/one"
    assert "Said by who put the rows together." in judged.warnings
    assert judged.report.endswith("-version-2-shadow.html")
    count = len(entries(house))
    assert concluded(house, "shadow/one", test=rows(house, good=False)) == judged
    assert len(entries(house)) == count


@pytest.mark.parametrize("who", ["champion", "evening"])
def test_who_stays_away_is_asked_each_time_and_journalled_once(house, who: str) -> None:
    week, given = house.week(12 if who == "champion" else 13), rows(house)
    whole = replace(given, scores={**given.scores, "evening": given.scores["champion"]})
    ours = {name: scores for name, scores in whole.scores.items() if name != who}
    without = replace(whole, scores=ours, absent={who: "its files are gone"})
    gates = [GATES[0], {"metric": "brier", "versus": who, "at_least": 0.0}]
    for test in (without, without, whole, without):
        concluded(house, f"shadow/away/{who}", test=test, partition=week, gates=gates)
    assert [entry.outcome for entry in entries(house, partition=week)] == ["rejected", "passed"]


def test_a_verdict_that_was_logged_and_not_journalled_is_completed(house, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> bool:
        raise Unavailable("the ledger is away")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", away)
        with pytest.raises(Unavailable):
            concluded(house, "shadow/killed", partition=house.week(8))
    assert entries(house, partition=house.week(8)) == []
    judged = concluded(house, "shadow/killed", partition=house.week(8))
    assert [entry.outcome for entry in entries(house, partition=house.week(8))] == [judged.outcome]


def test_what_is_asked_again_is_what_the_version_says_of_itself(house) -> None:
    strict = [{"metric": "roc_auc", "at_least": 1.0}]
    for key, gates in (("mild", GATES[:1]), ("strict", strict), ("mild", GATES[:1])):
        judged = concluded(house, f"shadow/{key}", partition=house.week(14), gates=gates)
        assert ModelRegistry(house.runtime, "delays").get("2").tags["tradewind.verdict"] == judged.outcome
    assert judged.outcome == "passed"


def test_the_newest_verdict_of_a_partition_is_that_of_its_candidate(house) -> None:
    week = house.week(10)
    for version, key in (("1", "one"), ("2", "two"), ("1", "one"), ("1", "one"), ("2", "two")):
        concluded(house, key, partition=week, version=version)
    assert [entry.subject for entry in entries(house, partition=week)] == ["1", "2", "1", "2"]


def test_the_page_escapes_what_the_yaml_says(house, first) -> None:
    from tradewind.verdict.verdict_page import render_verdict_page

    spec = house.with_spec(description="<script>alert(1)</script>").spec
    assert "<script" not in render_verdict_page(spec, replace(entries(house)[0], reason="<script>"))
