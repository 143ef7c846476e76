"""The report of an audit: one HTML file that needs nothing else, for a phone as for a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from tradewind.checks.audit_result import AuditResult, CheckResult
from tradewind.pages import layout
from tradewind.pages.layout import mark_code

_SIGNS = {
    "passed": "✓ passed",
    "failed": "✗ failed",
    "error": "? could not be evaluated",
    "insufficient": "– not compared",
}
_NEXT_FAILED = """
<li>Look at the checks above, and at the rows in quarantine.</li>
<li>If the delivery is wrong, have it corrected and run the partition again: a changed file is a new cause.</li>
<li>If the SQL is wrong, change it; if the data are right and the check is not, change the expectations file.
Then run the partition again.</li>
<li>If the rows are right all the same, a person may publish them by name and with a reason:
<code>tradewind release PIPELINE DATASET PARTITION --reason TEXT</code>.</li>
<li>Until then the dataset keeps what it had, and nothing that reads this partition starts.</li>"""
_NEXT_ERROR = "<li>A check that could not be evaluated says nothing about the data: correct the check first.</li>"
_STYLE = """
body{max-width:46rem}
.verdict{font-size:1.2rem;font-weight:600;border-left:.4rem solid;padding:.4rem .8rem;margin:1rem 0}
.passed{color:var(--ok)}.failed{color:var(--bad)}.error,.insufficient{color:var(--odd)}
article{border-top:1px solid var(--line);padding:.6rem 0}article p{margin:.1rem 0}.sign{font-weight:600}
"""


def write_audit_page(audit: AuditResult, *, title: str, about: Mapping[str, str]) -> None:
    """Write ``audit.report``; a reader never sees half of it.

    :param about: lines for its top, by what they are called
    """
    about = {**about, "checked": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")}
    layout.write_page(audit.report, render_audit_page(audit, title=title, about=about))


def render_audit_page(audit: AuditResult, *, title: str, about: Mapping[str, str]) -> str:
    """The report as HTML: the verdict first, what did not pass, what to do; then the comparison with earlier
    partitions, and everything that passed.
    """
    worst = "passed" if audit.success else "failed" if _count(audit, "failed") else "error"
    fine = [result for result in audit.results if not result.stops]
    body = f"""
<p class="soft">Audit</p><h1>{escape(title)}</h1>
<p class="verdict {worst}">{escape(_verdict(audit))}</p>
{_section("What did not pass", audit.problems)}
<h2>What to do next</h2><ul>{_next_steps(audit)}</ul>
<h2>About these rows</h2>{layout.facts_table(about)}
{_section("Beside earlier partitions", [result for result in fine if result.trailing])}
{_section("What passed", [result for result in fine if not result.trailing])}
"""
    return layout.page_document(f"{title}: {_verdict(audit)}", body, style=_STYLE)


def _section(title: str, results: Sequence[CheckResult]) -> str:
    return f"<h2>{title}</h2>{''.join(map(_check_card, results))}" if results else ""


def _verdict(audit: AuditResult) -> str:
    total, failed, errors = len(audit.results), _count(audit, "failed"), _count(audit, "error")
    if audit.success:
        missing = _count(audit, "insufficient")
        few = f"; {missing} had too little to compare with" if missing else ""
        return f"Passed: all {total - missing} checks{few}"
    text = [f"{failed} failed"] if failed else []
    text += [f"{errors} could not be evaluated"] if errors else []
    return f"Not published: of {total} checks {', '.join(text)}"


def _next_steps(audit: AuditResult) -> str:
    if audit.success:
        return "<li>Nothing. The partition can be published.</li>"
    return (_NEXT_ERROR if _count(audit, "error") else "") + _NEXT_FAILED


def _check_card(result: CheckResult) -> str:
    text, about = (result.problem, "Expected") if result.stops else (result.text, "Found")
    more = result.text if result.stops else (result.observed or "as expected")
    return (
        f'<article><p class="sign {result.outcome}">{_SIGNS[result.outcome]}</p><p>{mark_code(text)}</p>'
        f'<p class="soft">{about}: {mark_code(more)}</p>'
        f'<p class="soft"><code>{escape(result.name)}</code></p></article>'
    )


def _count(audit: AuditResult, outcome: str) -> int:
    return sum(result.outcome == outcome for result in audit.results)
