"""The overview page: what a person on call wants to know first."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tradewind.checks.report import marked

if TYPE_CHECKING:
    from tradewind.alerting.incidents import Incident
    from tradewind.ledger.journal import Entry, Ledger

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bad:#b3261e;--good:#1b7f4b;--dim:#777}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.4rem} h2{font-size:1.15rem;margin:2rem 0 .3rem} h3{font-size:1rem;margin:1rem 0 .2rem}
table{border-collapse:collapse;width:100%} td,th{border-bottom:1px solid var(--line);padding:.35rem .6rem .35rem 0;
text-align:left;vertical-align:top} th,td.key{white-space:nowrap;width:1%}
.incident{border-left:4px solid var(--bad);padding:.1rem .9rem;margin:.6rem 0} .incident p{margin:.35rem 0}
.what{white-space:pre-wrap;overflow-wrap:anywhere} .incident .dim{font-weight:400}
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
    decisions = ledger.find(name, "decision")[-8:][::-1]
    facts = [*_stopped(ledger, name), ("Newest complete", _progress(ledger, name))]
    if champions:
        newest = champions[-1]
        facts.insert(
            0,
            (
                "Champion",
                f"version <b>{escape(newest.model_version)}</b>, from population {escape(newest.effective_from)} "
                f"<span class=dim>({escape(newest.reason)})</span>",
            ),
        )
    rows = "".join(f"<tr><th>{label}<td>{told}" for label, told in facts)
    decided = f"<h3>Last decisions</h3><table>{''.join(map(_decision, decisions))}</table>" if decisions else ""
    heading = f"<h2 id='{escape(name, quote=True)}'>{escape(name)}</h2>"
    return f"{heading}{_incidents(open_incidents(ledger, name))}<table>{rows}</table>{decided}"


def _stopped(ledger: Ledger, name: str) -> list[tuple[str, str]]:
    """What a person has stopped."""
    from tradewind.ledger import absences, holds

    reason = holds.told(ledger, name)
    skipped = [f"{key} ({entry.actor}: {entry.reason})" for key, entry in absences.skipped(ledger, name).items()]
    told = [("Stopped", f"<b>{escape(reason)}</b>")] if reason else []
    return told + ([("Skipped", escape(", ".join(skipped)))] if skipped else [])


def _incidents(incidents: list[Incident]) -> str:
    return "".join(map(_incident, incidents)) or "<p class=good>No open incident.</p>"


def _incident(found: Incident) -> str:
    from tradewind.alerting.channels import what_to_do

    times = "once" if found.occurrences == 1 else f"{found.occurrences} times"
    runbook = f" · <a target=_top href='{escape(found.runbook, quote=True)}'>runbook</a>" if found.runbook else ""
    return (
        f"<div class=incident><p class=bad>{escape(found.stage)} {escape(found.task)}: {escape(found.error_type)}"
        f" <span class=dim>{escape(', '.join(found.partitions))} · since {found.first:%Y-%m-%d %H:%M} UTC, "
        f"{times}</span>"
        f"<p class=what>{marked(found.message)}<p><b>To do:</b> {marked(what_to_do(found))}"
        f"<p class=dim>{escape(found.owner)} {_link(found.link)}{runbook}</div>"
    )


def _progress(ledger: Ledger, name: str) -> str:
    newest: dict[str, str] = {}
    for entry in ledger.find(name, "complete"):
        newest[entry.subject] = max(newest.get(entry.subject, ""), entry.partition or "")
    return ", ".join(f"{escape(stage)} {escape(partition)}" for stage, partition in newest.items()) or "nothing"


def _decision(entry: Entry) -> str:
    mark = "good" if entry.outcome == "train" else "dim"
    key, outcome, reason = escape(entry.partition or ""), escape(entry.outcome), escape(entry.reason)
    return f"<tr><td class=key>{key}<td class='key {mark}'>{outcome}<td>{reason}"


def _link(link: str) -> str:
    return f"<a target=_top href='{escape(link, quote=True)}'>log</a>" if link else ""
