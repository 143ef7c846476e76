"""The verdict in words: what it means, what to do about it, and all of it as Markdown for the form of an approval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradewind.core.gate_results import NOT_PASSED
from tradewind.ledger.serving_versions import SERVES
from tradewind.pages.formatting import (
    NOTHING,
    code_markdown,
    describe_duration,
    escape_markdown,
    first_few,
    format_bound,
    format_count,
    format_number,
    markdown_table,
    partition_span,
    prose_markdown,
)
from tradewind.verdict.training_background import describe_drift_seen, describe_scores

if TYPE_CHECKING:
    from tradewind.ledger.journal import Entry
    from tradewind.spec.pipeline import Pipeline

_ORDER = {"fail": 0, "not_shown": 1, "insufficient": 2, "skipped": 3, "pass": 4}
_SIGNS = {"fail": "✗", "not_shown": "≈", "insufficient": "?", "pass": "✓", "skipped": "–"}
_WORDS = {
    "pass": "passed",
    "fail": "failed",
    "not_shown": "not shown",
    "insufficient": "insufficient",
    "skipped": "skipped",
}
_RELATIONS = {
    "at_least": "≥",
    "at_most": "≤",
    "lower_bound": "low end ≥",
    "upper_bound": "high end ≤",
    "gap_at_most": "gap ≤",
}
_ROWS = 12


def verdict_headline(entry: Entry) -> str:
    """What follows from the verdict, in one sentence."""
    version, champion = entry.evidence["version"], entry.evidence["champion"]
    shadow = " on what it predicted in the shadow" if entry.evidence.get("basis") == "shadow" else ""
    if entry.outcome == "passed":
        follows = f"may replace version {champion}" if champion else "may become the first champion"
        return f"Version {version} passed{shadow}: it {follows}."
    if entry.outcome == "unchanged":
        if (judged := entry.evidence.get("same_as")) is not None and judged != champion:
            return f"Version {version}, fitted once more, would be version {champion}{shadow}: that one stays champion."
        return f"Version {version} predicts what version {champion} predicts{shadow}: that one stays champion."
    stays = f"version {champion} stays champion" if champion else "there is still no champion"
    return f"Version {version} did not pass{shadow}: {stays}."


def failure_reasons(entry: Entry, *, most: int = 5) -> list[str]:
    """Why it did not pass, gate by gate; empty if it passed, or if the gates did not decide."""
    if entry.outcome == "unchanged":
        return []
    failed = [gate for gate in rank_results(entry.evidence["gates"]) if gate["outcome"] in NOT_PASSED]
    lines = [f"{gate['gate']}{_slice_suffix(gate)}: {gate['reason']}" for gate in failed[:most]]
    return lines + ([f"and {len(failed) - most} more, below"] if len(failed) > most else [])


def count_outcomes(gates: Sequence[Mapping[str, Any]]) -> str:
    """How many results there are of each kind."""
    found = Counter(gate["outcome"] for gate in gates)
    parts = [f"{found[kind]} {_WORDS[kind]}" for kind in _ORDER if found[kind]]
    return f"{format_count(len(gates), 'gate result')}: {', '.join(parts)}." if gates else "No gate was judged."


def describe_resolutions(entry: Entry) -> list[str]:
    """How large a difference the test rows can show, for each gate that an end of its interval decides."""
    found = []
    for gate in entry.evidence["gates"]:
        if (least := gate.get("detectable")) is None:
            continue
        signed, more = bool(gate["versus"]), "more" if gate["relation"] == "lower_bound" else "less"
        what = f"a gain over {gate['versus']}" if signed else "a value"
        said = (
            f"{gate['metric']}{_slice_suffix(gate)}: {format_count(gate['blocks'], 'block')} of "
            f"{_describe_test_rows(entry)} show {what}"
        )
        said += f" of {format_number(least, sign=signed)} or {more} in 8 of 10 cases"
        # The error falls with the root of the blocks.
        said += f"; half that distance from the bound takes about {_partitions_needed(entry, gate, 4 * gate['blocks'])}"
        found.append(f"{said}.")
    return list(dict.fromkeys(found))


def rank_results(gates: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What did not pass first, otherwise as it was judged."""
    return sorted(gates, key=lambda gate: _ORDER[gate["outcome"]])


def describe_bound(gate: Mapping[str, Any]) -> str:
    """The bound of a gate's result, with its direction."""
    if gate["bound"] is None:
        return NOTHING
    return (
        f"{_RELATIONS[gate.get('relation', 'at_least')]} {format_bound(gate['bound'], sign=bool(gate.get('versus')))}"
    )


def verdict_next_steps(spec: Pipeline, entry: Entry) -> list[str]:
    """What a person can do now; commands and names stand between backticks."""
    steps = {"passed": _steps_after_pass, "unchanged": _steps_after_no_change}
    return steps.get(entry.outcome, _steps_after_rejection)(spec, entry)


