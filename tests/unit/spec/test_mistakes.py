"""Typical mistakes in a pipeline's YAML: where each is shown, and what is suggested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.spec.load import list_problems

FEATURES = "features:\n  definitions: include/features.py\n"
GATES = """\
gates:
  - {metric: roc_auc, at_least: 0.6}
  - {metric: roc_auc, versus: champion, lower_bound: -0.01}
  - {metric: roc_auc, slice: origin, at_least: 0.55}
"""

# What is written, what it is replaced with; line, column, field, suggestion, words of the message.
MISTAKES = {
    "a misspelt top-level field": ('schedule: "0', 'schedul: "0', 8, 1, "schedul", "schedule", "unknown field"),
    "a misspelt nested field": (
        "lookback: 2",
        "lookbak: 2",
        16,
        24,
        "datasets.carriers.inputs.flights.lookbak",
        "lookback",
        "unknown field",
    ),
    "a runbook that is a script": (
        "owner:",
        "runbook: javascript:alert(1)\nowner:",
        2,
        10,
        "runbook",
        None,
        "is not a link to a page",
    ),
    "a runbook with a hidden scheme": (
        "owner:",
        'runbook: "java\\tscript:alert(1)"\nowner:',
        2,
        10,
        "runbook",
        None,
        "is not a link to a page",
    ),
    "a field nobody knows": ("owner:", "colour: red\nowner:", 2, 1, "colour", None, "one of pipeline, owner,"),
    "a field one level too high": (
        "owner:",
        "window: 8\nowner:",
        2,
        1,
        "window",
        None,
        "`window` under `datasets.NAME.audit` or `train`",
    ),
    "a field in capitals": ("owner:", "Owner:", 2, 1, "Owner", "owner", "unknown field"),
    "a missing top-level field": ("owner: data@example.com\n", "", 1, 1, "owner", None, "is missing"),
    "a missing nested field": ("  service: flights_v1\n", "", 23, 1, "train.service", None, "is missing"),
    "a missing field of a list item": ("metric: roc_auc, at", "at", 31, 6, "gates[0].metric", None, "is missing"),
    "a choice in other words": (
        "partition: week",
        "partition: weekly",
        4,
        12,
        "partition",
        "week",
        "day, week or",
    ),
    "a choice cut short": (
        "versus: champion",
        "versus: champ",
        32,
        31,
        "gates[1].versus",
        "champion",
        "nobody is called `champ`",
    ),
    "a metric by a short name": (
        "e: {metric: roc_",
        "e: {metric: ",
        36,
        25,
        "monitor.performance.metric",
        "roc_auc",
        "",
    ),
    "a number in quotes": ("window: 8", 'window: "8"', 24, 11, "train.window", "8", "a whole number, found the text"),
    "a boolean for a number": ("window: 8", "window: yes", 24, 11, "train.window", None, "YAML reads as true"),
    "text for a boolean": (
        "    keys: [flight_id]",
        '    deterministic: "no"\n    keys: [flight_id]',
        13,
        20,
        "datasets.flights.deterministic",
        None,
        "expected true or false, found the text 'no'",
    ),
    "a number for a boolean": (
        "    keys: [flight_id]",
        "    deterministic: 0\n    keys: [flight_id]",
        13,
        20,
        "datasets.flights.deterministic",
        None,
        "expected true or false, found the number 0",
    ),
    "a fraction for a count": ("window: 8", "window: 8.5", 24, 11, "train.window", None, "found the number 8.5"),
    "a country that YAML takes for no": (
        '["NA"]',
        "[NA, NO]",
        11,
        56,
        "datasets.flights.source.nulls[1]",
        '"NO"',
        "expected text",
    ),
    "text for a list": ("[flight_id]", "flight_id", 13, 11, "datasets.flights.keys", None, "expected a list"),
    "a list for a mapping": ("  definitions:", "  - definitions:", 18, 1, "features", None, "found a list"),
    "a section without content": (FEATURES, "features:\n", 18, 1, "features", None, "has no value"),
    "a duration without a unit": ("deadline: 2h", "deadline: 2", 42, 13, "alerts.deadline", None, "90m, 2h, 1d or 1w"),
    "a duration in words": ("after: 1d", "after: a day", 28, 60, "train.label.available_after", None, "expected a dur"),
    "a quorum as a fraction": ("decay: 2 of 4", "decay: 2/4", 38, 17, "retrain.when.decay", None, '"2 of 4"'),
    "a quorum that cannot be": ("decay: 2 of 4", "decay: 5 of 4", 38, 17, "retrain.when.decay", None, "never happen"),
    "a count below its least": (
        "cooldown: 3",
        "cooldown: -1",
        39,
        13,
        "retrain.cooldown",
        None,
        "at least 0, found -1",
    ),
    "an infinite bound": ("0.66", ".inf", 36, 44, "monitor.performance.at_least", None, "a finite number"),
    "a name in capitals": ("  carriers:", "  Carriers:", 15, 3, "datasets.Carriers", None, "lower case"),
    "a name that is a number": ("  carriers:", "  2013:", 15, 3, "datasets[2013]", None, "put it in quotes"),
    "a model without its function": ("model.py:build", "model.py", 29, 10, "train.model", None, "file.py:function"),
    "an empty text": ("data@example.com", '""', 2, 1, "owner", None, "must not be empty"),
    "a window that is all test": ("test: 2", "test: 8", 25, 9, "train.test", None, "smaller than `window` (8)"),
    "a gate of two bounds": (
        "lower_bound: -0.01",
        "at_least: 0, lower_bound: 0",
        32,
        6,
        "gates[1]",
        None,
        "exactly one of `at_least`, `at_most`, `lower_bound`, `upper_bound`, `gap_at_most`; found `at_least` and "
        "`lower_bound`",
    ),
    "a gate without a bound": (", at_least: 0.6", "", 31, 6, "gates[0]", None, "; found none"),
    "a gate of two kinds": (
        "metric: roc_auc, at_least: 0.6",
        "metric: roc_auc, check: size, at_most: 6",
        31,
        6,
        "gates[0].metric",
        None,
        "a gate cannot have `check` and `metric`",
    ),
    "a misspelt kind of gate": (
        "metric: roc_auc, at_least: 0.6",
        "chek: size, at_most: 6",
        31,
        6,
        "gates[0].chek",
        "check",
        "unknown field",
    ),
    "a misspelt bound": ("at_least: 0.6}", "at_lest: 0.6}", 31, 23, "gates[0].at_lest", "at_least", "unknown field"),
    "a field of another kind of gate": (
        "metric: roc_auc, at_least: 0.6",
        "check: size, at_most: 6, min_rows: 5",
        31,
        31,
        "gates[0].min_rows",
        None,
        "a gate with `check` has no `min_rows`",
    ),
    "a bound in quotes, in the third gate": (
        "at_least: 0.55",
        'at_least: "0.55"',
        33,
        48,
        "gates[2].at_least",
        "0.55",
        "expected a number, found the text '0.55'",
    ),
    "an unknown check": (
        "metric: roc_auc, at_least: 0.6",
        "check: latancy, at_most: 6",
        31,
        13,
        "gates[0].check",
        "latency",
        "expected loads, schema, latency, size or stability, found the text 'latancy'",
    ),
    "a check without its bound": (
        "metric: roc_auc, at_least: 0.6",
        "check: latency",
        31,
        13,
        "gates[0].check",
        None,
        "`check: latency` needs `at_most`",
    ),
    "a check with what it does not use": (
        "metric: roc_auc, at_least: 0.6",
        "check: size, at_most: 6, rows: 9",
        31,
        37,
        "gates[0].rows",
        None,
        "`check: size` has no `rows`; it belongs to `check: loads` and `check: latency`",
    ),
    "an unknown measure of fairness": (
        "metric: roc_auc, at_least: 0.6",
        "fairness: disparate_impact, group: origin, at_least: 0.8",
        31,
        16,
        "gates[0].fairness",
        "disparate_impact_ratio",
        "expected demographic_parity_difference, equal_opportunity_difference or disparate_impact_ratio",
    ),
    "a ratio with the bound of a difference": (
        "metric: roc_auc, at_least: 0.6",
        "fairness: disparate_impact_ratio, group: origin, at_most: 0.8",
        31,
        16,
        "gates[0].fairness",
        None,
        "disparate_impact_ratio has the bound `at_least`",
    ),
    "a group that is not loaded": (
        "metric: roc_auc, at_least: 0.6",
        "fairness: disparate_impact_ratio, group: orign, at_least: 0.8",
        31,
        47,
        "gates[0].group",
        "origin",
        "`orign` is not in `train.columns`, nor in `verdict.columns`",
    ),
    "a share of more than one": (
        "metric: roc_auc, at_least: 0.6",
        "fairness: demographic_parity_difference, group: origin, at_most: 8",
        31,
        71,
        "gates[0].at_most",
        None,
        "lies between 0 and 1, found 8",
    ),
    "a bound that everybody meets": (
        "at_least: 0.6}",
        "at_least: 0.0}",
        31,
        33,
        "gates[0].at_least",
        None,
        "every candidate meets this: roc_auc is never below 0",
    ),
    "a gap that cannot be larger": (
        "at_least: 0.6}",
        "slice: origin, gap_at_most: 1.0}",
        31,
        51,
        "gates[0].gap_at_most",
        None,
        "every candidate meets this: the gap of roc_auc is never above 1",
    ),
    "a ratio that is never smaller": (
        "metric: roc_auc, at_least: 0.6",
        "fairness: disparate_impact_ratio, group: origin, at_least: 0",
        31,
        65,
        "gates[0].at_least",
        None,
        "every candidate meets this: disparate_impact_ratio is never below 0",
    ),
    "a gap without slices": (
        "at_least: 0.6}",
        "gap_at_most: 0.1}",
        31,
        36,
        "gates[0].gap_at_most",
        None,
        "`gap_at_most` compares slices: it needs `slice`",
    ),
    "a difference that cannot be": (
        "lower_bound: -0.01",
        "lower_bound: -10",
        32,
        54,
        "gates[1].lower_bound",
        None,
        "differences of roc_auc lie between -1 and 1, found -10",
    ),
    "blocks of nothing that is known": (
        "at_least: 0.6}",
        "at_least: 0.6, by: weeek}",
        31,
        42,
        "gates[0].by",
        "week",
        "`weeek` is not a unit of time, and no column that judges",
    ),
    "a metric of another task": (
        "{metric: roc_auc, at_least: 0.6}",
        "{metric: rmse, at_most: 0.6}",
        31,
        14,
        "gates[0].metric",
        None,
        "rmse means nothing where `train.task` is binary",
    ),
    "a heuristic without its function": (
        "gates:\n",
        "verdict: {heuristics: {last_week: include/model.py}}\ngates:\n",
        30,
        35,
        "verdict.heuristics.last_week",
        None,
        "file.py:function",
    ),
    "a heuristic whose file is not there": (
        "gates:\n",
        "verdict: {heuristics: {last_week: include/modell.py:rule}}\ngates:\n",
        30,
        35,
        "verdict.heuristics.last_week",
        "include/model.py",
        "there is no file include/modell.py",
    ),
    "a heuristic with a taken name": (
        "gates:\n",
        "verdict: {heuristics: {majority: include/model.py:rule}}\ngates:\n",
        30,
        24,
        "verdict.heuristics.majority",
        None,
        "`versus: majority` means something else already",
    ),
    "an unknown correction": (
        "gates:\n",
        "verdict: {correction: bonferoni}\ngates:\n",
        30,
        23,
        "verdict.correction",
        "bonferroni",
        "expected none or bonferroni",
    ),
    "a search space that is not there": (
        "  test: 2\n",
        "  test: 2\n  validation: 1\n  search: {space: include/spaces.py:space, metric: roc_auc}\n",
        27,
        19,
        "train.search.space",
        "include/features.py",
        "there is no file include/spaces.py",
    ),
    "a search by a metric of another task": (
        "  test: 2\n",
        "  test: 2\n  validation: 1\n  search: {space: include/model.py:space, metric: mae}\n",
        27,
        51,
        "train.search.metric",
        None,
        "mae means nothing where `train.task` is binary",
    ),
    "a search that nothing judges": (
        "  test: 2\n",
        "  test: 2\n  search: {space: include/model.py:space, metric: roc_auc}\n",
        26,
        3,
        "train.search",
        None,
        "set `validation` to 1 or more",
    ),
    "validation and test that leave nothing": (
        "  test: 2\n",
        "  test: 2\n  validation: 6\n",
        26,
        15,
        "train.validation",
        None,
        "nothing is left to learn from",
    ),
    "an early stop in the wrong direction": (
        "  test: 2\n",
        "  test: 2\n  validation: 1\n  early: {metric: log_loss, at_least: 0.5}\n",
        27,
        29,
        "train.early.at_least",
        "at_most",
        "log_loss is better when smaller: this would stop only good candidates",
    ),
    "an early stop that cannot be": (
        "  test: 2\n",
        "  test: 2\n  validation: 1\n  early: {metric: roc_auc, at_least: 60}\n",
        27,
        38,
        "train.early.at_least",
        None,
        "roc_auc lies between 0 and 1, found 60",
    ),
    "a quorum that is no window": (
        "  test: 2\n",
        "  test: 2\n  complete: 2\n",
        26,
        13,
        "train.complete",
        None,
        "`complete` lies between 3 (what judges, and one to learn from) and `window` (8), found 2",
    ),
    "a wrong word for complete": (
        "  test: 2\n",
        "  test: 2\n  complete: every\n",
        26,
        13,
        "train.complete",
        None,
        "expected a whole number or `all`, found the text 'every'",
    ),
    "an unknown task": (
        "  test: 2\n",
        "  test: 2\n  task: multi_class\n",
        26,
        9,
        "train.task",
        "multiclass",
        "expected binary, multiclass or regression",
    ),
    "models archived while they wait": (
        "promotion: {mode: automatic}\n",
        "promotion: {mode: approval, approvers: [ana], timeout: 2w}\nretention: {models: 1w}\n",
        35,
        21,
        "retention.models",
        None,
        "a candidate waits for its approval for up to 2w",
    ),
    "models archived while they stand by": (
        "promotion: {mode: automatic}\n",
        "promotion: {shadow: 3}\nretention: {models: 2w}\n",
        35,
        21,
        "retention.models",
        None,
        "a candidate stands beside the champion for 3 partitions (3w)",
    ),
    "models that are never kept": (
        "promotion: {mode: automatic}\n",
        "retention: {models: 1h}\n",
        34,
        21,
        "retention.models",
        None,
        "keep at least 1d",
    ),
    "a shadow before the first": (
        "promotion: {mode: automatic}\n",
        "promotion: {shadow: -1}\n",
        34,
        21,
        "promotion.shadow",
        None,
        "expected at least 0, found -1",
    ),
    "a dataset that reads nothing": (
        "inputs: {flights: {lookback: 2}}",
        "keys: [carrier]",
        15,
        3,
        "datasets.carriers",
        None,
        "needs a `source` or `inputs`",
    ),
    "a field twice": (
        "  test: 2\n",
        "  test: 2\n  window: 9\n",
        26,
        3,
        "train.window",
        None,
        "the first is in line 24",
    ),
    "an unknown time zone": (
        "America/New_York",
        "America/NewYork",
        5,
        11,
        "timezone",
        "America/New_York",
        "no time zone",
    ),
    "a week that starts on a Tuesday": ("2013-01-28", "2013-01-29", 6, 8, "start", None, "(a Monday)"),
    "a day that does not exist": ("2013-01-28", "2013-02-30", 6, 8, "start", None, "'2013-02-30' is not a key"),
    "an end before the start": ("2013-07-01", "2012-12-31", 7, 6, "end", None, "later than `start` (2013-01-28)"),
    "a cron of four fields": ('"0 6 * * 1"', '"0 6 * *"', 8, 11, "schedule", None, "4 fields"),
    "a cron at 26 o'clock": (
        '"0 6 * * 1"',
        '"0 26 * * 1"',
        8,
        11,
        "schedule",
        None,
        "invalid hour `26`: expected 0-23",
    ),
    "a preset that does not exist": ('"0 6 * * 1"', '"@dayly"', 8, 11, "schedule", "@daily", "is not a preset"),
    "a run on some days for weeks from Monday": (
        '"0 6 * * 1"',
        '"0 6 1,8,15,22 * *"',
        8,
        11,
        "schedule",
        None,
        "partition 2013-03-18 would never run: '0 6 1,8,15,22 * *' has no tick",
    ),
    "an alert to a channel that is not there": (
        "alerts:",
        "alerts:\n  channels: [log, slack]",
        42,
        19,
        "alerts.channels[1]",
        None,
        "unknown alert channel `slack`\n    expected one of log",
    ),
    "a drift test that is not there": (
        "at_least: 0.66}\nretrain:",
        "at_least: 0.66}\n  drift: {tests: [psi, psy]}\nretrain:",
        37,
        24,
        "monitor.drift.tests[1]",
        "psi",
        "unknown drift test `psy`",
    ),
    "an input that is no dataset": (
        "inputs: {flights:",
        "inputs: {flight:",
        16,
        14,
        "datasets.carriers.inputs.flight",
        "flights",
        "there is no dataset `flight`",
    ),
    "a dataset that reads itself": (
        "inputs: {flights:",
        "inputs: {carriers:",
        16,
        14,
        "datasets.carriers.inputs.carriers",
        None,
        "in a circle: carriers → carriers",
    ),
    "a dataset with a taken name": ("  carriers:", "  drift:", 15, 3, "datasets.drift", None, "choose another name"),
    "a label from no dataset": (
        "dataset: flights",
        "dataset: flihgts",
        28,
        20,
        "train.label.dataset",
        "flights",
        "no dataset",
    ),
    "an unknown placeholder": ("{day}", "{date}", 11, 21, "datasets.flights.source.files", None, "{date}"),
    "a bracket left open": ("{day}", "{day", 11, 21, "datasets.flights.source.files", None, "stands alone"),
    "a file that is not there": (
        "include/carriers.sql",
        "include/carrier.sql",
        17,
        10,
        "datasets.carriers.sql",
        "include/carriers.sql",
        "there is no file include/carrier.sql",
    ),
    "a file outside the project": ("include/carr", "../carr", 17, 10, "datasets.carriers.sql", None, "without `..`"),
    "training without features": (FEATURES, "", 21, 1, "features", None, "`train` learns from them"),
    "training without gates": (GATES, "", 23, 1, "gates", None, "every candidate would pass"),
    "an empty list of gates": (GATES, "gates: []\n", 23, 1, "gates", None, "every candidate would pass"),
    "approval by nobody": ("automatic", "approval", 34, 19, "promotion.approvers", None, "nobody could approve"),
    "approvers that nobody asks": (
        "mode: automatic",
        "approvers: [a]",
        34,
        13,
        "promotion.approvers",
        None,
        "is automatic",
    ),
    "a percentage for a share": (
        "0.66",
        "66",
        36,
        44,
        "monitor.performance.at_least",
        None,
        "between 0 and 1, found 66",
    ),
    "a performance in the wrong direction": (
        "performance: {metric: roc_auc, at_least: 0.66}",
        "performance: {metric: log_loss, at_least: 0.66}",
        36,
        35,
        "monitor.performance.at_least",
        "at_most",
        "this would call only good partitions decayed",
    ),
    "a performance with two bounds": (
        "at_least: 0.66}",
        "at_least: 0.66, at_most: 0.9}",
        36,
        3,
        "monitor.performance",
        None,
        "either `at_least` or `at_most`",
    ),
    "a gate in the wrong direction": (
        "{metric: roc_auc, at_least: 0.6}",
        "{metric: log_loss, at_least: 0.6}",
        31,
        24,
        "gates[0].at_least",
        "at_most",
        "better when smaller",
    ),
    "a slice that is not loaded": (
        "slice: origin",
        "slice: orign",
        33,
        30,
        "gates[2].slice",
        "origin",
        "train.columns",
    ),
    "a budget without effect": ("max: 6", "max: 60", 40, 17, "retrain.budget.max", None, "is no limit"),
}


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "field", "suggestion", "words"), MISTAKES.values(), ids=MISTAKES
)
def test_a_mistake_is_told_once_and_at_its_place(
    old: str,
    new: str,
    line: int,
    column: int,
    field: str,
    suggestion: str | None,
    words: str,
    flights: str,
    write: Callable[[str], Path],
) -> None:
    assert old in flights
    path = write(flights.replace(old, new, 1))

    (problem,) = list_problems(path)

    assert (problem.line, problem.column, problem.field) == (line, column, field)
    assert problem.suggestion == suggestion
    assert words in problem.text()
    assert problem.source_line == path.read_text().splitlines()[line - 1]


def test_gates_of_numbers_are_held_against_metrics_of_numbers(flights: str, write: Callable[[str], Path]) -> None:
    text = flights.replace("  window: 8\n", "  window: 8\n  task: regression\n")
    text = text.replace(
        "{metric: roc_auc, slice: origin, at_least: 0.55}",
        "{fairness: demographic_parity_difference, group: origin, at_most: 0.1}",
    )

    told = {problem.field: problem.text() for problem in list_problems(write(text))}

    assert "fairness is defined here for two classes, and `train.task` is regression" in told.pop("gates[2].fairness")
    assert list(told) == ["gates[0].metric", "gates[1].metric", "monitor.performance.metric"]
    assert all("roc_auc means nothing" in text and "mae, rmse or r2" in text for text in told.values())


def test_gates_that_only_compare_with_the_champion_judge_no_first_candidate(
    flights: str, write: Callable[[str], Path]
) -> None:
    (problem,) = list_problems(write(flights.replace("at_least: 0.", "versus: champion, at_least: 0.", 2)))

    assert problem.field == "gates"
    assert "nothing would judge the first candidate" in problem.text()


def test_a_verdict_without_training_judges_nothing(flights: str, write: Callable[[str], Path]) -> None:
    head, _, rest = flights.partition("train:\n")
    text = head + "verdict: {resamples: 500}\n" + "alerts:" + rest.partition("alerts:")[2]

    (problem,) = list_problems(write(text))

    assert (problem.field, problem.line) == ("verdict", 23)
    assert "there is no `train`" in problem.text()


def test_gates_that_only_check_judge_no_prediction(flights: str, write: Callable[[str], Path]) -> None:
    head, _, rest = flights.partition("gates:\n")
    text = head + "gates:\n  - {check: size, at_most: 50}\npromotion:" + rest.partition("promotion:")[2]

    (problem,) = list_problems(write(text))

    assert problem.field == "gates"
    assert "nothing judges what the candidate predicts" in problem.text()
