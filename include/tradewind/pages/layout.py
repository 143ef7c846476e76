"""The look that all pages share: one skeleton, one set of colours, light and dark; no network and no scripts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from tradewind.core.disk import translate_disk_errors

# Every pair of text and ground that is used has a contrast of at least 4.5 (WCAG AA), in light and in dark.
STYLE = """
:root{color-scheme:light dark;--fg:#1b1f24;--bg:#fff;--soft:#57606a;--line:#d0d7de;--track:#e9edf1;
--ok:#116329;--bad:#a40e26;--odd:#7d4e00;--one:#0550ae;--two:#a13d00;--other:#57606a}
@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--soft:#9198a1;--line:#30363d;--track:#212830;
--ok:#56d364;--bad:#ff8182;--odd:#e3b341;--one:#79c0ff;--two:#ffa657;--other:#9198a1}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:64rem;margin:0 auto;
padding:1rem;overflow-wrap:anywhere}
h1{font-size:1.4rem;line-height:1.25;margin:.2rem 0}h2{font-size:1.1rem;margin:1.8rem 0 .4rem}
h3{font-size:1rem;margin:1rem 0 .2rem}p{margin:.3rem 0}a{color:var(--one)}
.soft,small,dt{color:var(--soft)}.ok{color:var(--ok)}.bad{color:var(--bad)}.odd{color:var(--odd)}
dl{display:grid;gap:.15rem 1rem;grid-template-columns:minmax(6rem,max-content) 1fr;margin:.4rem 0}
dd{margin:0;min-width:0}
code{font-size:.9em;background:color-mix(in srgb,var(--line) 40%,transparent);padding:0 .25em;border-radius:.25em}
table{border-collapse:collapse;overflow-wrap:break-word;width:100%}caption{text-align:left}
th,td{border-bottom:1px solid var(--line);padding:.35rem .8rem .35rem 0;text-align:left;vertical-align:top}
th{font-weight:600}.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.wide{overflow-x:auto}.many table{min-width:50rem}summary{cursor:pointer}
.badge{border-radius:.3rem;color:var(--bg);background:var(--soft);font-weight:600;padding:.05rem .45rem;
white-space:nowrap}
.badge.ok{background:var(--ok)}.badge.bad{background:var(--bad)}.badge.odd{background:var(--odd)}
.badge.ok,.badge.bad,.badge.odd{color:var(--bg)}
"""
_MANY = 5
"""Tables of more columns than this are not squeezed on a phone; one moves them sideways."""
# The browser itself refuses whatever would come from elsewhere, should a name in the data ever smuggle it in.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page_document(title: str, body: str, *, style: str = "") -> str:
    """A whole page.

    :param title: as text
    :param body: as HTML
    :param style: CSS of this kind of page, after the shared one
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>\n<body>{body}</body></html>\n"
    )


def facts_table(facts: Mapping[str, str]) -> str:
    """Names and what is known of them; both as text."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in facts.items())}</dl>"


def html_table(head: list[str], rows: list[list[str]], *, caption: str = "") -> str:
    """A table of texts; columns from the second on whose cells are all numbers are set like numbers.

    :param rows: what stands between backticks is code
    """
    numeric = [
        place > 0 and bool(rows) and all(re.fullmatch(r"[-+−]?[\d,.]+(e-?\d+)?( %)?|–", row[place]) for row in rows)
        for place in range(len(head))
    ]
    mark = [' class="number"' if one else "" for one in numeric]
    top = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(head, mark, strict=True))
    lines = "".join(
        "<tr>" + "".join(f"<td{kind}>{mark_code(cell)}</td>" for cell, kind in zip(row, mark, strict=True)) + "</tr>"
        for row in rows
    )
    text = f"<caption>{escape(caption)}</caption>" if caption else ""
    wide = 'class="wide many" tabindex="0"' if len(head) > _MANY else 'class="wide"'
    inside = f"{text}<thead><tr>{top}</tr></thead><tbody>{lines}</tbody>"
    return f"<div {wide}><table>{inside}</table></div>"


def mark_code(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def write_page(path: Path, text: str) -> None:
    """Write a file; who reads meanwhile sees the old one or the new one, never half of one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    with translate_disk_errors(f"the page {path} cannot be written", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
