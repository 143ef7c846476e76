"""The report of an audit: one HTML file that needs nothing else, for a phone as for a screen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from tradewind.checks.result import Audit, CheckResult

_SIGNS = {"passed": "✓ passed", "failed": "✗ failed", "error": "? could not be evaluated"}
_NEXT_FAILED = """
<li>Look at the checks above, and at the rows in quarantine.</li>
<li>If the delivery is wrong, have it corrected and run the partition again: a changed file is a new cause.</li>
<li>If the SQL is wrong, change it; if the data are right and the check is not, change the expectations file.
Then run the partition again.</li>
<li>If the rows are right all the same, a person may publish them by name and with a reason:
<code>tradewind release</code>.</li>
<li>Until then the dataset keeps what it had, and nothing that reads this partition starts.</li>"""
_NEXT_ERROR = "<li>A check that could not be evaluated says nothing about the data: correct the check first.</li>"
_STYLE = """
:root{color-scheme:light dark;--fg:#1b1f24;--bg:#fff;--soft:#57606a;--line:#d0d7de;
--ok:#116329;--bad:#a40e26;--odd:#7d4e00}
@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--soft:#9198a1;--line:#30363d;
--ok:#56d364;--bad:#ff8182;--odd:#e3b341}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:46rem;
margin:0 auto;padding:1rem;overflow-wrap:anywhere}
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}
.verdict{font-size:1.2rem;font-weight:600;border-left:.4rem solid;padding:.4rem .8rem;margin:1rem 0}
.passed{color:var(--ok)}.failed{color:var(--bad)}.error{color:var(--odd)}
dl{display:grid;grid-template-columns:auto 1fr;gap:.1rem 1rem;margin:0}dt,.soft{color:var(--soft)}dd{margin:0}
article{border-top:1px solid var(--line);padding:.6rem 0}article p{margin:.1rem 0}.sign{font-weight:600}
code{font-size:.9em;background:color-mix(in srgb,var(--line) 40%,transparent);padding:0 .25em;border-radius:.25em}
"""


def write(audit: Audit, *, title: str, about: Mapping[str, str]) -> None:
    """Write ``audit.report``; a reader never sees half of it.

    :param about: lines for its top, by what they are called
    """
    about = {**about, "checked": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")}
    audit.report.parent.mkdir(parents=True, exist_ok=True)
    unfinished = audit.report.with_suffix(".html.part")
    unfinished.write_text(page(audit, title=title, about=about), encoding="utf-8")
    unfinished.replace(audit.report)


def page(audit: Audit, *, title: str, about: Mapping[str, str]) -> str:
    """The report as HTML: the verdict first, what did not pass, what to do; then the comparison with earlier
    partitions, and everything that passed.
    """
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in about.items())
    worst = "passed" if audit.success else "failed" if _count(audit, "failed") else "error"
    passed = [result for result in audit.results if result.outcome == "passed"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(title)}: {escape(_verdict(audit))}</title><style>{_STYLE}</style></head><body>
<p class="soft">Audit</p><h1>{escape(title)}</h1>
<p class="verdict {worst}">{escape(_verdict(audit))}</p>
{_section("What did not pass", audit.problems)}
<h2>What to do next</h2><ul>{_next(audit)}</ul>
<h2>About these rows</h2><dl>{facts}</dl>
{_section("Beside earlier partitions", [result for result in passed if result.trailing])}
{_section("What passed", [result for result in passed if not result.trailing])}
</body></html>
"""


def _section(title: str, results: Sequence[CheckResult]) -> str:
    return f"<h2>{title}</h2>{''.join(map(_check, results))}" if results else ""


def _verdict(audit: Audit) -> str:
    total, failed, errors = len(audit.results), _count(audit, "failed"), _count(audit, "error")
    if audit.success:
        return f"Passed: all {total} checks"
    told = [f"{failed} failed"] if failed else []
    told += [f"{errors} could not be evaluated"] if errors else []
    return f"Not published: of {total} checks {', '.join(told)}"


def _next(audit: Audit) -> str:
    if audit.success:
        return "<li>Nothing. The partition can be published.</li>"
    return (_NEXT_ERROR if _count(audit, "error") else "") + _NEXT_FAILED


def _check(result: CheckResult) -> str:
    return (
        f'<article><p class="sign {result.outcome}">{_SIGNS[result.outcome]}</p><p>{marked(result.text)}</p>'
        f'<p class="soft">Found: {marked(result.observed or "as expected")}</p>'
        f'<p class="soft"><code>{escape(result.name)}</code></p></article>'
    )


def marked(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _count(audit: Audit, outcome: str) -> int:
    return sum(result.outcome == outcome for result in audit.results)
