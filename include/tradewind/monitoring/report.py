"""The report of one partition: a self-contained HTML page that can be read on a phone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c0392b; --good: #1e8449; --dim: #888; }
body { font: 16px/1.45 system-ui, sans-serif; margin: 1rem auto; max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.card { border: 1px solid var(--line); border-left: .4rem solid var(--dim); border-radius: .4rem; margin: .6rem 0;
  padding: .5rem .8rem; overflow-wrap: anywhere; }
.drift, .below { border-left-color: var(--bad); } .ok { border-left-color: var(--good); }
.head { display: flex; justify-content: space-between; gap: 1rem; font-weight: 600; }
.bar { background: var(--line); border-radius: .2rem; height: .5rem; margin: .4rem 0; position: relative; }
.bar i { background: currentColor; border-radius: .2rem; display: block; height: 100%; }
.bar b { background: var(--bad); height: 1rem; position: absolute; top: -.25rem; width: 2px; }
small { color: var(--dim); }
"""
_ORDER = {"drift": 0, "below": 0, "insufficient": 2, "in_sample": 2, "fallback": 1, "no data": 3, "no champion": 3}
_WIDEST = 0.5


def write(
    path: Path,
    *,
    pipeline: str,
    partition: str,
    drift: Sequence[Mapping[str, Any]],
    performance: Sequence[Mapping[str, Any]],
) -> None:
    """Write the page; who reads meanwhile sees the old or the new one.

    :param drift: rows of the dataset `drift` of the partition
    :param performance: rows of the dataset `performance` of the partition
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(page(pipeline=pipeline, partition=partition, drift=drift, performance=performance), "utf-8")
    draft.replace(path)


def page(
    *, pipeline: str, partition: str, drift: Sequence[Mapping[str, Any]], performance: Sequence[Mapping[str, Any]]
) -> str:
    """The page as HTML; the same rows give the same text."""
    title = f"{escape(pipeline)} · {escape(partition)}"
    body = [f"<h1>{title}</h1>", f"<p>{_summary(drift, performance)}</p>", "<h2>Performance</h2>"]
    body += [_performance_card(row) for row in _sorted(performance, "population")]
    body += [] if performance else ["<p>No labels fell due in this partition.</p>"]
    for horizon in sorted({row["horizon"] for row in drift}):
        body.append(f"<h2>Drift over {horizon} partition{'s' if horizon > 1 else ''}</h2>")
        body += [_drift_card(row) for row in _sorted([r for r in drift if r["horizon"] == horizon], "feature")]
    body.append(
        "<p><small>The bar is the PSI against the champion's training partitions (full at 0.5); the mark is how far "
        "these partitions are from each other. An alarm needs a PSI above its floor that is also larger than their "
        "own variation explains, corrected over all features.</small></p>"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _summary(drift: Sequence[Mapping[str, Any]], performance: Sequence[Mapping[str, Any]]) -> str:
    alarms = sum(row["alarm"] is True for row in drift)
    judged = sum(row["alarm"] is not None for row in drift)
    below = sum(row["below"] is True for row in performance)
    said = [f"{alarms} of {judged} drift judgements are alarms"] if judged else ["Drift could not be judged"]
    if performance:
        said.append(f"{below} of {len(performance)} populations below the limit")
    return "; ".join(said) + "."


def _drift_card(row: Mapping[str, Any]) -> str:
    bar = ""
    if row["psi"] is not None:
        mark = f'<b style="left:{_percent(row["null_high"])}%"></b>'
        bar = f'<div class="bar"><i style="width:{_percent(row["psi"])}%"></i>{mark}</div>'
    return _card(row, str(row["feature"]), _number(row["psi"]), bar)


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
    return _card(row, f"{row['population']} {row['metric']}", _number(row["value"]), f"{interval}{escape(details)}")


def _card(row: Mapping[str, Any], name: str, value: str, details: str) -> str:
    outcome = str(row["outcome"])
    head = f'<div class="head"><span>{escape(name)}</span><span>{value} {escape(outcome)}</span></div>'
    return (
        f'<div class="card {outcome.split()[0]}">{head}{details}<div><small>{escape(row["reason"])}</small></div></div>'
    )


def _sorted(rows: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: (_ORDER.get(row["outcome"], 1), -(row.get("psi") or 0), str(row[name])))


def _percent(value: float) -> str:
    return f"{min(value / _WIDEST, 1) * 100:.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
