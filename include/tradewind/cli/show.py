"""``tradewind show``: how a pipeline stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tradewind.alerting.channels import describe_next_step
from tradewind.alerting.incidents import group_partitions_by_message
from tradewind.cli import deployments
from tradewind.cli.text_layout import align_columns, format_quantity, shorten_list, wrap_paragraph
from tradewind.deployment import Deployment
from tradewind.monitoring.partition_judgement import describe_drift

if TYPE_CHECKING:
    from tradewind.planning.served_populations import ServedPopulation
    from tradewind.planning.status import DatasetStatus, PipelineStatus
    from tradewind.spec.policy import Monitor

_INDENT = 12
_MOST = 8
_TEXTS = 10


@click.command("show", short_help="How a pipeline stands: datasets, champion, drift, incidents, holds.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show_pipeline(name: str, as_json: bool) -> None:
    """Show what is published of the pipeline NAME, who is champion, what is wrong, and what a person has stopped."""
    from tradewind.planning.status import read_pipeline_status

    spec = deployments.find_pipeline(name)
    found = read_pipeline_status(Deployment(spec, deployments.find_runtime()))
    click.echo(_as_json(found) if as_json else "\n".join(_lines(found, spec.monitor)))


def _lines(found: PipelineStatus, monitor: Monitor | None) -> Iterator[str]:
    state = found.state
    yield f"{state.pipeline}: {'decommissioned' if state.decommissioned else 'held' if state.stopped else 'not held'}"
    if state.stopped:
        yield _titled_paragraph("", state.stopped)
    yield ""
    yield from _datasets(found.tables)
    yield ""
    done = ", ".join(f"{stage} {key}" for stage, key in state.complete.items())
    yield _titled_paragraph("complete", done or "nothing")
    yield from _model(found, monitor)
    for title, keys in (("skipped", state.skipped), ("left out", state.left_out)):
        for number, (key, reason) in enumerate(keys.items()):
            yield _titled_paragraph("" if number else title, f"{key}  {reason}")
    yield from _incidents(found)


def _datasets(tables: Sequence[DatasetStatus]) -> Iterator[str]:
    if all(table.version is None for table in tables):
        yield "nothing has been published yet"
        yield f"  {tables[0].uri.rsplit('/', 1)[0]}"
    else:
        head = ("dataset", "version", "partitions", "rows", "newest", "")
        cells = [
            (
                table.name,
                "-" if table.version is None else str(table.version),
                f"{table.partitions:,}",
                f"{table.rows:,}",
                table.newest or "-",
                table.uri,
            )
            for table in tables
        ]
        yield align_columns([head, *cells], indent=0)
    for table in tables:
        for key, message in table.released.items():
            yield wrap_paragraph(f"{table.name} {key} is published {message}", first="released", indent=_INDENT)
        for one in table.quarantine:
            text = (
                f"{table.name} {one.partition}, {format_quantity(one.rows, 'row')}: "
                f"{shorten_list(one.reasons, most=2)}\n{one.folder}"
            )
            yield wrap_paragraph(text, first="quarantine", indent=_INDENT)


def _model(found: PipelineStatus, monitor: Monitor | None) -> Iterator[str]:
    champion, candidate = found.champion, found.candidate
    if champion is not None:
        text = f"version {champion.model_version} from population {champion.effective_from} on"
        yield _titled_paragraph("champion", f"{text} ({champion.reason or champion.actor})")
        yield _titled_paragraph("", f"since {champion.at:%Y-%m-%d %H:%M} UTC, by {champion.actor}")
    if found.foreign is not None:
        yield _titled_paragraph("", found.foreign)
    if "card" in found.pages:
        yield _titled_paragraph("", found.pages["card"])
    if found.pin is not None:
        yield _titled_paragraph("pinned", found.pin)
    if found.shadow is not None:
        yield _titled_paragraph("shadow", found.shadow)
    if candidate is not None:
        yield _titled_paragraph(
            "candidate", f"version {candidate.version} at {candidate.partition}: {candidate.outcome}"
        )
        for reason in candidate.reasons:
            yield _titled_paragraph("", reason)
        for warning in candidate.verdict.evidence.get("warnings", ()):
            yield _titled_paragraph("", f"warning: {warning}")
    if "report" in found.pages:
        yield _titled_paragraph("", found.pages["report"])
    yield from _served(found.served)
    if found.judged is not None:
        yield _titled_paragraph("drift", f"{describe_drift(found.drift, found.judgements)}, at {found.judged}")
        for population, value in found.performance.items():
            words = describe_performance(value, monitor, outcome=found.outcomes.get(population))
            yield _titled_paragraph("performance", f"{words} on population {population}")


def _served(served: Sequence[ServedPopulation]) -> Iterator[str]:
    from tradewind.planning.served_populations import noteworthy_populations

    for number, one in enumerate(noteworthy_populations(served)[:_MOST]):
        yield _titled_paragraph(
            "" if number else "served", str(one) if one.by_champion else f"NOT BY THE CHAMPION: {one}"
        )
    others = sum(not one.by_champion for one in served)
    if others > 1:
        yield _titled_paragraph("", f"{others} of {len(served)} populations were not served by the champion")


def describe_performance(value: object, monitor: Monitor | None, *, outcome: str | None) -> str:
    """A realised metric in words, beside its limit where it was judged by it."""
    if not isinstance(value, float):
        return "no data"
    if monitor is None:
        return f"{value:.4f}"
    limit = monitor.performance
    if outcome == "insufficient":
        return f"{limit.metric} {value:.4f}, not judged over so few rows (`monitor.performance.min_rows`),"
    side = "worse than the limit" if limit.missed_by(value) else "within the limit"
    return f"{limit.metric} {value:.4f}, {side} {limit.bound:g},"


def _incidents(found: PipelineStatus) -> Iterator[str]:
    yield _titled_paragraph(
        "incidents", "none open" if not found.state.incidents else f"{len(found.state.incidents)} open"
    )
    for one in found.state.incidents:
        texts = group_partitions_by_message(one.by_partition)
        keys = f" ({shorten_list(one.partitions)})" if one.partitions else ""
        alone = f" {_first_line(texts[0][0])}" if len(texts) == 1 else ""
        yield _titled_paragraph("", f"{one.fingerprint}{keys}:{alone}")
        for text, partitions in texts[:_TEXTS] if not alone else ():
            yield _titled_paragraph("", f"- {shorten_list(partitions)}: {_first_line(text)}")
        if len(texts) > _TEXTS:
            yield _titled_paragraph("", f"- and {len(texts) - _TEXTS} more (--json has them all)")
        yield _titled_paragraph("", f"to do: {describe_next_step(one)}")


def _first_line(message: str) -> str:
    return next(iter(message.splitlines()), "")


def _titled_paragraph(title: str, text: str) -> str:
    return wrap_paragraph(text, first=title, indent=_INDENT)


def _as_json(found: PipelineStatus) -> str:
    return json.dumps(asdict(found), indent=2, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
