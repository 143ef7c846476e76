"""The report of one partition: a self-contained HTML page that can be read on a phone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tradewind.core.drift_tests import drift_test_words
from tradewind.core.monitoring_rows import DriftRow
from tradewind.pages import layout

_STYLE = """
.card{--mine:var(--soft);border:1px solid var(--line);border-left:.4rem solid var(--mine);border-radius:.4rem;
margin:.6rem 0;padding:.5rem .8rem}
.drift,.worse,.below{--mine:var(--bad)}.card.ok{--mine:var(--ok);color:var(--fg)}
.head{display:flex;justify-content:space-between;gap:1rem;font-weight:600}
.bar{background:var(--track);border-radius:.2rem;height:.5rem;margin:.4rem 0;position:relative}
.bar i{background:var(--mine);border-radius:.2rem;display:block;height:100%}
.mark{background:var(--fg);box-shadow:0 0 0 1px var(--bg);display:inline-block;height:1rem;vertical-align:text-bottom;
width:2px}
.bar .mark{position:absolute;top:-.25rem;transform:translateX(-1px)}
"""
# `below` is what earlier releases called what is worse than the limit.
_ORDER = {
    "drift": 0,
    "worse": 0,
    "below": 0,
    "insufficient": 2,
    "in_sample": 2,
    "fallback": 1,
    "no data": 3,
    "no champion": 3,
}
_FULL = 0.5
_LEGEND = (
    "<p><small>Bar: the statistic against the champion's baseline partitions; mark "
    '<b class="mark"></b>: how far these differ from each other. '
    "Up to the mark it is their usual variation, no drift. An alarm is beyond it and above the floor, "
    "corrected over all features. Full at 0.5 or at the larger of the two.</small></p>"
)


def write_monitor_page(
    path: Path,
    *,
    pipeline: str,
    partition: str,
    drift: Sequence[DriftRow],
    performance: Sequence[Mapping[str, Any]],
) -> None:
    """Write the page; who reads meanwhile sees the old or the new one.

    :param drift: rows of the dataset `drift` of the partition
    :param performance: rows of the dataset `performance` of the partition
    """
    layout.write_page(
        path, render_monitor_page(pipeline=pipeline, partition=partition, drift=drift, performance=performance)
    )


def render_monitor_page(
    *, pipeline: str, partition: str, drift: Sequence[DriftRow], performance: Sequence[Mapping[str, Any]]
) -> str:
    """The page as HTML; the same rows give the same text."""
    title = f"{pipeline} · {partition}"
    body = [f"<h1>{escape(title)}</h1>", f"<p>{_summary(drift, performance)}</p>", _LEGEND if drift else ""]
    body += ["<h2>Performance</h2>"]
    body += [_performance_card(row) for row in sorted(performance, key=_performance_order)]
    body += [] if performance else ["<p>No labels fell due in this partition.</p>"]
    for horizon in sorted({row.horizon for row in drift}):
        body.append(f"<h2>Drift over {horizon} partition{'s' if horizon > 1 else ''}</h2>")
        body += [_drift_card(row) for row in sorted(drift, key=_drift_order) if row.horizon == horizon]
    return layout.page_document(title, "".join(body), style=_STYLE)


def _summary(drift: Sequence[DriftRow], performance: Sequence[Mapping[str, Any]]) -> str:
    alarms = sum(row.alarm is True for row in drift)
    judged = sum(row.alarm is not None for row in drift)
    below = sum(row["below"] is True for row in performance)
    said = [f"{alarms} of {judged} drift judgements are alarms"] if judged else [_not_judged(drift)]
    if judged < len(drift) and judged:
        said[0] += f", {len(drift) - judged} more are insufficient"
    if performance:
        said.append(f"{below} of {len(performance)} populations worse than the limit")
    return "; ".join(said) + "."


def _not_judged(drift: Sequence[DriftRow]) -> str:
    reasons = Counter(row.reason for row in drift).most_common(1)
    return f"Drift could not be judged{f': {escape(reasons[0][0])}' if reasons else ''}"


def _drift_card(row: DriftRow) -> str:
    words, statistic, usual = drift_test_words(row.test), row.statistic, row.null_high
    if statistic is None:
        return _card(row.outcome, row.feature, "", "", row.reason)
    value = f"{escape(words)} {_number(statistic)}"
    if usual is None:
        return _card(row.outcome, row.feature, value, "", row.reason)
    full = max(_FULL, statistic, usual)
    mark = f'<b class="mark" style="left:{usual / full * 100:.1f}%"></b>'
    bar = f'<div class="bar"><i style="width:{statistic / full * 100:.1f}%"></i>{mark}</div>'
    details = f"{bar}<div>{escape(_statistic_in_words(words, statistic, usual, alarm=row.alarm is True))}</div>"
    return _card(row.outcome, row.feature, value, details, row.reason)


def _statistic_in_words(words: str, statistic: float, usual: float, *, alarm: bool) -> str:
    """Why a large statistic may be nothing, in words: what is unusual depends on the baseline."""
    if statistic <= usual:
        so = "this is within their usual variation"
    elif alarm:
        so = "this is beyond their usual variation"
    else:
        so = "this is more, but below the floor or, counted over all features, not certain"
    return f"The baseline's own partitions differ from each other by up to {_number(usual)} ({words}): {so}."


def _performance_card(row: Mapping[str, Any]) -> str:
    interval = ""
    if row["low"] is not None:
        interval = f"<div>90 % interval {_number(row['low'])} to {_number(row['high'])}</div>"
    counts = [
        f"{row[name]} {words}"
        for name, words in (("without_label", "without label"), ("not_scored", "labelled but not scored"))
        if row[name]
    ]
    version = f"version {row['model_version']}" if row["model_version"] else ""
    details = ", ".join(part for part in (version, *counts) if part)
    name = f"{row['population']} {row['metric']}"
    value = _number(row["value"])
    return _card(str(row["outcome"]), name, value, f"{interval}{escape(details)}", str(row["reason"]))


def _card(outcome: str, name: str, value: str, details: str, reason: str) -> str:
    head = f'<div class="head"><span>{escape(name)}</span><span>{value} {escape(outcome)}</span></div>'
    return f'<div class="card {outcome.split()[0]}">{head}{details}<div><small>{escape(reason)}</small></div></div>'


def _drift_order(row: DriftRow) -> tuple[int, float, str, str]:
    return _ORDER.get(row.outcome, 1), -(row.statistic or 0), row.feature, row.test


def _performance_order(row: Mapping[str, Any]) -> tuple[int, str]:
    return _ORDER.get(row["outcome"], 1), str(row["population"])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value < 1000 else f"{value:.3g}"
