"""A candidate is judged beside the champion that it would replace, on rows that neither has seen."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from tradewind.errors import UsageError
from tradewind.ledger.champions import Champion
from tradewind.models.registry import Registry
from tradewind.models.serve import load
from tradewind.models.train import train
from tradewind.models.verdict import opponent, verdict


def champion(house, version: str, *, decided_at: str | None, effective_from: str, seq: int) -> None:
    house.ledger.promote(
        Champion("delays", 0, "delays", version, effective_from, decided_at, evidence={}), expected=seq - 1
    )


def test_without_a_champion_only_absolute_gates_count_and_it_says_so(house) -> None:
    train(house.spec, house.week(5), house.runtime)
    judged = verdict(house.spec, house.week(5), house.runtime)
    assert (judged.outcome, judged.candidate, judged.champion) == ("passed", "1", None)
    assert [gate.outcome for gate in judged.gates] == ["pass", "skipped", "pass", "pass"]
    assert "there is no champion" in judged.reason


def test_both_models_predict_the_same_rows_afresh(house) -> None:
    train(house.spec, house.week(5), house.runtime)
    champion(house, "1", decided_at=house.week(5), effective_from=house.week(7), seq=1)
    train(house.spec, house.week(6), house.runtime)
    judged = verdict(house.spec, house.week(6), house.runtime)
    registry = Registry(house.runtime, "delays")
    with registry.evidence(registry.get("2")) as folder:
        rows = pq.read_table(folder / "test.parquet")
    aucs = [roc_auc_score(rows["late"].to_pylist(), _predict(registry, version, rows)) for version in ("2", "1")]
    assert judged.champion == "1"
    assert judged.gates[0].value == pytest.approx(aucs[0])
    assert judged.gates[1].value == pytest.approx(aucs[0] - aucs[1])


def _predict(registry: Registry, version: str, rows):
    with registry.folder(registry.get(version)) as folder, ExitStack() as stack:
        loaded = load(folder, stack)
        return loaded.model.predict_proba(rows.select(loaded.columns).to_pandas())[:, 1]


def test_judging_again_adds_nothing_and_says_the_same(house) -> None:
    train(house.spec, house.week(5), house.runtime)
    first = verdict(house.spec, house.week(5), house.runtime)
    assert verdict(house.spec, house.week(5), house.runtime) == first
    assert len(house.ledger.find("delays", "verdict")) == 1


def test_the_newest_verdict_of_a_partition_is_that_of_its_candidate(house, publish_week) -> None:
    for seed, cause in ((0, "first"), (1, "corrected"), (0, "back")):
        publish_week(house, 4, seed=seed, cause=cause)
        train(house.spec, house.week(5), house.runtime)
        verdict(house.spec, house.week(5), house.runtime)
    assert [entry.subject for entry in house.ledger.find("delays", "verdict")] == ["1", "2", "1"]


def test_a_report_that_was_deleted_comes_back(house) -> None:
    train(house.spec, house.week(5), house.runtime)
    report = Path(verdict(house.spec, house.week(5), house.runtime).report)
    page = report.read_text()
    report.unlink()
    verdict(house.spec, house.week(5), house.runtime)
    assert report.read_text() == page


def test_other_gates_are_another_verdict(house) -> None:
    train(house.spec, house.week(5), house.runtime)
    verdict(house.spec, house.week(5), house.runtime)
    strict = (house.spec.gates[0].model_copy(update={"at_least": 0.99}),)
    judged = verdict(house.with_spec(gates=strict).spec, house.week(5), house.runtime)
    assert judged.outcome == "rejected"
    assert [entry.outcome for entry in house.ledger.find("delays", "verdict")] == ["passed", "rejected"]


def test_a_champion_that_was_fitted_on_the_test_rows_cannot_be_compared(house) -> None:
    train(house.spec, house.week(6), house.runtime)
    champion(house, "1", decided_at=house.week(4), effective_from=house.week(6), seq=1)
    train(house.spec, house.week(5), house.runtime)
    judged = verdict(house.spec, house.week(5), house.runtime)
    assert (judged.champion, judged.outcome, judged.gates[1].outcome) == ("1", "rejected", "insufficient")


def test_a_champion_that_needs_other_columns_cannot_be_passed_by(house) -> None:
    train(house.spec, house.week(5), house.runtime)
    champion(house, "1", decided_at=house.week(5), effective_from=house.week(7), seq=1)
    model = house.runtime.project / "include/delays_model/model.py"
    model.write_text(model.read_text().replace('"hour", "distance", ', '"hour", '))
    fewer = house.with_spec(train=house.spec.train.model_copy(update={"columns": ("hour", "carrier")})).spec
    train(fewer, house.week(6), house.runtime)
    judged = verdict(fewer, house.week(6), house.runtime)
    assert (judged.outcome, judged.gates[1].outcome) == ("rejected", "insufficient")


def test_a_replay_looks_at_the_champion_of_its_own_time(house) -> None:
    champion(house, "1", decided_at=house.week(3), effective_from=house.week(5), seq=1)
    champion(house, "2", decided_at=house.week(5), effective_from=house.week(7), seq=2)
    champion(house, "3", decided_at=house.week(6), effective_from=house.week(8), seq=3)
    found = {n: opponent(house.spec, house.week(n), house.ledger, candidate="9") for n in (2, 3, 4, 5, 6)}
    assert [change and change.model_version for change in found.values()] == [None, "1", "1", "2", "3"]


def test_a_candidate_is_not_compared_with_itself(house) -> None:
    champion(house, "1", decided_at=house.week(3), effective_from=house.week(5), seq=1)
    champion(house, "2", decided_at=house.week(5), effective_from=house.week(7), seq=2)
    known = opponent(house.spec, house.week(5), house.ledger, candidate="2")
    assert known is not None
    assert known.model_version == "1"


def test_a_rollback_counts_from_the_population_that_it_serves(house) -> None:
    champion(house, "1", decided_at=house.week(1), effective_from=house.week(3), seq=1)
    champion(house, "2", decided_at=house.week(2), effective_from=house.week(4), seq=2)
    champion(house, "1", decided_at=None, effective_from=house.week(7), seq=3)
    found = [opponent(house.spec, house.week(n), house.ledger, candidate="9") for n in (4, 5)]
    assert [change and change.seq for change in found] == [2, 3]


def test_nothing_trained_is_said(house) -> None:
    with pytest.raises(UsageError, match="no candidate was trained at 2013-03-04"):
        verdict(house.spec, house.week(5), house.runtime)


def test_the_verdict_is_in_mlflow_and_in_a_page_without_network(house) -> None:
    train(house.spec, house.week(5), house.runtime)
    judged = verdict(house.spec, house.week(5), house.runtime)
    registry = Registry(house.runtime, "delays")
    version = registry.get("1")
    folder = registry.client.get_run(version.mlflow_run_id).info.artifact_uri.removeprefix("file://")
    assert json.loads(Path(folder, "verdict", "verdict.json").read_text())["outcome"] == "passed"
    page = Path(judged.report).read_text()
    assert all(gate.reason.split(":")[0] in page for gate in judged.gates)
    assert "http" not in page.replace("http-equiv", "")
    assert version.tags["tradewind.verdict"] == "passed"


def test_the_page_escapes_what_the_yaml_says(house) -> None:
    from tradewind.models.verdict_report import page

    train(house.spec, house.week(5), house.runtime)
    spec = house.with_spec(description="<script>alert(1)</script>").spec
    verdict(spec, house.week(5), house.runtime)
    entry = house.ledger.find("delays", "verdict")[0]
    assert "<script" not in page(spec, replace(entry, reason="<script>"))
