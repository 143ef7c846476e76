"""The state of a pipeline as a picture: the text of a DAG's documentation is made once, a picture is asked for anew."""

from __future__ import annotations

import textwrap
from html import escape

from tradewind.ledger import pins
from tradewind.ledger.journal import Ledger
from tradewind.planning import candidate_outcome
from tradewind.planning.status import LedgerStatus, read_ledger_status

# Airflow shows documentation in a dialog of some 400 pixels; a wider picture would be scaled down there.
_WIDTH = 400
_COLUMNS = 56
_LINE = 20
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#333}.dim{fill:#777}.good{fill:#1b7f4b}.bad{fill:#b3261e}"
    ".held{fill:#9a6700}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.dim{fill:#999}.good{fill:#7bd8a4}.bad{fill:#ff8a80}"
    ".held{fill:#e3b341}}"
)


def draw_state_svg(ledger_url: str, pipeline: str) -> str:
    """One SVG: whether the pipeline runs, what is kept out, what is wrong, how far each stage is."""
    ledger = Ledger(ledger_url)
    message = [*_state_lines(read_ledger_status(ledger, pipeline)), *_model(ledger, pipeline)]
    lines = [(kind, line) for kind, text in message for line in textwrap.wrap(text, _COLUMNS) or [""]]
    height = _LINE * len(lines) + 8
    rows = "".join(
        f'<text x="4" y="{_LINE * (number + 1) - 4}" class="{kind}">{escape(_printable(line))}</text>'
        for number, (kind, line) in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img">'
        f"<title>{escape(_printable(lines[0][1]))}</title><style>{_STYLE}</style>{rows}</svg>"
    )


def _model(ledger: Ledger, pipeline: str) -> list[tuple[str, str]]:
    """Who serves, and what came of the newest candidate."""
    changes, candidate = ledger.champions(pipeline), candidate_outcome.newest_candidate(ledger, pipeline)
    lines = []
    if changes:
        pinned = ", pinned" if pins.current_pin(ledger, pipeline) else ""
        lines.append(("dim", f"Champion: version {changes[-1].model_version}{pinned}"))
    if shadow := candidate_outcome.describe_shadow(ledger, pipeline):
        lines.append(("dim", f"Shadow: {shadow}"))
    if candidate:
        why = f": {candidate.reasons[0]}" if candidate.outcome == "rejected" else ""
        lines.append(
            ("dim", f"Candidate of {candidate.partition}: version {candidate.version}, {candidate.outcome}{why}")
        )
    return lines


def _printable(text: str) -> str:
    """Without what XML cannot hold: a reason is free text."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _state_lines(found: LedgerStatus) -> list[tuple[str, str]]:
    lines = [("held", f"■ {found.stopped}") if found.stopped else ("good", "● It runs: nobody holds it.")]
    lines += [("held", f"■ Partition {key} is skipped {text}") for key, text in found.skipped.items()]
    if found.left_out:
        keys = list(found.left_out)
        more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
        lines.append(("dim", f"Left out: {', '.join(keys[-5:])}{more}"))
    for incident in found.incidents:
        lines.append(("bad", f"▲ {incident.fingerprint} ({', '.join(incident.partitions[-3:])})"))
    done = ", ".join(f"{stage} {key}" for stage, key in found.complete.items())
    return [*lines, ("dim", f"Newest complete: {done or 'nothing yet'}")]
