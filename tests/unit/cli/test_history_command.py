"""``history``: who served a population, by partition time; the last lines; decisions in a row as one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tradewind.ledger import completion
from tradewind.ledger.champions import ChampionChange
from tradewind.ledger.journal import Entry

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Project

DAYS = ["2013-01-28", "2013-01-29", "2013-01-30", "2013-01-31"]


def promote(shop: Project, version: str, effective_from: str, verdict: str) -> None:
    evidence = {"version": version, "gates": []}
    shop.ledger.append(
        Entry("shop", "verdict", version, DAYS[0], verdict, "passed", "2 of 2 gates passed", evidence=evidence)
    )
    expected = len(shop.ledger.champions("shop"))
    change = ChampionChange(
        "shop", 0, "shop", version, effective_from, effective_from, reason="passed 2 gates", actor="airflow",
        evidence={"verdict_key": verdict},
    )  # fmt: skip
    shop.ledger.promote(change, expected=expected)


def score(shop: Project, population: str, version: str, served_by: str = "champion") -> None:
    evidence = {"population": population, "rows": 12, "model_version": version, "served_by": served_by}
    completion.record_completion(
        shop.ledger, "shop", "score", population, cause=f"{version}{served_by}", evidence=evidence, run_id=f"r{version}"
    )


def told(shop: Project, population: str) -> str:
    return " ".join(shop.told("history", "shop", "--population", population).split())


def test_who_served_a_population_is_told_by_its_partition_and_not_by_the_clock(shop: Project) -> None:
    promote(shop, "3", DAYS[1], "v3")
    score(shop, DAYS[1], "3")
    promote(shop, "4", DAYS[2], "v4")  # later on the clock, and of no matter to the population before
    text = told(shop, DAYS[1])
    for part in (
        f"shop, population {DAYS[1]}:",
        f"champion version 3, from population {DAYS[1]} on",
        f"promoted decided at partition {DAYS[1]}, by airflow, written",
        f"verdict passed at {DAYS[0]}, on test rows: 2 of 2 gates passed",
        f"served by version 3 (champion), 12 rows; run r3 of shop__score for {DAYS[1]}",
    ):
        assert part in text
    assert "version 4" not in text
    answer = shop.answer("history", "shop", "--population", DAYS[1])
    assert (answer["by_champion"], answer["champion"]["model_version"]) == (True, "3")
    assert answer["scorings"][0]["run_id"] == "r3"


def test_a_champion_that_is_a_refit_is_told_with_the_version_that_was_judged(shop: Project) -> None:
    gates = {"version": "3", "gates": []}
    shop.ledger.append(Entry("shop", "verdict", "3", DAYS[0], "v", "passed", "2 of 2 gates passed", evidence=gates))
    change = ChampionChange("shop", 0, "shop", "4", DAYS[1], DAYS[0], evidence={"verdict_key": "v", "refit_of": "3"})
    shop.ledger.promote(change, expected=0)
    words = f"verdict passed at {DAYS[0]}, by version 3, of which 4 is the refit, on test rows: 2 of 2 gates passed"
    assert words in told(shop, DAYS[1])
    assert words in " ".join(shop.told("history", "shop", "--at", "2999-01-01").split())


def test_a_population_that_a_fallback_served_says_so_and_why(shop: Project) -> None:
    promote(shop, "3", DAYS[1], "v3")
    score(shop, DAYS[2], "3")
    score(shop, DAYS[2], "3", served_by="majority")
    note = Entry("shop", "note", "fallback", DAYS[2], "f", "majority", "version 3 cannot serve: its files have changed")
    shop.ledger.append(note)
    text = told(shop, DAYS[2])
    assert "served by version 3 (majority), 12 rows" in text
    assert "before that version 3 (champion), 12 rows" in text
    assert "fallback version 3 cannot serve: its files have changed" in text
    assert "it was not served by the champion that holds for it now" in text
    assert shop.answer("history", "shop", "--population", DAYS[2])["by_champion"] is False


def test_an_approval_and_a_rollback_are_told_with_who_it_was(shop: Project) -> None:
    promote(shop, "3", DAYS[1], "v3")
    evidence = {"verdict_key": "v3", "version": "3"}
    shop.ledger.append(Entry("shop", "approval", "train", DAYS[0], "0", "rejected", "no answer", evidence, "timeout"))
    shop.ledger.append(Entry("shop", "approval", "train", DAYS[0], "a", "approved", "fine", evidence, "ben"))
    assert "approval approved by ben: fine" in told(shop, DAYS[1])
    shop.ledger.promote(
        ChampionChange("shop", 0, "shop", "2", DAYS[2], reason="rollback: odd", actor="ann"), expected=1
    )
    text = told(shop, DAYS[2])
    assert "champion version 2" in text
    assert "promoted by ann, written" in text
    assert "verdict" not in text


def test_a_population_that_nobody_served_says_why(shop: Project) -> None:
    assert "champion none holds for it served by nobody: it has not been scored" in told(shop, DAYS[0])
    evidence = {"population": DAYS[0], "skipped": "no champion holds for population"}
    completion.record_completion(
        shop.ledger, "shop", "score", DAYS[0], cause="no champion", evidence=evidence, run_id="r"
    )
    assert "served by nobody: no champion holds for population; run r of shop__score" in told(shop, DAYS[0])


def test_a_key_that_is_none_and_two_clocks_at_once_are_refused(shop: Project) -> None:
    assert "yesterday" in shop.error("history", "shop", "--population", "yesterday")
    assert shop.command("history", "shop", "--population", DAYS[0], "--at", "2013-02-01").exit_code == 2
    assert "did you mean shop?" in shop.error("history", "shopp", "--population", DAYS[0])


def decide(shop: Project, day: str, outcome: str, reason: str) -> None:
    shop.ledger.append(Entry("shop", "decision", "train", day, f"{day}{outcome}", outcome=outcome, reason=reason))


@pytest.fixture
def decided(shop: Project) -> Project:
    """Three decisions not to train, one to train, one not to."""
    for number, day in enumerate(DAYS[:3]):
        ago = f"{number + 1} partition{'s' if number else ''} ago"
        looked_at = f"{number + 1} partition{'s' if number else ''}"
        reason = f"decay in 0 of the last {looked_at} (needs 2 of 4); the last training is {ago} (needs 26)"
        decide(shop, day, "skip", f"no reason to train: {reason}")
    decide(shop, DAYS[3], "train", "drift in 2 of the last 4 partitions")
    decide(shop, DAYS[3], "skip", "no reason to train: drift not judged yet")
    return shop


def test_decisions_in_a_row_not_to_train_for_one_reason_are_one_line(decided: Project) -> None:
    lines = [line[18:].split(maxsplit=1) for line in decided.told("history", "shop").splitlines() if line[:4].isdigit()]
    assert [" ".join(line) for line in lines] == [
        f"{DAYS[2]} not to train, 3 times ({DAYS[0]} … {DAYS[2]}): no reason to",
        f"{DAYS[3]} to train: drift in 2 of the last 4 partitions",
        f"{DAYS[3]} not to train: no reason to train: drift not judged yet",
    ]
    answer = decided.answer("history", "shop")["history"]
    assert [one["kind"] for one in answer] == ["decision"] * 5


def test_only_the_last_lines_can_be_asked_for(decided: Project) -> None:
    text = decided.told("history", "shop", "--last", "2")
    assert "3 times" not in text
    assert len(text.splitlines()) == 2
    assert "3 times" in decided.told("history", "shop", "--last", "3")
    assert len(decided.answer("history", "shop", "--last", "4")["history"]) == 4
    assert decided.command("history", "shop", "--last", "0").exit_code == 2
