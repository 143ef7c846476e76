"""The demo's results as tables in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tradewind.core.drift_tests import drift_test_words
from tradewind.core.monitoring_rows import DriftRow


def print_demo_tables(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Print everything that :func:`tradewind.local_airflow.demo_summary.summarise_demo` gathered.

    :param console: where to; standard output by default
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, 160)
    for title, columns, found in _tables(result):
        rows = list(found)
        console.print()
        if not rows:
            console.print(f"[bold]{title}:[/bold] none", highlight=False)
            continue
        table = Table(title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
        for column in columns:
            table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in _closing_lines(result):
        console.print(line, highlight=False, soft_wrap=True)


_NUMBERS = {"rows", "partitions", "value", "null", "ROC AUC", "week value", "never retrained"}
Rows = Iterable[Sequence[str]]


def _tables(result: Mapping[str, Any]) -> Iterable[tuple[str, Sequence[str], Rows]]:
    quarantined = len(result["quarantined"])
    datasets = f"Datasets ({quarantined or 'nothing'} in quarantine)"
    yield datasets, ("dataset", "partitions", "rows"), _datasets(result)
    yield (
        "Models trained and their gates",
        ("version", "trained at", "verdict", "gate", "value", "interval"),
        _versions(result),
    )
    yield "Champions", ("version", "holds from", "decided at", "reason"), _champions(result)
    yield (
        "Realised performance",
        ("population", "version", "ROC AUC", "90 % interval", "rows", "never retrained"),
        _realised(result),
    )
    yield (
        f"Drift alarms ({_judgement_counts(result.get('judgements', {}))})",
        ("partition", "over", "feature", "statistic", "null up to"),
        _drift(result),
    )
    yield "Decisions", ("partition", "decision", "reason"), _decisions(result)


def _datasets(result: Mapping[str, Any]) -> Rows:
    for name, found in result["datasets"].items():
        yield name, str(found["partitions"]), f"{found['rows']:,}"
    for view, rows in result["features"].items():
        yield f"online features {view}", "", f"{rows:,}"


def _versions(result: Mapping[str, Any]) -> Rows:
    for one in result["versions"]:
        verdict = f"{one['verdict']} as {one['refit_of']}" if one["refit_of"] else one["verdict"]
        first = (one["version"], str(one["partition"]), verdict or "none")
        for gate in one["gates"] or [{}]:
            where = f" ({gate['slice']})" if gate.get("slice") else ""
            said = f"{gate.get('outcome', '')}: {gate.get('gate', '')}{where}" if gate else ""
            yield *first, said, _number(gate.get("value")), _interval(gate)
            first = ("", "", "")


def _champions(result: Mapping[str, Any]) -> Rows:
    for one in result["champions"]:
        yield one["version"], one["effective_from"], str(one["decided_at"] or f"by {one['actor']}"), one["reason"]


def _realised(result: Mapping[str, Any]) -> Rows:
    kept = (result["policy"] or {}).get("by_population", {})
    for one in result["realised"]:
        note = " (in sample)" if one["in_sample"] else ""
        yield (
            one["population"],
            f"{one['model_version']}{note}",
            _number(one["value"]),
            _interval(one),
            f"{one['rows']:,}",
            _number(kept.get(one["population"])),
        )


def _judgement_counts(counts: Mapping[str, Any]) -> str:
    """How many judgements could be made, and why not all: without one, no alarm says nothing."""
    numbers = {name: int(counts.get(name, 0)) for name in ("ok", "drift", "insufficient", "no champion")}
    without = [f"{numbers[name]} {name}" for name in ("insufficient", "no champion") if numbers[name]]
    judged = f"{numbers['ok'] + numbers['drift']:,} of {sum(numbers.values()):,} judgements possible"
    return ", ".join([judged, *without])


def _drift(result: Mapping[str, Any]) -> Rows:
    for record in result["drift"]:
        row = DriftRow.from_record(record)
        statistic = f"{drift_test_words(row.test)} {_number(row.statistic)}"
        yield row.partition, _weeks(row.horizon), row.feature, statistic, _number(row.null_high)


def _decisions(result: Mapping[str, Any]) -> Rows:
    for one in result["decisions"]:
        yield one["partition"], one["outcome"], one["reason"]


def _closing_lines(result: Mapping[str, Any]) -> Iterable[str]:
    scored = result["datasets"].get("predictions", {"rows": 0, "partitions": 0})
    yield f"\nscored {scored['rows']:,} rows of {scored['partitions']} populations"
    if not result["versions"]:
        yield "no model yet: the first is trained when the training window is full, with the eighth week"
    if policy := result["policy"]:
        yield (
            f"mean {policy['metric']} over {policy['populations']} scored weeks: {policy['mean']:.4f} with the policy, "
            f"{policy['never_retrain']:.4f} had the first champion never been replaced"
        )
    if seconds := result.get("seconds"):
        mean, slowest = sum(seconds.values()) / len(seconds), max(seconds.values())
        count = "1 partition" if len(seconds) == 1 else f"{len(seconds)} partitions"
        yield f"{count} replayed: {mean:.1f} s each on average, {slowest:.1f} s at most"
    yield f"{result.get('total_seconds', 0):.0f} s in all"


def _weeks(count: int) -> str:
    return "the partition" if count == 1 else f"{count} partitions"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _interval(found: Mapping[str, Any]) -> str:
    low, high = found.get("low"), found.get("high")
    return "" if low is None or high is None else f"{low:.4f} … {high:.4f}"
