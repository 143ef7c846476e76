"""The verdict as one HTML page, for the person who decides tonight and for one who asks in a year."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from tradewind.core.gate_results import NOT_PASSED
from tradewind.pages import charts, layout
from tradewind.pages.formatting import NOTHING, format_count, format_number, partition_span
from tradewind.training.verdict_figures import render_metrics_table, render_verdict_figures
from tradewind.verdict.training_background import OPTIMISTIC, describe_drift_seen, score_table_rows
from tradewind.verdict.verdict_text import (
    count_outcomes,
    describe_bound,
    describe_resolutions,
    failure_reasons,
    verdict_headline,
    verdict_next_steps,
)
from tradewind.verdict.verdict_view import VerdictView

if TYPE_CHECKING:
    from tradewind.ledger.journal import Entry
    from tradewind.spec.pipeline import Pipeline
    from tradewind.training.picture_data import VerdictPictures

SIGNS = {
    "fail": ("bad", "✗ failed"),
    "not_shown": ("odd", "≈ not shown"),
    "insufficient": ("odd", "? insufficient"),
    "pass": ("ok", "✓ passed"),
    "skipped": ("", "– skipped"),
}
_GROUPS = {
    "What did not pass": NOT_PASSED,
    "What was skipped": ("skipped",),
    "What passed": ("pass",),
}
_COLUMNS = {"outcome": "outcome", "gate": "", "value": "value", "bound": "limit", "interval": "bar", "from": "from"}
_FOLDED_ROWS, _DIGEST_ROWS = 12, 400
_STYLE = """
.lead{font-size:1.15rem;font-weight:600;border-left:.4rem solid var(--mine);padding:.3rem .8rem;margin:.8rem 0}
.lead.bad{--mine:var(--bad);color:var(--fg)}.lead.ok{--mine:var(--ok);color:var(--fg)}
.lead+ul{margin-top:.2rem}li{margin:.15rem 0}
.gates table{table-layout:fixed}.gates td,.gates th[scope=row]{padding:.5rem .8rem .5rem 0}
.gates .value,.gates .limit{font-variant-numeric:tabular-nums}.gates .value{white-space:nowrap}
@media(min-width:44.01rem){.gates .outcome{width:9.4rem}.gates .value{width:5.6rem}.gates .limit{width:7.5rem}
.gates .bar{width:12rem}.gates .from{width:7rem}}
.gates th small{display:block;font-weight:400}.interval{display:block;width:100%;max-width:14rem}
@media(max-width:44rem){.gates thead{position:absolute;clip-path:inset(50%)}
.gates table,.gates tbody{display:block}
.gates tr{border-bottom:1px solid var(--line);display:flex;flex-wrap:wrap;gap:.1rem .9rem;padding:.6rem 0}
.gates tr>td,.gates tr>th[scope=row]{border:0;padding:0;text-align:left;width:auto}
.gates tr>th[scope=row],.gates tr>.bar{flex-basis:100%}.gates tr>th[scope=row]{order:-1}.gates tr>.from{order:1}
.gates td:not([data-name=""])::before{color:var(--soft);content:attr(data-name) " "}}
"""


_SIGNS = {"passed": ("ok", "✓ Passed"), "unchanged": ("odd", "= Unchanged")}


def render_verdict_page(
    spec: Pipeline, entry: Entry, pictures: VerdictPictures | None = None, *, trained: Entry | None = None
) -> str:
    """A self-contained HTML page of a verdict: outcome and reasons, what to do, every gate, pictures, facts.

    :param entry: the ledger's entry of kind ``verdict``
    :param pictures: what to draw; the page says so if there is nothing
    :param trained: the ledger's entry of kind ``trained`` of the candidate: the data that it comes from
    """
    view = VerdictView(spec, entry, pictures, trained)
    version = str(entry.evidence["version"])
    sign, word = _SIGNS.get(entry.outcome, ("bad", "✗ Rejected"))
    gates = entry.evidence["gates"]
    why = failure_reasons(entry)
    body = [
        f'<p class="soft">Verdict · {escape(spec.pipeline)} · {escape(entry.partition or "")}</p>',
        f'<h1><span class="badge {sign}">{word}</span> {escape(spec.pipeline)}, version {escape(version)}</h1>',
        f'<p class="lead {sign}">{escape(verdict_headline(entry))}</p>',
        f'{_render_list(list(map(layout.mark_code, why)))}<p class="soft">{escape(count_outcomes(gates))}</p>'
        if why
        else f"<p>{layout.mark_code(entry.reason)}</p>",
        *(html for section in VERDICT_SECTIONS for html in section(view)),
    ]
    title = f"{spec.pipeline}: version {version} {entry.outcome}"
    return layout.page_document(title, "\n".join(body), style=charts.STYLE + _STYLE)


def _next_steps_section(view: VerdictView) -> Iterator[str]:
    yield "<h2>What to do next</h2>"
    yield _render_list([layout.mark_code(step) for step in verdict_next_steps(view.spec, view.entry)])


def _warnings_section(view: VerdictView) -> Iterator[str]:
    if warnings := view.entry.evidence.get("warnings", ()):
        yield f'<h2 class="odd">{format_count(len(warnings), "warning")}</h2>'
        yield _render_list([layout.mark_code(warning) for warning in warnings])


def _resolutions_section(view: VerdictView) -> Iterator[str]:
    if found := describe_resolutions(view.entry):
        yield f"<h3>How much these rows can show</h3>{_render_list([escape(one) for one in found])}"


def _gates_section(view: VerdictView) -> Iterator[str]:
    gates = view.entry.evidence["gates"]
    yield "<h2>Gates</h2>"
    yield (
        "<p class=soft>In the pictures: the dot is the value, the line its interval, the upright stroke the bound; it "
        "passes on the green side.</p>"
    )
    for title, outcomes in _GROUPS.items():
        found = [gate for gate in gates if gate["outcome"] in outcomes]
        if not found:
            continue
        found.sort(key=lambda gate: outcomes.index(gate["outcome"]))
        rows = "".join(map(_render_gate, found))
        head = "".join(
            f'<th role="columnheader" scope="col" class="{kind}">{name}</th>' for name, kind in _COLUMNS.items()
        )
        table = (
            f'<div class="gates"><table role="table"><thead><tr role="row">{head}</tr></thead>'
            f'<tbody role="rowgroup">{rows}</tbody></table></div>'
        )
        heading = f"{title} ({len(found)})"
        if title != "What did not pass" and len(found) > _FOLDED_ROWS:
            yield f"<details><summary><b>{heading}</b></summary>{table}</details>"
        else:
            yield f"<h3>{heading}</h3>{table}"


def _render_gate(result: Mapping[str, Any]) -> str:
    kind, word = SIGNS[result["outcome"]]
    where = f" · {escape(result['slice'])}" if result["slice"] else ""
    cells = (
        ("value", "value", format_number(result["value"], sign=bool(result.get("versus")))),
        ("limit", "bound", escape(describe_bound(result))),
        ("bar", "", _render_interval(result)),
        ("from", "from", escape(_describe_row_count(result))),
    )
    message = "".join(f'<td role="cell" class="{name}" data-name="{label}">{text}</td>' for name, label, text in cells)
    outcome = f'<td role="cell" class="outcome" data-name=""><span class="badge {kind}">{word}</span></td>'
    name = f"{escape(result['gate'])}{where}<small>{layout.mark_code(result['reason'])}</small>"
    return f'<tr role="row">{outcome}<th role="rowheader" scope="row">{name}</th>{message}</tr>'


def _render_interval(result: Mapping[str, Any]) -> str:
    value, low, high = result["value"], result["low"], result["high"]
    if value is None or result["bound"] is None:
        return f'<span class="soft">{NOTHING if result["bound"] is None else "nothing was measured"}</span>'
    picture = charts.interval_bar(
        value, low, high, bound=result["bound"], relation=str(result.get("relation", "at_least"))
    )
    signed = bool(result.get("versus"))
    level = f"{result['confidence'] * 100:.3g} %: " if result.get("confidence") else ""
    ends = (
        f"{level}{format_number(low, sign=signed)} to {format_number(high, sign=signed)}"
        if low is not None
        else "no interval"
    )
    return f"{picture}<small>{escape(ends)}</small>"


def _describe_row_count(result: Mapping[str, Any]) -> str:
    blocks = f" in {format_count(result['blocks'], 'block')}" if result["blocks"] else ""
    return f"{format_count(result['rows'], 'row')}{blocks}" if result["rows"] else NOTHING


def _training_section(view: VerdictView) -> Iterator[str]:
    """Why it was trained, how much of what drifted it has seen, and how much it has learned by heart."""
    evidence = view.entry.evidence
    why, drifted, scores = (evidence.get(name) or {} for name in ("why", "drifted", "scores"))
    if not why and not drifted and not scores:
        return
    yield "<h2>The training</h2>"
    if why:
        yield f"<p>Trained at {escape(str(why['partition']))}, because {layout.mark_code(str(why['reason']))}</p>"
        yield _render_list([layout.mark_code(one) for one in why["numbers"]]) if why["numbers"] else ""
    if words := describe_drift_seen(drifted):
        yield f"<p>{escape(words)}</p>"
    if scores:
        table = layout.html_table(
            ["metric", "test rows", OPTIMISTIC, "ahead on what it has seen"], score_table_rows(scores)
        )
        yield f'<div class="scores">{table}</div>'
        yield (
            '<p class="soft">It has seen the training rows with their labels. The further it is ahead there, the more '
            "it has learned by heart; what it is worth, the test rows say.</p>"
        )


def _pictures_section(view: VerdictView) -> Iterator[str]:
    pictures, entry = view.pictures, view.entry
    if pictures is None:
        yield "<h2>Pictures</h2><p>None were kept with this verdict.</p>"
        return
    champion, whose = entry.evidence["champion"], {name for values in pictures.board.values() for name in values}
    who = "candidate" + (f" beside the champion, version {champion}" if "champion" in whose else "")
    yield f"<h2>The {escape(who)}, on the same {format_count(pictures.rows, 'row')}</h2>"
    yield from (f"<p>{escape(note)}</p>" for note in pictures.notes)
    yield render_metrics_table(pictures)
    yield f'<div class="figures">{"".join(render_verdict_figures(pictures, entry.evidence["gates"]))}</div>'


def _facts_section(view: VerdictView) -> Iterator[str]:
    spec, entry, trained = view.spec, view.entry, view.trained
    evidence = entry.evidence
    known = trained.evidence if trained else {}
    basis = "what it predicted in the shadow" if evidence.get("basis") == "shadow" else "the test rows"
    at = (trained or entry).partition
    facts = {
        "Decided": entry.reason,
        "Candidate": f"version {evidence['version']}, trained at partition {at}",
        "Champion": f"version {evidence['champion']}" if evidence["champion"] else "none",
        "Judged on": f"{basis} of {partition_span(evidence['test_partitions'])}",
        "Fitted on": partition_span(known["train_partitions"]) if "train_partitions" in known else "not recorded",
        "Purpose": spec.description,
        "Owner": spec.owner,
        "Run": f"{entry.run_id}, by {entry.actor}, {entry.at:%Y-%m-%d %H:%M} UTC",
        "MLflow run": str(known.get("mlflow_run_id", "not recorded")),
        "Cause of the training": trained.key if trained else "not recorded",
        "Key of the verdict": entry.key,
    }
    yield f"<h2>Facts</h2>{layout.facts_table(facts)}"
    again = escape(f"tradewind reproduce {spec.model_name}/{evidence['version']}")
    yield f"<p>To fit it again and compare: <code>{again}</code></p>"
    yield from _render_data(known)


def _render_data(known: Mapping[str, Any]) -> Iterator[str]:
    digests, versions = known.get("digests", {}), known.get("versions", {})
    rows = [
        [name, str(versions.get(name, NOTHING)), key, digest]
        for name, keys in digests.items()
        for key, digest in keys.items()
    ]
    if rows:
        more = (
            f"<p>… and {len(rows) - _DIGEST_ROWS} more, in lineage.json of the run.</p>"
            if len(rows) > _DIGEST_ROWS
            else ""
        )
        table = layout.html_table(["dataset", "table version", "partition", "digest"], rows[:_DIGEST_ROWS])
        title = f"The data that it comes from: {format_count(len(rows), 'partition')}"
        yield f"<details><summary>{title}</summary>{table}{more}</details>"


def _render_list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


VERDICT_SECTIONS: tuple[Callable[[VerdictView], Iterable[str]], ...] = (
    _next_steps_section,
    _warnings_section,
    _gates_section,
    _resolutions_section,
    _training_section,
    _pictures_section,
    _facts_section,
)
"""The sections of the page below its headline, in order: each gives pieces of HTML, escaped, or none."""
