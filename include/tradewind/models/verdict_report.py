"""The verdict as one HTML page: no network, no scripts, readable on a phone."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradewind.ledger.journal import Entry
    from tradewind.spec.models import Pipeline

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.4rem; } h1 b { border-radius: .3rem; color: #fff; padding: .1rem .5rem; }
.pass, .passed { background: #1a7f4b; } .fail, .rejected { background: #b3261e; }
.insufficient { background: #8a5a00; } .skipped { background: #5f6368; }
dl { display: grid; gap: .2rem 1rem; grid-template-columns: max-content 1fr; } dt { opacity: .7; } dd { margin: 0; }
article { border-top: 1px solid #8886; padding: .7rem 0; } article h2 { font-size: 1rem; margin: 0 0 .2rem; }
article b { border-radius: .3rem; color: #fff; font-size: .85rem; margin-right: .4rem; padding: .1rem .4rem; }
p { margin: .2rem 0; } svg { display: block; height: 2.2rem; max-width: 32rem; width: 100%; }
"""


def page(spec: Pipeline, entry: Entry) -> str:
    """A self-contained HTML page of a verdict.

    :param entry: the ledger's entry of kind ``verdict``
    """
    evidence = entry.evidence
    title = f"{spec.pipeline}: version {evidence['version']} is {entry.outcome}"
    against = f"version {evidence['champion']}" if evidence["champion"] else "none: relative gates do not apply"
    facts = {
        "Decided": entry.reason,
        "Candidate": f"version {evidence['version']}, trained at partition {entry.partition}",
        "Champion": against,
        "Test rows of": ", ".join(evidence["test_partitions"]),
        "Owner": spec.owner,
        "Purpose": spec.description,
        "Run": f"{entry.run_id}, by {entry.actor}, {entry.at:%Y-%m-%d %H:%M} UTC",
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    gates = "".join(_gate(result) for result in evidence["gates"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f'<h1>{escape(spec.pipeline)}, version {escape(evidence["version"])}: <b class="{entry.outcome}">'
        f"{entry.outcome}</b></h1><dl>{listed}</dl>{gates}</body></html>"
    )


def _gate(result: Mapping[str, Any]) -> str:
    where = f" · {result['slice']}" if result["slice"] else ""
    counted = f"{result['rows']:,} rows" + (f" in {result['blocks']} blocks" if result["blocks"] else "")
    return (
        f'<article><h2><b class="{result["outcome"]}">{result["outcome"]}</b>{escape(result["gate"] + where)}</h2>'
        f"<p>{escape(result['reason'])}</p>{_interval(result)}<p><small>{counted}</small></p></article>"
    )


def _interval(result: Mapping[str, Any]) -> str:
    """The value with its interval and the bound, on one line."""
    value, low, high, bound = (result[name] for name in ("value", "low", "high", "bound"))
    if value is None:
        return ""
    low, high = (value if low is None else low), (value if high is None else high)
    least, most = min(low, bound), max(high, bound)
    margin = (most - least or abs(value) or 1.0) * 0.1
    least, most = least - margin, most + margin

    def at(number: float) -> str:
        return f"{(number - least) / (most - least) * 300 + 10:.1f}"

    return (
        f'<svg viewBox="0 0 320 22" role="img" aria-label="value {value:.4f}, bound {bound:g}">'
        f'<line x1="{at(low)}" x2="{at(high)}" y1="8" y2="8" stroke="currentColor" stroke-width="2"/>'
        f'<circle cx="{at(value)}" cy="8" r="3.5" fill="currentColor"/>'
        f'<line x1="{at(bound)}" x2="{at(bound)}" y1="1" y2="15" stroke="#b3261e" stroke-width="1.5"/>'
        f'<text x="{at(value)}" y="21" font-size="7" fill="currentColor" text-anchor="middle">{value:.4f}</text></svg>'
    )
