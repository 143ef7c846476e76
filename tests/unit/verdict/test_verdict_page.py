"""The page and the words of a verdict: every number of the entry, in words first, and nothing of others unescaped."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from sklearn.metrics import roc_auc_score
from tests.delays_pipeline import spec as make_spec

from tradewind.core.gate_results import GateResult
from tradewind.ledger.journal import Entry
from tradewind.metrics.judged_rows import TestRows
from tradewind.spec.pipeline import Pipeline
from tradewind.training.picture_data import VerdictPictures, compute_pictures
from tradewind.verdict.verdict_page import render_verdict_page
from tradewind.verdict.verdict_text import (
    failure_reasons,
    render_verdict_markdown,
    verdict_headline,
    verdict_next_steps,
)

EVIL = "</td><script>alert(1)</script>"
IMPORTANCE = [{"feature": name, "mean": mean, "std": 0.01} for name, mean in (("hour", 0.12), ("wind", 0.3))]


def gate(outcome: str, **given: Any) -> dict[str, Any]:
    usual = {"gate": "roc_auc at least 0.6", "metric": "roc_auc", "value": 0.6812, "low": 0.6611, "high": 0.7013}
    usual |= {"bound": 0.6, "rows": 1234, "blocks": 14, "reason": f"why it {outcome}", "confidence": 0.9}
    return asdict(GateResult(**{**usual, "outcome": outcome, **given}))


FAILED = gate(
    "fail", gate="roc_auc against the champion", value=-0.0123, low=-0.0311, high=0.0065, bound=-0.01,
    relation="lower_bound", versus="champion",
)  # fmt: skip
GATES = [
    gate("pass"),
    gate("skipped", gate="better than a rule", value=None, low=None, high=None, rows=0, blocks=0),
    FAILED,
    gate("insufficient", gate="ece at most 0.1", value=None, low=None, high=None, bound=0.1, relation="at_most"),
    gate("pass", slice="origin=EWR", value=0.71),
]


def entry(*gates: dict[str, Any], outcome: str = "rejected", **evidence: Any) -> Entry:
    known = {"version": "4", "champion": "2", "expected_seq": 2, "test_partitions": ["2013-03-04"]}
    return Entry(
        "delays", "verdict", "4", "2013-03-04", "4/2/ab", outcome=outcome, reason="all in one line",
        evidence={**known, "gates": list(gates), **evidence}, run_id="run-7", actor="airflow",
    )  # fmt: skip


def rows(task: str = "binary", *, days: float = 6, champion: bool = True, n: int = 3000) -> TestRows:
    random = np.random.default_rng(0)
    x = random.normal(size=n)
    if task == "multiclass":
        y = random.integers(-1, 3, n)
        scores = [random.dirichlet(np.ones(3), n) for _ in range(2)]
    elif task == "regression":
        y, scores = 10 * x + random.normal(size=n), [9 * x, 5 * x]
    else:
        y = (random.random(n) < 1 / (1 + np.exp(-x))).astype("int64")
        scores = [1 / (1 + np.exp(-x - random.normal(size=n) * spread)) for spread in (0.2, 2)]
    start = np.datetime64("2013-03-04T05:00", "us")
    return TestRows(
        task=task,
        y=y,
        scores=dict(zip(("candidate", "champion")[: 1 + champion], scores, strict=False)),
        timestamp=start + (np.sort(random.random(n)) * days * 86_400e6).astype("timedelta64[us]"),
        timezone="America/New_York",
        fit_end={"candidate": datetime(2013, 3, 4, 5, tzinfo=UTC), "champion": datetime(2013, 2, 4, 5, tzinfo=UTC)},
    )


@pytest.fixture(scope="module")
def spec() -> Pipeline:
    return make_spec()


@pytest.fixture(scope="module")
def drawn() -> VerdictPictures:
    return compute_pictures(rows(), IMPORTANCE)


class Read(HTMLParser):
    """Fails where a tag is closed that is not open; keeps addresses and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Read:
    found = Read()
    found.feed(text)
    assert found.open == []
    return found


