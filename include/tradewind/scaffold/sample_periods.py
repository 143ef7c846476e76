"""The sample in hours, weeks and months: what of its files, which are written in days, is written otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from tradewind.errors import TradewindError
from tradewind.spec.partitions import Kind

# By file name: what stands in the sample of days, and what stands in its place.
_EVERYWHERE: Mapping[Kind, Mapping[str, str]] = {
    "hour": {"depot_day": "depot_hour"},
    "week": {"depot_day": "depot_week"},
    "month": {"depot_day": "depot_month"},
}
_YAML: Mapping[Kind, Mapping[str, str]] = {
    "hour": {
        "start: 2024-01-01": "start: 2024-01-01T00",
        "end: 2024-01-11": "end: 2024-01-01T20",
        '"0 6 * * *"': '"0 * * * *"',
        "window: 4 # days; the last two of them judge": "window: 10 # hours; the last six of them judge",
        "test: 2": "test: 6",
        "available_after: 6h": "available_after: 10m",
        "every: 4": "every: 8",
        "cooldown: 2": "cooldown: 6",
    },
    "week": {
        "end: 2024-01-11": "end: 2024-03-11",
        '"0 6 * * *"': '"0 6 * * 1"',
        "window: 4 # days;": "window: 4 # weeks;",
        "by: hour": "by: day",
    },
    "month": {
        "end: 2024-01-11": "end: 2024-11-01",
        '"0 6 * * *"': '"0 6 1 * *"',
        "window: 4 # days;": "window: 4 # months;",
        "by: hour": "by: day",
    },
}
_SQL: Mapping[Kind, Mapping[str, str]] = {
    "hour": {"six hours after": "ten minutes after", "INTERVAL 6 HOUR": "INTERVAL 10 MINUTE"},
    "week": {},
    "month": {},
}
_FEATURES: Mapping[Kind, Mapping[str, str]] = {
    "hour": {},
    "week": {"timedelta(days=3)": "timedelta(weeks=3)"},
    "month": {"timedelta(days=3)": "timedelta(days=93)"},
}
_TESTS: Mapping[Kind, Mapping[str, str]] = {
    "hour": {"WINDOW = 4": "WINDOW = 10", "deliver_sample(": 'deliver_sample(kind="hour", folder='},
    "week": {"deliver_sample(": 'deliver_sample(kind="week", folder='},
    "month": {"deliver_sample(": 'deliver_sample(kind="month", folder='},
}


def adapt_sample_file(path: str, text: str, kind: Kind) -> tuple[str, str]:
    """A file of the sample of days, with its path, for partitions of another length.

    :param path: from the project root
    :raises TradewindError: the file is not what this module knows
    """
    if kind == "day":
        return path, text
    changes: dict[str, str] = {}
    if path.endswith(".yaml"):
        changes |= {"partition: day": f"partition: {kind}", "{day}": "{partition}", **_YAML[kind]}
        judged = "six hours" if kind == "hour" else f"two {kind}s"
        changes |= {"on this day": f"on this {kind}", "two days that judged": f"{judged} that judged"}
        changes |= {"the run of a day": f"the run of {'an' if kind == 'hour' else 'a'} {kind}"}
    elif path.endswith("depot_day.sql"):
        changes |= {"last days": f"last {kind}s", "when the day ends": f"when the {kind} ends", **_SQL[kind]}
    elif path.endswith("deliveries.sql"):
        changes |= {"for the day": f"for the {kind}"}
    elif path.endswith("features.py"):
        article = "an" if kind == "hour" else "a"
        known = {"Every feature of a day is known when that day": f"Every feature of {article} {kind} is known when it"}
        changes |= {**known, **_FEATURES[kind]}
    elif path.startswith("tests/"):
        changes |= _TESTS[kind]
    if lost := [old for old in changes if old not in text]:
        raise TradewindError(f"the sample's {path} has no {lost[0]!r} any more; this is a mistake in Tradewind")
    for old, new in {**changes, **_EVERYWHERE[kind]}.items():
        text = text.replace(old, new)
    return path.replace("depot_day", _EVERYWHERE[kind]["depot_day"]), text
