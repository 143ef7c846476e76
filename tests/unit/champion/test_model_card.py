"""The model card: every recorded fact, limits that follow from them, and honest words where nothing is recorded."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from markdown_it import MarkdownIt
from tests.delays_pipeline import spec as delays

from tradewind.champion import model_card
from tradewind.core.gate_results import GateResult
from tradewind.errors import ModelError
from tradewind.ledger import completion, pins
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry
from tradewind.spec.fairness_gate import FairnessGate
from tradewind.verdict import verdict_files

if TYPE_CHECKING:
    from tests.registered_versions import Place

EVIL = "</td><script>alert(1)</script> [x](javascript:y)"
FIT, TEST = ["2013-02-04", "2013-02-11", "2013-02-18"], ["2013-02-25"]


def gate(outcome: str = "pass", **given: Any) -> dict[str, Any]:
    usual = {"gate": "roc_auc at least 0.6", "metric": "roc_auc", "value": 0.6812, "low": 0.6611, "high": 0.7013}
    usual |= {"bound": 0.6, "rows": 1234, "blocks": 14, "reason": f"why it is {outcome}", "confidence": 0.9}
    return asdict(GateResult(**{**usual, "outcome": outcome, **given}))


GATES = [
    gate(),
    gate(slice="origin=EWR", value=0.7123),
    gate("skipped", slice="1 other values of origin", value=None, low=None, high=None, rows=0, reason="SWF has 3 rows"),
    gate(metric="disparate_impact_ratio", gate="impact ratio over sex", value=0.8765, low=None, high=None),
]
FILES = {
    "evaluation/metrics.json": {
        "roc_auc": {"value": 0.6812, "low": 0.6611, "high": 0.7013, "blocks": 14, "rows": 1234},
        "ece": {"value": 0.05, "low": None, "high": None, "blocks": 2, "rows": 1234, "missing": "2 blocks are few"},
    },
    "evaluation/importance.json": [{"feature": "hour", "mean": 0.1234, "std": 0.0123, "values": []}],
    "evaluation/environment.json": {
        "python": "3.11.7", "libraries": {"scikit-learn": "1.9.1"}, "seeds": {"train": 7}, "code": "c0de",
        "git": "abc+",
    },
    # Of a later verdict on the same version.
    "verdict/pictures.json": {"task": "binary", "metric": "roc_auc", "rows": 9, "reliability": {}},
}  # fmt: skip
PICTURES = {
    "task": "binary", "metric": "roc_auc", "rows": 1234,
    "reliability": {"candidate": [{"low": 0.1, "high": 0.2, "rows": 77, "predicted": 0.1511, "observed": 0.1746}]},
}  # fmt: skip


def trained(place: Place, version: str, partition: str, **given: Any) -> None:
    evidence = {
        "version": version, "train_partitions": FIT, "test_partitions": TEST, "mlflow_run_id": "run-abc",
        "params": {"C": 0.5}, "warnings": ["feature `visibility` is constant"], "absent": {"2013-01-28": "strike"},
        "digests": {"flights": {"2013-02-04": "digest-1", "2013-02-11": "digest-2"}}, "versions": {"flights": 12},
        "search": {"metric": "roc_auc", "value": 0.7, "trials": 20, "seconds": 3.0}, **given,
    }  # fmt: skip
    place.ledger.append(Entry(place.spec.pipeline, "trained", version, partition, f"c{version}", evidence=evidence))


def judged(place: Place, version: str, partition: str, *, outcome: str = "passed", **given: Any) -> Entry:
    evidence = {
        "version": version, "champion": "1", "basis": "test", "gates": GATES, "rows": 1234,
        "test_partitions": TEST, "warnings": ["few blocks"], **given,
    }  # fmt: skip
    entry = Entry(
        place.spec.pipeline, "verdict", version, partition, f"k{version}{partition}", outcome, "3 of 3 pass", evidence
    )
    place.ledger.append(entry)
    return entry


def champion(place: Place, version: str, *, seq: int, **given: Any) -> ChampionChange:
    usual: dict[str, Any] = {"effective_from": "2013-03-11", "decided_at": "2013-02-25", "reason": "3 of 3 pass"}
    new = ChampionChange(place.spec.pipeline, 0, place.spec.model_name, version, **{**usual, "actor": "ann", **given})
    return place.ledger.promote(new, expected=seq - 1)


@pytest.fixture
def delaying(place: Place) -> Place:
    """The registry of three versions, for a pipeline that learns."""
    return replace(place, spec=delays().model_copy(update={"pipeline": place.spec.pipeline}))


@pytest.fixture
def second(delaying: Place) -> ChampionChange:
    """The second champion of a pipeline, of which everything is recorded."""
    place = delaying
    champion(place, "1", seq=1, decided_at="2013-02-04", effective_from="2013-02-18", reason="the first")
    judged(place, "2", "2013-02-11", outcome="rejected")
    trained(place, "3", "2013-02-25")
    entry = judged(place, "3", "2013-02-25")
    run = place.registry.get("3").mlflow_run_id
    for path, content in {**FILES, f"{verdict_files._verdict_folder(entry)}/pictures.json": PICTURES}.items():
        place.registry.client.log_text(run, json.dumps(content), path)
    place.registry.client.log_metric(run, "train_rows", 98765.0)
    answer = Entry(
        place.spec.pipeline,
        "approval",
        "promotion",
        "2013-02-25",
        "a",
        "approved",
        "looks right",
        {"version": "3"},
        "ann",
    )
    place.ledger.append(answer)
    return champion(place, "3", seq=2, evidence={"verdict_key": entry.key, "comment": "looks right"})


def both(place: Place, of: ChampionChange) -> tuple[str, str]:
    """The card as it is written, Markdown and HTML."""
    page = model_card.write_model_card(place.deployment, of)
    return page.with_suffix(".md").read_text(), page.read_text()


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_fact_is_in_the_markdown_and_in_the_page(delaying: Place, second: ChampionChange) -> None:
    facts = {
        "In short": ("Late?", "ops@example.com", "from 2013-03-11 on", "by ann", "looks right", "version 1"),
        "Metrics": ("roc_auc ↑", "0.6812", "0.6611 to 0.7013", "1,234 rows, 14 blocks", "2 blocks are few"),
        "Verdict": ("against version 1: passed", "roc_auc at least 0.6", "≥ 0.6", "why it is pass"),
        "Slices": ("origin=EWR", "0.7123", "SWF has 3 rows"),
        "Fairness": ("impact ratio over sex", "0.8765"),
        "Calibration": ("0.1000 to 0.2000", "77", "0.1511", "0.1746"),
        "What it relies on": ("hour", "0.1234", "0.0123"),
        "Model": ("C = 0.5", "best of 20 trials", "skops", "3.11.7", "scikit-learn 1.9.1", "c0de", "abc+", "run-abc"),
        "Data": (
            "late of flights, known 1 day later",
            "2013-02-04 … 2013-02-18 (3 partitions)",
            "digest-1",
            "12",
            "fitted on 98,765, tested on not recorded, judged by 1,234",
        ),
        "History": ("the first", "version 2 at 2013-02-11: 3 of 3 pass", "ann approved at 2013-02-25: looks right"),
        "Again, and back": (f"tradewind reproduce {delaying.spec.pipeline}/3", "--to 1 --reason"),
    }
    text, page = both(delaying, second)
    for title, said in facts.items():
        part = section(text, title)
        assert [one for one in said if one not in part] == []
        assert [one for one in said if one not in page] == []


def test_limits_follow_from_facts(delaying: Place, second: ChampionChange) -> None:
    for week, alarms in (("2013-02-18", ["old over 1"]), ("2013-02-25", []), ("2013-03-04", ["wind over 1 partition"])):
        evidence = {"alarms": alarms}
        completion.record_completion(
            delaying.ledger, delaying.spec.pipeline, "monitor", week, cause=week, evidence=evidence
        )
    later = replace(second, decided_at="2013-03-04")
    found = section(both(delaying, later)[0], "Limits")
    for said in (
        "learned from 2013-02-04 … 2013-02-18 (3 partitions)",
        "2013-03-11, begins 14 days after",
        "these partitions were not there: 2013-01-28 (strike)",
        "known 1 day after",
        "Not judged: roc_auc at least 0.6 \\[1 other values of origin\\], because SWF has 3 rows",
        "No gate measures whether it treats groups alike",
        "No gate asks for calibration",
        "Warning: feature `visibility` is constant",
        "Warning: few blocks",
        "drift was found, against the champion of that time: 2013-03-04: wind over 1 partition.",
    ):
        assert said in found
    assert "old over 1" not in found


def test_what_is_measured_is_no_limit(delaying: Place, second: ChampionChange) -> None:
    fair = FairnessGate.model_validate({"fairness": "disparate_impact_ratio", "group": "sex", "at_least": 0.8})
    spec = delaying.spec.model_copy(update={"gates": (fair,)})
    gates = [*GATES, gate(metric="ece", gate="ece at most 0.1")]
    entry = judged(delaying, "3", "2013-03-04", gates=gates)
    found = both(
        replace(delaying, spec=spec), replace(second, decided_at="2013-03-04", evidence={"verdict_key": entry.key})
    )
    limits = section(found[0], "Limits")
    assert "treats groups alike" not in limits
    assert "calibration" not in limits


def test_a_gate_on_the_gap_between_slices_judges_slices(delaying: Place) -> None:
    trained(delaying, "1", "2013-02-25")
    gap = gate(gate="roc_auc differs by at most 0.3", relation="gap_at_most")
    entry = judged(delaying, "1", "2013-02-25", gates=[gap])
    text, _ = both(delaying, champion(delaying, "1", seq=1, evidence={"verdict_key": entry.key}))
    assert "differs by at most 0.3" in section(text, "Slices")
    assert "No gate judges it by slices" not in text


def test_the_first_champion_says_that_it_was_compared_with_nobody(delaying: Place) -> None:
    trained(delaying, "1", "2013-02-25")
    entry = judged(delaying, "1", "2013-02-25", champion=None)
    text, _ = both(delaying, champion(delaying, "1", seq=1, evidence={"verdict_key": entry.key}))
    assert "not compared with a champion: there was none" in section(text, "Limits")
    assert "nobody: it is the first champion" in text
    assert "There is no earlier champion to go back to" in text


def test_a_rollback_and_its_pin_are_in_the_card(delaying: Place, second: ChampionChange) -> None:
    new = ChampionChange(
        second.pipeline, 0, second.model_name, "1", "2013-03-18", reason="rollback: wrong on sundays", actor="bob"
    )
    back = delaying.ledger.promote(new, expected=2, pin=pins.pin_entry(new, reason="wrong on sundays"))
    text, _ = both(delaying, back)
    assert "by bob: wrong on sundays" in section(text, "In short")
    assert "by hand" in section(text, "In short")
    assert re.findall(r"^\| (\d) \| (\d) \|", section(text, "History"), flags=re.MULTILINE) == [
        ("3", "1"), ("2", "3"), ("1", "1"),
    ]  # fmt: skip
    assert "--to 3 --reason" in text


def test_what_is_not_recorded_is_said_and_fails_nothing(place: Place) -> None:
    text, page = both(place, champion(place, "2", seq=1))
    for title in ("Metrics", "Verdict", "Calibration", "What it relies on", "Model", "Data"):
        assert "not recorded" in section(text, title)
    assert page.count("not recorded") >= 6
    assert "On which partitions it was fitted is not recorded" in section(text, "Limits")


def test_a_file_that_is_broken_is_not_recorded(delaying: Place, second: ChampionChange) -> None:
    run = delaying.registry.get("3").mlflow_run_id
    delaying.registry.client.log_text(run, "{", "evaluation/metrics.json")
    assert "not recorded" in section(both(delaying, second)[0], "Metrics")


def test_the_same_facts_give_the_same_card(delaying: Place, second: ChampionChange) -> None:
    assert both(delaying, second) == both(delaying, second)


def test_the_card_is_kept_with_the_run_too(delaying: Place, second: ChampionChange, tmp_path: Path) -> None:
    text, page = both(delaying, second)
    client, run = delaying.registry.client, delaying.registry.get("3").mlflow_run_id
    assert sorted(one.path for one in client.list_artifacts(run, "card")) == ["card/card.html", "card/card.md"]
    folder = Path(client.download_artifacts(run, "card", str(tmp_path)))
    assert [(folder / f"card.{kind}").read_text() for kind in ("md", "html")] == [text, page]


def test_a_version_that_the_registry_does_not_have_has_no_card(place: Place) -> None:
    with pytest.raises(ModelError, match="version 9 is not in the model registry"):
        model_card.write_model_card(place.deployment, champion(place, "9", seq=1))


def test_nothing_that_others_wrote_is_markdown_or_html(delaying: Place) -> None:
    gates = [gate(gate=EVIL, slice=EVIL, reason=EVIL), gate("skipped", gate=EVIL, reason=EVIL)]
    trained(
        delaying, "1", "2013-02-25", warnings=[EVIL], absent={EVIL: EVIL}, params={EVIL: EVIL},
        digests={EVIL: {EVIL: EVIL}}, versions={EVIL: EVIL}, mlflow_run_id=EVIL,
    )  # fmt: skip
    entry = judged(delaying, "1", "2013-02-25", gates=gates, warnings=[EVIL])
    spec = delaying.spec.model_copy(update={"description": EVIL, "owner": EVIL})
    evidence = {"verdict_key": entry.key, "comment": EVIL}
    new = champion(delaying, "1", seq=1, reason=EVIL, actor=EVIL, evidence=evidence)
    text, page = both(replace(delaying, spec=spec), new)
    rendered = MarkdownIt("commonmark").enable("table").render(text)
    for html in (rendered, page):
        assert "<script" not in html
        assert "<a " not in html
        assert "://" not in html


def test_tables_of_the_markdown_are_tables(delaying: Place, second: ChampionChange) -> None:
    text, _ = both(delaying, second)
    rows = [line for line in section(text, "Slices").splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}
    assert MarkdownIt("commonmark").enable("table").render(text).count("<table>") == text.count("| --- |\n")