def test_the_outcome_and_its_reasons_come_before_everything_else(spec: Pipeline, drawn: VerdictPictures) -> None:
    text = read(render_verdict_page(spec, entry(*GATES), drawn)).text
    places = [
        "✗ Rejected",
        "Version 4 did not pass: version 2 stays champion.",
        "roc_auc against the champion: why it fail",
        "What to do next",
        "What did not pass (2)",
        "What was skipped (1)",
        "What passed (2)",
        "on the same 3,000 rows",
        "Facts",
    ]
    assert [text.index(place) for place in places] == sorted(text.index(place) for place in places)


def test_every_gate_has_its_value_bound_interval_rows_and_reason(spec: Pipeline) -> None:
    text = render_verdict_page(spec, entry(FAILED))
    row = text[text.index("<tbody") : text.index("</tbody>")]
    assert "✗ failed" in row
    assert ">-0.0123<" in row
    assert "low end ≥ -0.01" in row
    assert "90 %: -0.0311 to +0.0065" in row
    assert 'aria-label="value -0.0123, interval -0.0311 to 0.0065, bound -0.01"' in row
    assert "1,234 rows in 14 blocks" in row
    assert "why it fail" in row


def test_what_was_not_measured_is_not_drawn(spec: Pipeline) -> None:
    row = render_verdict_page(spec, entry(GATES[3])).split("<tbody")[1]
    assert "nothing was measured" in row
    assert "<svg" not in row


def test_a_verdict_of_an_older_version_can_still_be_shown(spec: Pipeline) -> None:
    older = {name: value for name, value in GATES[0].items() if name not in ("relation", "versus", "confidence")}
    text = read(render_verdict_page(spec, entry(older, outcome="passed"))).text
    assert "✓ Passed" in text
    assert "None were kept with this verdict" in text
    assert "≥ 0.6" in text


def test_the_page_loads_nothing_and_every_tag_is_closed(spec: Pipeline, drawn: VerdictPictures) -> None:
    text = render_verdict_page(spec, entry(*GATES, warnings=["pickle"]), drawn)
    assert read(text).addresses == []
    assert "://" not in text
    assert "<script" not in text


def test_nothing_that_others_wrote_is_html(spec: Pipeline, drawn: VerdictPictures) -> None:
    evil = replace(drawn, importance=[{"feature": EVIL, "mean": 1.0, "std": 0.1}], notes=(EVIL,))
    gates = [gate("fail", gate=EVIL, reason=EVIL, slice=EVIL)]
    trained = Entry("delays", "trained", "4", EVIL, EVIL, evidence={"digests": {EVIL: {EVIL: EVIL}}})
    told = replace(entry(*gates, warnings=[EVIL], test_partitions=[EVIL]), reason=EVIL, run_id=EVIL, actor=EVIL)
    text = render_verdict_page(
        spec.model_copy(update={"description": EVIL, "owner": EVIL}), told, evil, trained=trained
    )
    assert "<script" not in text
    assert EVIL in read(text).text


def test_the_facts_say_which_data_and_how_to_fit_it_again(spec: Pipeline) -> None:
    evidence = {
        "train_partitions": ["2013-02-04", "2013-02-11", "2013-02-18"],
        "digests": {"flights": {"2013-02-04": "sha-1"}},
        "versions": {"flights": 12},
        "mlflow_run_id": "abc",
    }
    text = read(
        render_verdict_page(
            spec, entry(*GATES), trained=Entry("delays", "trained", "4", "2013-03-04", "c", evidence=evidence)
        )
    ).text
    for said in (
        "2013-02-04 … 2013-02-18 (3 partitions)",
        "sha-1",
        "12",
        "abc",
        "run-7",
        "tradewind reproduce delays/4",
    ):
        assert said in text
    assert "not recorded" in read(render_verdict_page(spec, entry(*GATES))).text


