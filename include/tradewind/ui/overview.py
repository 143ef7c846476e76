"""The overview page: what a person on call wants to know first."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind.alerting.incidents import Incident
    from tradewind.ledger.journal import Entry, Ledger

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bad:#b3261e;--good:#1b7f4b;--dim:#777}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.4rem} h2{font-size:1.15rem;margin:2rem 0 .3rem} h3{font-size:1rem;margin:1rem 0 .2rem}
table{border-collapse:collapse;width:100%} td,th{border-bottom:1px solid var(--line);padding:.35rem .6rem .35rem 0;
text-align:left;vertical-align:top} td:first-child,th{white-space:nowrap}
.bad{color:var(--bad);font-weight:600} .good{color:var(--good)} .dim{color:var(--dim)}
@media(prefers-color-scheme:dark){:root{--bad:#ff8a80;--good:#7bd8a4;--dim:#999}}
"""


def overview_page(ledger_url: str) -> str:
    """One HTML page over all pipelines of the ledger: incidents first, then champion, progress and decisions."""
    from tradewind.ledger.journal import Ledger

    ledger = Ledger(ledger_url)
    names = ledger.pipelines()
    body = "".join(_pipeline(ledger, name) for name in names)
    empty = (
        "" if names else "<p>Nothing has run yet. Start <code>&lt;pipeline&gt;__etl</code> with a partition key.</p>"
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Tradewind</title>"
        f"<meta name=viewport content='width=device-width,initial-scale=1'><style>{_STYLE}</style>"
        f"<h1>Tradewind</h1>{body}{empty}</html>"
    )


def _pipeline(ledger: Ledger, name: str) -> str:
    from tradewind.alerting.incidents import open_incidents

    champions = ledger.champions(name)
    serving = (
        f"version <b>{escape(champions[-1].model_version)}</b>, from population {escape(champions[-1].effective_from)}"
        f" <span class=dim>({escape(champions[-1].reason)})</span>"
        if champions
        else "<span class=dim>none yet</span>"
    )
    decisions = ledger.find(name, "decision")[-8:][::-1]
    return (
        f"<h2>{escape(name)}</h2>{_incidents(open_incidents(ledger, name))}"
        f"<table><tr><th>Champion<td>{serving}<tr><th>Newest complete<td>{_progress(ledger, name)}</table>"
        f"<h3>Last decisions</h3><table>{''.join(map(_decision, decisions)) or '<tr><td class=dim>none yet'}</table>"
    )


def _incidents(incidents: list[Incident]) -> str:
    if not incidents:
        return "<p class=good>No open incident.</p>"
    rows = "".join(
        f"<tr><td class=bad>{escape(found.fingerprint)}<td>{escape(found.message)}<td>{found.occurrences}×"
        f"<td>{escape(', '.join(found.partitions))}<td>{_link(found.link)}"
        for found in incidents
    )
    return f"<table><tr><th>Incident<th>What<th><th>Partitions<th>Evidence</tr>{rows}</table>"


def _progress(ledger: Ledger, name: str) -> str:
    newest: dict[str, str] = {}
    for entry in ledger.find(name, "complete"):
        newest[entry.subject] = max(newest.get(entry.subject, ""), entry.partition or "")
    return ", ".join(f"{escape(stage)} {escape(partition)}" for stage, partition in newest.items()) or "nothing"


def _decision(entry: Entry) -> str:
    mark = "good" if entry.outcome == "train" else "dim"
    return f"<tr><td>{escape(entry.partition or '')}<td class={mark}>{escape(entry.outcome)}<td>{escape(entry.reason)}"


def _link(link: str) -> str:
    return f"<a target=_top href='{escape(link, quote=True)}'>log</a>" if link else ""