def render_verdict_markdown(spec: Pipeline, entry: Entry, *, report: str = "", refit: Entry | None = None) -> str:
    """The verdict for the form in which a person approves it: short, what did not pass or is doubtful first.

    All text of others is escaped. It must not be rendered as a template afterwards.

    :param entry: the ledger's entry of kind ``verdict``
    :param report: address of the page with all of it; empty for none
    :param refit: the ledger's entry of kind ``refit`` of what it judged; None for none
    """
    gates, warnings = rank_results(entry.evidence["gates"]), entry.evidence.get("warnings", ())
    lines = [f"**{escape_markdown(verdict_headline(entry))}** {escape_markdown(count_outcomes(gates))}"]
    if report:
        lines.append(f"[Whole report with pictures]({report.replace(')', '%29').replace(' ', '%20')})")
    lines.append("\n".join(f"- {name}: {text}" for name, text in _verdict_facts(spec, entry, refit).items()))
    if warnings:
        lines.append(
            "\n".join(
                [f"**{format_count(len(warnings), 'warning')}**\n", *(f"- {prose_markdown(one)}" for one in warnings)]
            )
        )
    if shown := describe_resolutions(entry):
        lines.append("\n".join(["**What these rows can show**\n", *(f"- {escape_markdown(one)}" for one in shown)]))
    lines.append(
        markdown_table(("", "Gate", "Value", "Interval", "Bound", "From"), [_gate_row(gate) for gate in gates[:_ROWS]])
    )
    if len(gates) > _ROWS:
        lines.append(f"… and {len(gates) - _ROWS} more in the report.")
    return "\n\n".join(lines)


def _verdict_facts(spec: Pipeline, entry: Entry, refit: Entry | None) -> dict[str, str]:
    """What is asked, in Markdown: who would serve in whose place, and how that is undone."""
    version, champion = str(entry.evidence["version"]), entry.evidence["champion"]
    known = {
        "Trained because": str((entry.evidence.get("why") or {}).get("reason", "")),
        "Drift": describe_drift_seen(entry.evidence.get("drifted") or {}),
        "Scores": describe_scores(entry.evidence.get("scores") or {}, _first_metric(entry)),
        "Fitted once more": refit.reason if refit else "",
    }
    serves = "it serves" if refit is None else f"version {escape_markdown(_serving_version(refit))} serves"
    return {
        "Purpose": escape_markdown(spec.description),
        "Candidate": f"version {escape_markdown(version)}, of partition {escape_markdown(entry.partition or NOTHING)}",
        "Champion": f"version {escape_markdown(str(champion))}" if champion else "none: this would be the first",
        "Judged on": escape_markdown(partition_span(entry.evidence["test_partitions"])),
        **{name: escape_markdown(text) for name, text in known.items() if text},
        "If you approve": f"{serves} from the first population that nobody has scored",
        "To undo that": code_markdown(_rollback_command(spec, str(champion)))
        if champion
        else "there is no earlier champion to go back to",
    }


def _first_metric(entry: Entry) -> str:
    """The metric of the first gate that measures one."""
    scores = entry.evidence.get("scores") or {}
    return next((str(gate["metric"]) for gate in entry.evidence["gates"] if gate["metric"] in scores), "")


def _serving_version(refit: Entry) -> str:
    return str(refit.evidence["refitted"] if refit.outcome == SERVES else refit.evidence["judged"])


def _gate_row(gate: Mapping[str, Any]) -> list[str]:
    signed = bool(gate.get("versus"))
    # Of a comparison the reason has both values, the candidate's and the other's.
    text = f" ({gate['reason']})" if signed or gate["outcome"] != "pass" else ""
    ends = f"{format_number(gate['low'], sign=signed)} to {format_number(gate['high'], sign=signed)}"
    # Blocks are what an interval rests on; a value alone comes from rows.
    shows_blocks = gate["low"] is not None or gate["outcome"] == "insufficient"
    blocks = f", {format_count(gate['blocks'], 'block')}" if gate["blocks"] and shows_blocks else ""
    return [
        f"{_SIGNS[gate['outcome']]}&nbsp;{_WORDS[gate['outcome']]}",
        prose_markdown(f"{gate['gate']}{_slice_suffix(gate)}{text}"),
        format_number(gate["value"], sign=signed),
        ends if gate["low"] is not None else NOTHING,
        escape_markdown(describe_bound(gate)),
        f"{format_count(gate['rows'], 'row')}{blocks}" if gate["rows"] else NOTHING,
    ]


def _slice_suffix(gate: Mapping[str, Any]) -> str:
    return f" [{gate['slice']}]" if gate["slice"] else ""