def test_warnings_are_said_before_the_gates(spec: Pipeline) -> None:
    text = render_verdict_page(spec, entry(*GATES, warnings=["stored as `pickle`"]))
    assert text.index("<code>pickle</code>") < text.index("What did not pass (")
    assert "warning" not in render_verdict_page(spec, entry(*GATES))


@pytest.mark.parametrize(
    ("mode", "champion", "said"),
    [
        ("automatic", "2", "becomes champion by itself"),
        ("approval", "2", "run `run-7`, task `approve`. Without an answer within 1 day"),
        ("shadow", "2", "3 populations beside the champion"),
        ("shadow", None, "becomes champion by itself"),
    ],
    ids=["automatic", "approval", "shadow", "first"],
)
def test_what_to_do_after_a_pass_follows_from_the_mode(
    spec: Pipeline, mode: str, champion: str | None, said: str
) -> None:
    changes = (
        {"mode": "approval", "approvers": ("ann",)} if mode == "approval" else {"shadow": 3} if mode == "shadow" else {}
    )
    asked = spec.model_copy(update={"promotion": spec.promotion.model_copy(update=changes)})
    steps = verdict_next_steps(asked, entry(GATES[0], outcome="passed", champion=champion))
    assert said in steps[0]
    assert any("tradewind rollback delays --to 2" in step for step in steps) == (champion is not None)


def test_what_to_do_after_a_rejection_says_who_serves(spec: Pipeline) -> None:
    assert "version 2 goes on serving" in verdict_next_steps(spec, entry(*GATES))[0]
    assert "Nothing is scored" in verdict_next_steps(spec, entry(*GATES, champion=None))[0]
    assert any("larger `train.test`" in step for step in verdict_next_steps(spec, entry(*GATES)))
    assert not any("larger `train.test`" in step for step in verdict_next_steps(spec, entry(FAILED)))


def test_who_could_not_be_asked_is_named_with_what_to_do(spec: Pipeline) -> None:
    steps = verdict_next_steps(spec, entry(GATES[3], absent={"champion": "its files are gone"}))
    assert any("champion could not be asked: its files are gone. When that is mended, clear" in step for step in steps)


def test_a_verdict_on_a_shadow_says_so() -> None:
    assert "in the shadow" in verdict_headline(entry(GATES[0], outcome="passed", basis="shadow"))


def test_many_reasons_are_counted_not_listed() -> None:
    told = failure_reasons(entry(*[gate("fail", slice=f"a={number}") for number in range(9)]))
    assert len(told) == 6
    assert told[-1] == "and 4 more, below"


def test_the_form_has_what_did_not_pass_first_and_the_numbers_of_the_entry(spec: Pipeline) -> None:
    text = render_verdict_markdown(
        spec, entry(*GATES, outcome="passed", warnings=["stored as `pickle`"]), report="/tradewind/reports/x.html"
    )
    html = MarkdownIt("commonmark").enable("table").render(text)
    lines = [one.replace("\xa0", " ") for one in re.findall(r"<tr>\n<td>(.*?)</td>", html)]
    assert lines == ["✗ failed", "? insufficient", "– skipped", "✓ passed", "✓ passed"]
    assert (
        "<td>-0.0123</td>\n<td>-0.0311 to +0.0065</td>\n<td>low end ≥ -0.01</td>\n<td>1,234 rows, 14 blocks</td>"
        in html
    )
    assert '<a href="/tradewind/reports/x.html">' in html
    assert "stored as <code>pickle</code>" in html
    assert "<strong>Version 4 passed: it may replace version 2.</strong>" in html


def test_the_form_shows_the_champion_beside_the_candidate(spec: Pipeline) -> None:
    compared = {**FAILED, "outcome": "pass", "reason": "roc_auc 0.7892, champion 0.7872: better by 0.0020"}
    text = render_verdict_markdown(spec, entry(GATES[0], compared, outcome="passed"))
    assert "champion 0.7872" in text
    assert "why it pass" not in text


