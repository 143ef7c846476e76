"""The overview page: what a person on call wants to know first."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tradewind.pages import layout
from tradewind.pages.layout import mark_code

if TYPE_CHECKING:
    from tradewind.alerting.incident_history import Incident
    from tradewind.ledger.champions import ChampionChange
    from tradewind.ledger.journal import Entry, Ledger
    from tradewind.planning.candidate_outcome import JudgedCandidate

_STYLE = """
.about th,td.key{white-space:nowrap;width:1%}.about th{font-weight:400;color:var(--soft)}
.incident{border-left:4px solid var(--bad);padding:.1rem .9rem;margin:.6rem 0} .incident p{margin:.35rem 0}
.what{white-space:pre-wrap} td ul{margin:.2rem 0;padding-left:1.1rem}
.bad{font-weight:600}.dim{color:var(--soft)}
@media(max-width:36rem){.about tr{display:block;border-bottom:1px solid var(--line);padding:.3rem 0}
.about th,.about td{display:block;border:0;padding:0;width:auto}}
"""
_SERVED = 8
_SIGNS = {"rejected": "bad", "declined": "bad", "champion": "ok", "shadow": "", "passed": "ok", "unchanged": ""}


def render_overview_page(ledger_url: str, reports: Path | None = None) -> str:
    """One HTML page over all pipelines of the ledger: incidents first, then champion, candidate and decisions.

    :param reports: folder of the reports, to link those that are on this machine
    """
    from tradewind.ledger.journal import Ledger

    ledger = Ledger(ledger_url)
    names = ledger.pipelines()
    body = "".join(_pipeline(ledger, name, reports) for name in names)
    empty = (
        "" if names else "<p>Nothing has run yet. Start <code>&lt;pipeline&gt;__etl</code> with a partition key.</p>"
    )
    return layout.page_document("Tradewind", f"<h1>Tradewind</h1>{body}{empty}", style=_STYLE)


def _pipeline(ledger: Ledger, name: str, reports: Path | None) -> str:
    from tradewind.alerting.incidents import open_incidents

    decisions = ledger.find(name, "decision")[-8:][::-1]
    facts = [*_model(ledger, name, reports), *_drift(ledger, name), *_stopped(ledger, name)]
    facts.append(("Newest complete", _progress(ledger, name)))
    rows = "".join(f'<tr><th scope="row">{label}</th><td>{text}</td></tr>' for label, text in facts)
    decided = f"<h3>Last decisions</h3><table>{''.join(map(_decision, decisions))}</table>" if decisions else ""
    heading = f"<h2 id='{escape(name, quote=True)}'>{escape(name)}</h2>"
    return f'{heading}{_incidents(open_incidents(ledger, name))}<table class="about">{rows}</table>{decided}'


def _drift(ledger: Ledger, name: str) -> list[tuple[str, str]]:
    """What drifted in the newest partition that was judged."""
    from tradewind.monitoring.partition_judgement import describe_drift

    judged = ledger.find(name, "complete", subject="monitor")
    if not judged:
        return []
    newest = max(judged, key=lambda entry: (entry.partition or "", entry.id or 0))
    words = describe_drift(newest.evidence.get("alarms", ()), newest.evidence.get("judgements", {}))
    return [("Drift", f"{escape(words)}, at {escape(newest.partition or '')}")]


def _model(ledger: Ledger, name: str, reports: Path | None) -> list[tuple[str, str]]:
    """Who serves, whether that is pinned, and what came of the newest candidate."""
    from tradewind.ledger import pins
    from tradewind.planning import candidate_outcome

    changes, pin, candidate = (
        ledger.champions(name),
        pins.current_pin(ledger, name),
        candidate_outcome.newest_candidate(ledger, name),
    )
    newest = changes[-1] if changes else None
    pages = candidate_outcome.find_evidence_pages(candidate, newest, reports) if reports else {}
    links = {
        kind: f' <a href="reports/{escape(quote(str(Path(page).relative_to(str(reports)))))}">{kind}</a>'
        for kind, page in pages.items()
    }
    text = [("Champion", _champion(newest) + links.get("card", ""))] if newest else []
    text += [("Pinned", f"<b>{mark_code(pins.describe_pin(pin))}</b>")] if pin else []
    shadow = candidate_outcome.describe_shadow(ledger, name)
    text += [("Shadow", escape(shadow))] if shadow else []
    text += [("Served", served)] if (served := _served(ledger, name)) else []
    return text + ([("Last candidate", _candidate(candidate, links.get("report", "")))] if candidate else [])


def _champion(newest: ChampionChange) -> str:
    return (
        f"version <b>{escape(newest.model_version)}</b>, from population {escape(newest.effective_from)} on, since "
        f"{newest.at:%Y-%m-%d %H:%M} UTC by {escape(newest.actor)} <span class=dim>({mark_code(newest.reason)})</span>"
    )


def _served(ledger: Ledger, name: str) -> str:
    """Who served the newest populations, and which earlier ones the champion did not serve."""
    from tradewind.planning.served_populations import noteworthy_populations, served_populations

    shown = noteworthy_populations(served_populations(ledger, name))[:_SERVED]
    lines = [
        mark_code(str(one)) if one.by_champion else f"<span class=bad>{mark_code(str(one))}</span>" for one in shown
    ]
    return f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>" if lines else ""


def _candidate(found: JudgedCandidate, link: str) -> str:
    kind = _SIGNS.get(found.outcome, "odd")
    why = "".join(f"<li>{mark_code(reason)}</li>" for reason in found.reasons)
    return (
        f'version <b>{escape(found.version)}</b> of {escape(found.partition)} <span class="badge {kind}">'
        f"{escape(found.outcome)}</span>{link}<ul>{why}</ul>"
    )


def _stopped(ledger: Ledger, name: str) -> list[tuple[str, str]]:
    """What a person has stopped."""
    from tradewind.ledger import holds, skipped_partitions

    reason = holds.describe_stop(ledger, name)
    skipped = [
        f"{key} ({entry.actor}: {entry.reason})"
        for key, entry in skipped_partitions.skipped_partitions(ledger, name).items()
    ]
    text = [("Stopped", f"<b>{escape(reason)}</b>")] if reason else []
    return text + ([("Skipped", escape(", ".join(skipped)))] if skipped else [])


def _incidents(incidents: list[Incident]) -> str:
    return "".join(map(_incident, incidents)) or "<p class=ok>No open incident.</p>"


def _incident(found: Incident) -> str:
    from tradewind.alerting.channels import describe_next_step
    from tradewind.alerting.incidents import group_partitions_by_message

    times = "once" if found.occurrences == 1 else f"{found.occurrences} times"
    runbook = f" · <a target=_top href='{escape(found.runbook, quote=True)}'>runbook</a>" if found.runbook else ""
    said = "".join(_text(found, text, keys) for text, keys in group_partitions_by_message(found.by_partition))
    return (
        f"<div class=incident><p class=bad>{escape(found.stage)} {escape(found.task or found.subject)}: "
        f"{escape(found.error_type)}"
        f" <span class=dim>{escape(', '.join(found.partitions))} · since {found.first:%Y-%m-%d %H:%M} UTC, "
        f"{times}</span></p>{said}"
        f"<p><b>To do:</b> {mark_code(describe_next_step(found))}</p><p "
        f"class=dim>{escape(found.owner)}{runbook}</p></div>"
    )


def _text(found: Incident, text: str, keys: Sequence[str]) -> str:
    """What some partitions of an incident say, each with its own evidence."""
    several = len(found.by_partition) > 1
    links = ", ".join(
        f"<a target=_top href='{escape(link, quote=True)}'>log{f' of {escape(key)}' if several else ''}</a>"
        for key in keys
        if (link := found.by_partition[key].link)
    )
    whose = f"<b>{escape(', '.join(keys))}</b>: " if len(keys) < len(found.by_partition) else ""
    return f"<p class=what>{whose}{mark_code(text)}{f' <span class=dim>{links}</span>' if links else ''}</p>"


def _progress(ledger: Ledger, name: str) -> str:
    newest: dict[str, str] = {}
    for entry in ledger.find(name, "complete"):
        newest[entry.subject] = max(newest.get(entry.subject, ""), entry.partition or "")
    return ", ".join(f"{escape(stage)} {escape(partition)}" for stage, partition in newest.items()) or "nothing"


def _decision(entry: Entry) -> str:
    mark = "ok" if entry.outcome in ("train", "judge") else "dim"
    key, outcome, reason = escape(entry.partition or ""), escape(entry.outcome), mark_code(entry.reason)
    return f"<tr><td class=key>{key}</td><td class='key {mark}'>{outcome}</td><td>{reason}</td></tr>"
