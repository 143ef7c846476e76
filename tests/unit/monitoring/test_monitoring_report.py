from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tradewind.core.monitoring_rows import DriftRow
from tradewind.monitoring import monitor_page
from tradewind.monitoring.monitoring_datasets import DRIFT, PERFORMANCE


def drift(**given: Any) -> DriftRow:
    usual = {"horizon": 1, "feature": "wind", "outcome": "ok", "alarm": False, "statistic": 0.05, "null_high": 0.1}
    return DriftRow.from_record(dict.fromkeys(DRIFT) | usual | {"rows": 700, "reason": "PSI 0.05"} | given)


def performance(**given: Any) -> dict[str, Any]:
    usual = {"population": "2013-05-06", "outcome": "ok", "metric": "roc_auc", "value": 0.7, "below": False}
    return dict.fromkeys(PERFORMANCE) | usual | {"rows": 700, "reason": "fine"} | given


def page(*rows: DriftRow, realised: tuple[dict[str, Any], ...] = ()) -> str:
    return monitor_page.render_monitor_page(
        pipeline="flights", partition="2013-05-13", drift=rows, performance=realised
    )


class Balanced(HTMLParser):
    """Fails where a tag is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_alarms_come_first() -> None:
    text = page(drift(feature="calm"), drift(feature="storm", outcome="drift", alarm=True, statistic=0.9))
    assert text.index("storm") < text.index("calm")
    assert "1 of 2 drift judgements are alarms" in text


def test_a_large_psi_that_is_no_alarm_says_why() -> None:
    text = page(drift(statistic=6.952, null_high=20.9))
    assert "PSI 6.952 ok" in text
    assert "own partitions differ from each other by up to 20.900 (PSI): this is within their usual variation." in text


def test_an_alarm_and_a_doubtful_case_are_set_against_the_baseline_too() -> None:
    assert "(PSI): this is beyond" in page(drift(statistic=0.9, null_high=0.2, outcome="drift", alarm=True))
    assert "(PSI): this is more, but below the floor or" in page(drift(statistic=0.09, null_high=0.05))


def test_a_bar_ends_before_its_mark_exactly_if_the_psi_is_usual() -> None:
    text = page(
        drift(feature="usual", statistic=8.0, null_high=40.0), drift(feature="unusual", statistic=3.0, null_high=0.75)
    )
    assert '<i style="width:20.0%"></i><b class="mark" style="left:100.0%">' in text
    assert '<i style="width:100.0%"></i><b class="mark" style="left:25.0%">' in text


def test_the_mark_is_explained_before_the_first_bar() -> None:
    text = page(drift())
    assert text.index("how far these differ from each other") < text.index('class="bar"')
    assert "how far these differ" not in page()


def test_a_variation_without_bounds_is_a_short_number() -> None:
    assert "by up to 1e+304 (PSI)" in page(drift(null_high=1e304))


def test_every_colour_that_is_named_is_there() -> None:
    text = page(drift())
    named = set(re.findall(r"var\((--\w+)\)", text)) - {"--mine"}
    assert named <= set(re.findall(r"(--\w+):", text))


def test_the_page_loads_nothing_and_fits_a_phone() -> None:
    text = page(drift(), realised=(performance(),))
    assert "://" not in text
    assert "<script" not in text
    assert 'name="viewport"' in text


def test_names_from_data_are_escaped() -> None:
    text = page(drift(feature="<b>x</b>", reason="a & b"), realised=(performance(model_version="<i>"),))
    assert "<b>x</b>" not in text
    assert "a &amp; b" in text
    assert "<i>" not in text.replace('<i style="width:10.0%">', "")


def test_the_page_is_well_formed_with_missing_numbers() -> None:
    parser = Balanced()
    parser.feed(
        page(
            drift(statistic=None, null_high=None, outcome="no champion", alarm=None),
            drift(horizon=4, outcome="insufficient", alarm=None, statistic=None),
            realised=(
                performance(value=None, outcome="no data", below=None),
                performance(low=0.6, high=0.8, without_label=3),
            ),
        )
    )
    assert parser.open == []


def test_writing_leaves_no_draft_behind(tmp_path: Path) -> None:
    path = tmp_path / "flights" / "monitor" / "2013-05-13.html"
    monitor_page.write_monitor_page(path, pipeline="flights", partition="2013-05-13", drift=[], performance=[])
    assert [p.name for p in path.parent.iterdir()] == ["2013-05-13.html"]
    assert "No labels fell due" in path.read_text("utf-8")