def test_the_form_says_what_is_asked_before_the_gates(spec: Pipeline) -> None:
    text = render_verdict_markdown(spec, entry(*GATES, outcome="passed", warnings=["stored as pickle"]))
    marks = ["Version 4 passed", "- Candidate: version 4", "- To undo that:", "**1 warning**", "| Gate |"]
    assert sorted(marks, key=text.index) == marks


def test_blocks_are_told_where_an_interval_rests_on_them(spec: Pipeline) -> None:
    alone = gate("pass", gate="alone", low=None, high=None)
    few = gate("insufficient", gate="few", low=None, high=None)
    rows = render_verdict_markdown(spec, entry(alone, few, gate("pass", gate="both"))).splitlines()
    told = {name: next(row for row in rows if f"| {name}" in row) for name in ("alone", "few", "both")}
    assert ["14 blocks" in row for row in told.values()] == [False, True, True]


def test_the_form_is_short(spec: Pipeline) -> None:
    text = render_verdict_markdown(
        spec, entry(*[gate("pass", slice=f"a={number}") for number in range(50)], outcome="passed")
    )
    assert text.count("✓&nbsp;passed") == 12
    assert "… and 38 more in the report" in text


def test_nothing_that_others_wrote_is_markdown(spec: Pipeline) -> None:
    evil = "x | y [here](javascript:alert(1)) <img src=x> **b** `c`\n\n# d"
    told = entry(gate("fail", gate=evil, reason=evil, slice=evil), warnings=[evil.replace("`", "")])
    text = render_verdict_markdown(spec.model_copy(update={"description": evil}), told)
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "<img" not in html
    assert "<a " not in html
    assert "<h1" not in html
    assert html.count("<tr>") == 2


def test_the_pictures_show_both_on_the_same_rows(drawn: VerdictPictures) -> None:
    test = rows()
    assert drawn.board["roc_auc"]["champion"] == pytest.approx(roc_auc_score(test.y, test.scores["champion"]), abs=1e-5)
    assert drawn.roc.keys() == drawn.precision_recall.keys() == drawn.reliability.keys() == {"candidate", "champion"}
    assert drawn.roc["candidate"][0] == [0, 0]
    assert drawn.roc["candidate"][-1] == [1, 1]
    assert sum(one["rows"] for one in drawn.reliability["candidate"]) == 3000
    assert (drawn.by, len(drawn.blocks), sum(one["rows"] for one in drawn.blocks)) == ("day", 6, 3000)
    assert [one["feature"] for one in drawn.importance] == ["wind", "hour"]


def test_the_pictures_come_back_from_json(drawn: VerdictPictures) -> None:
    assert VerdictPictures.from_json(json.loads(json.dumps(drawn.as_json()))) == drawn


def test_the_pictures_have_a_bounded_size() -> None:
    many = compute_pictures(rows(days=800, n=20_000), [{"feature": str(n), "mean": n, "std": 0.0} for n in range(500)])
    assert len(json.dumps(many.as_json())) < 60_000
    assert (many.by, len(many.importance)) == ("month", 100)
    assert compute_pictures(rows(days=1.5)).by == "hour"


def test_a_champion_is_not_shown_on_rows_that_it_has_learned_from(spec: Pipeline) -> None:
    test = rows()
    later = {**test.fit_end, "champion": datetime(2013, 4, 4, tzinfo=UTC)}
    shown = compute_pictures(replace(test, fit_end=later))
    assert shown.roc.keys() == {"candidate"}
    assert "learned from all of these rows" in shown.notes[0]
    assert shown.notes[0] in render_verdict_page(spec, entry(*GATES), shown)
    half = compute_pictures(replace(test, fit_end={**test.fit_end, "champion": datetime(2013, 3, 7, 5, tzinfo=UTC)}))
    assert 0 < half.rows < 3000
    assert "rows that the champion has learned from are not shown" in half.notes[0]


