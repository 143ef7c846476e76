"""What the test partitions can show is said before any candidate is judged."""

from __future__ import annotations

import re
from pathlib import Path

from tradewind.core.power import GateResolution
from tradewind.ledger.journal import Entry
from tradewind.validation.resolution_notes import resolution_notes

NAME = "roc_auc no worse than the champion's by more than 0.01 (lower end of the 90 % interval by day)"


def verdict(**given: object) -> Entry:
    usual = {"gate": NAME, "metric": "roc_auc", "versus": "champion", "slice": None, "low": -0.03, "high": 0.07}
    gate = {**usual, "blocks": 10, "confidence": 0.9, **given}
    evidence = {"gates": [gate], "test_partitions": [f"2024-01-{day:02}" for day in range(1, 6)]}
    return Entry("shop", "verdict", "1", "2024-01-06", "k", outcome="rejected", evidence=evidence)


def test_the_intervals_of_earlier_verdicts_say_what_can_be_shown(shop: Path) -> None:
    yaml = shop / "dags" / "shop.yaml"
    (note,) = resolution_notes([yaml], lambda name: [verdict()] if name == "shop" else [])
    shown = GateResolution.of_interval(-0.03, 0.07, blocks=10, confidence=0.9)
    assert note.severity == "note"
    assert (note.field, note.source_line.strip()) == (
        "gates[1]", "- {metric: roc_auc, versus: champion, lower_bound: -0.01}"
    )  # fmt: skip
    assert "`test: 5` holds about 10 blocks by day" in note.message  # as many a partition as there were
    assert f"a gain of {shown.margin() - 0.01:+.2g} or more (by the intervals of 1 recorded verdict)" in note.message
    found = re.search(
        r"only equals champion mostly fails: `test: (\d+)` or `lower_bound: (-[\d.]+)` lets it", note.message
    )
    assert found is not None
    needed = int(found[1]) * 2
    assert shown.margin(blocks=needed) <= 0.01 < shown.margin(blocks=needed - 2)
    assert shown.margin() <= -float(found[2]) < shown.margin() + 0.001


def test_a_wide_bound_lets_worse_candidates_pass_and_the_note_says_so(shop: Path) -> None:
    yaml = shop / "dags" / "shop.yaml"
    yaml.write_text(yaml.read_text().replace("lower_bound: -0.01", "lower_bound: -0.2"))
    (note,) = resolution_notes([yaml], lambda _: [verdict()])
    least = GateResolution.of_interval(-0.03, 0.07, blocks=10, confidence=0.9).margin() - 0.2
    assert least < 0
    assert f"in 8 of 10 cases a candidate that is worse by {-least:.2g} or less (by the intervals" in note.message


def test_verdicts_by_other_blocks_metrics_or_slices_are_not_taken(shop: Path) -> None:
    others = [
        verdict(gate=NAME.replace("day", "week")), verdict(metric="brier"), verdict(slice="shop=1"),
        verdict(versus="majority"), verdict(low=None, high=None),
    ]  # fmt: skip
    (note,) = resolution_notes([shop / "dags" / "shop.yaml"], lambda _: others)
    assert "no verdict is recorded yet" in note.message


def test_without_verdicts_it_is_approximated_by_blocks_and_rows(shop: Path) -> None:
    (note,) = resolution_notes([shop / "dags" / "shop.yaml"], lambda _: [])
    assert "`test: 5` holds about 5 blocks by day, which show in 8 of 10 cases a gain of +" in note.message
    assert "with 100 rows in each and a gain of +" in note.message
    assert "an approximation, as no verdict is recorded yet" in note.message


def test_a_metric_without_a_scale_is_approximated_in_standard_deviations(shop: Path) -> None:
    yaml = shop / "dags" / "shop.yaml"
    gate = "{metric: roc_auc, versus: champion, lower_bound: -0.01}"
    yaml.write_text(yaml.read_text().replace(gate, "{metric: log_loss, versus: champion, lower_bound: 0}"))
    (note,) = resolution_notes([yaml], lambda _: [])
    assert re.search(r"what lies 1\.4 standard deviations between blocks above the bound", note.message)


def test_a_pipeline_whose_fields_are_wrong_has_no_notes(shop: Path) -> None:
    yaml = shop / "dags" / "shop.yaml"
    yaml.write_text(yaml.read_text().replace("owner:", "ownr:"))
    assert resolution_notes([yaml], lambda _: []) == []