def _describe_test_rows(entry: Entry) -> str:
    populations = entry.evidence.get("basis") == "shadow"
    return format_count(
        len(entry.evidence["test_partitions"]), "shadowed population" if populations else "test partition"
    )


def _partitions_needed(entry: Entry, gate: Mapping[str, Any], blocks: int) -> str:
    """How many partitions hold so many blocks, at as many a partition as there are now."""
    have = len(entry.evidence["test_partitions"])
    if not have:
        return format_count(blocks, "block")
    return format_count(math.ceil(have * blocks / gate["blocks"]), "partition")


def _advise_more_rows(gate: Mapping[str, Any], entry: Entry) -> str:
    """What to do where something was not shown, although it is not worse."""
    what = (
        f"{gate['gate']}{_slice_suffix(gate)} was not shown, which is not the same as worse: the test rows are too few"
    )
    field = "promotion.shadow" if entry.evidence.get("basis") == "shadow" else "train.test"
    if gate.get("needed"):
        what += f"; a value like this one takes about {_partitions_needed(entry, gate, gate['needed'])} (`{field}`)"
    signed, low = bool(gate.get("versus")), gate["low" if gate["relation"] == "lower_bound" else "high"]
    return f"{what}; with these rows it would have passed a bound of {format_number(low, sign=signed)}."


def _rollback_command(spec: Pipeline, champion: str) -> str:
    return f'tradewind rollback {spec.pipeline} --to {champion} --reason "…"'


def _steps_after_pass(spec: Pipeline, entry: Entry) -> list[str]:
    promotion, champion, name = spec.promotion, entry.evidence["champion"], spec.pipeline
    waits = bool(promotion.shadow and champion and entry.evidence.get("basis", "test") == "test")
    steps = []
    if waits:
        steps.append(
            f"Nothing yet: it scores {format_count(promotion.shadow, 'population')} beside the champion, without "
            "serving, and is judged once more on these."
        )
    elif promotion.mode == "approval":
        who = f" ({first_few(promotion.approvers)})" if promotion.approvers else ""
        steps.append(
            f"Approve or reject it in Airflow{who}: DAG `{name}__train`, run `{entry.run_id}`, task `approve`. "
            f"Without an answer within {describe_duration(promotion.timeout)} it is rejected."
        )
    else:
        steps.append("Nothing: it becomes champion by itself, from the first population that nobody has scored.")
    if spec.train is not None and spec.train.refit and entry.evidence.get("basis", "test") == "test":
        steps.append(
            "Before that it is fitted once more on its whole window, the partitions that judged it included: that "
            "version goes on in its place, if its answers stay near those judged here."
        )
    if champion:
        steps.append(
            f"To go back afterwards: `{_rollback_command(spec, str(champion))}`, or the form of the DAG "
            f"`{name}__rollback`."
        )
    return steps


def _steps_after_no_change(spec: Pipeline, entry: Entry) -> list[str]:
    version, name = entry.evidence["version"], spec.pipeline
    steps = [
        f"Nothing: version {entry.evidence['champion']} goes on serving, and the next training is decided as ever. "
        "This is no rejection: it does not count among the rejected candidates in a row."
    ]
    if entry.evidence.get("by_gates") == "passed":
        steps.append(
            f"If it ought to serve all the same, for example for its newer libraries: `tradewind rollback {name} --to "
            f"{version} --reason TEXT`."
        )
    return steps


def _steps_after_rejection(spec: Pipeline, entry: Entry) -> list[str]:
    champion, gates = entry.evidence["champion"], entry.evidence["gates"]
    found = {gate["outcome"] for gate in gates}
    steps = [
        f"Nothing has to be done: version {champion} goes on serving, and the next training is decided as ever."
        if champion
        else "Nothing is scored by a model of this pipeline until a candidate passes."
    ]
    for name, why in (entry.evidence.get("absent") or {}).items():
        steps.append(
            f"{name} could not be asked: {why}. When that is mended, clear the task `verdict` of "
            f"`{spec.pipeline}__train`, run `{entry.run_id}`: the same candidate is judged again."
        )
    if "insufficient" in found:
        steps.append(
            "What is insufficient could not be judged, and that is no pass: see how many rows and blocks there were; "
            "a larger `train.test` gives it more."
        )
    steps += [_advise_more_rows(gate, entry) for gate in gates if gate["outcome"] == "not_shown"]
    if "fail" in found:
        steps.append("If it ought to be better: see below where, by slice and over time, it is worse.")
    steps.append(
        f"If a gate asks for the wrong thing: change `gates` in the YAML and clear the task `verdict` of "
        f"`{spec.pipeline}__train`, run `{entry.run_id}`; the same candidate is judged again."
    )
    return steps