def test_a_champion_that_cannot_predict_is_not_shown() -> None:
    test = rows()
    shown = compute_pictures(replace(test, scores={**test.scores, "champion": np.full(3000, np.nan)}))
    assert shown.roc.keys() == {"candidate"}
    assert "cannot predict" in shown.notes[0]
    assert shown.board["roc_auc"]["champion"] is None
    only = {"candidate": test.scores["candidate"]}
    gone = compute_pictures(replace(test, scores=only, absent={"champion": "its files are gone"}))
    assert gone.notes == ("The champion is not shown: its files are gone.",)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_task_has_its_pictures(spec: Pipeline, task: str) -> None:
    names = {
        "binary": {"roc_auc by day", "ROC curve", "Precision and recall", "Is a probability what it says?"},
        "multiclass": {"accuracy by day", "What was taken for what", "Is a probability what it says?"},
        "regression": {"mae by day", "Predicted and observed, by tenths", "Residuals, by tenths"},
    }
    shown = compute_pictures(rows(task), IMPORTANCE, classes=["a", "<b>", "c"] if task == "multiclass" else None)
    text = render_verdict_page(spec, entry(*GATES), shown)
    captions = set(re.findall(r"<figcaption>(.*?)<", text))
    assert captions == names[task] | {"By slice", "What the candidate relies on"}
    assert "nan" not in text
    read(text)


def test_a_confusion_counts_every_row_also_of_classes_that_nobody_knew() -> None:
    test = rows("multiclass")
    found = compute_pictures(test, classes=["a", "b", "c"]).confusion
    assert found["classes"] == ["a", "b", "c", "never seen"]
    assert [sum(row) for row in found["counts"]] == [int((test.y == code).sum()) for code in (0, 1, 2, -1)]
    predicted = test.scores["candidate"].argmax(axis=1)
    assert found["counts"][1][2] == int(((test.y == 1) & (predicted == 2)).sum())


def test_the_rarest_of_many_classes_are_one() -> None:
    random = np.random.default_rng(0)
    y = np.concatenate([np.arange(20), random.integers(0, 8, 2980)])
    test = replace(rows("multiclass"), y=y, scores={"candidate": random.dirichlet(np.ones(20), 3000)})
    found = compute_pictures(test).confusion
    assert (len(found["classes"]), found["classes"][-1]) == (12, "others")
    assert sum(map(sum, found["counts"])) == 3000


def test_tenths_of_a_regression_hold_all_rows_and_their_means() -> None:
    test = rows("regression")
    tenths = compute_pictures(test).deciles["candidate"]
    assert [one["rows"] for one in tenths] == [300] * 10
    assert np.mean([one["observed"] for one in tenths]) == pytest.approx(test.y.mean(), abs=1e-5)
    assert all(one["residual"] == pytest.approx(one["observed"] - one["predicted"], abs=1e-5) for one in tenths)


UNSURE = gate(
    "not_shown", gate="roc_auc no worse than the champion's by more than 0.01", value=0.052, low=-0.03, high=0.13,
    bound=-0.01, relation="lower_bound", versus="champion", blocks=21, detectable=0.0721, needed=44,
)  # fmt: skip
DAYS_OF_TEST = {"test_partitions": ["2013-03-04", "2013-03-11", "2013-03-18"]}


def test_not_shown_is_told_apart_from_worse_and_says_what_it_would_take(spec: Pipeline) -> None:
    unsure = entry(UNSURE, **DAYS_OF_TEST)
    steps = "\n".join(verdict_next_steps(spec, unsure))
    assert "where, by slice and over time, it is worse" not in steps
    assert "was not shown, which is not the same as worse" in steps
    assert "a value like this one takes about 7 partitions (`train.test`)" in steps
    assert "it would have passed a bound of -0.0300" in steps
    told = render_verdict_page(spec, unsure)
    assert "≈ not shown" in told
    assert "How much these rows can show" in told
    assert "21 blocks of 3 test partitions show a gain over champion of +0.0721 or more in 8 of 10 cases" in told
    assert "takes about 12 partitions" in told
    assert "What these rows can show" in render_verdict_markdown(spec, unsure)
    worse = "\n".join(verdict_next_steps(spec, entry(FAILED)))
    assert "where, by slice and over time, it is worse" in worse
    assert "not the same as worse" not in worse
