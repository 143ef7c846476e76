"""Typical mistakes in a pipeline's YAML: where each is shown, and what is suggested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.spec.load import problems

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
    "a choice cut short": ("versus: champion", "versus: champ", 32, 31, "gates[1].versus", "champion", "'champ'"),
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
    "a gate of two kinds": ("lower_bound: -0.01", "at_least: 0.6", 32, 6, "gates[1]", None, "either `at_least`"),
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
    "a cron at 26 o'clock": ('"0 6 * * 1"', '"0 26 * * 1"', 8, 11, "schedule", None, "`26` is no hour: expected 0-23"),
    "a preset that does not exist": ('"0 6 * * 1"', '"@dayly"', 8, 11, "schedule", "@daily", "is no preset"),
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
        "there is only the log yet; leave channels out",
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

    (problem,) = problems(path)

    assert (problem.line, problem.column, problem.field) == (line, column, field)
    assert problem.suggestion == suggestion
    assert words in problem.text()
    assert problem.source_line == path.read_text().splitlines()[line - 1]
