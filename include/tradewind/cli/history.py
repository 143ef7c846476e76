"""``tradewind history``: the journal of a pipeline, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

import click

from tradewind.alerting.incident_history import BY_HAND
from tradewind.cli import deployments
from tradewind.cli.text_layout import format_quantity, wrap_paragraph
from tradewind.errors import TradewindError
from tradewind.ledger import shadows
from tradewind.planning.served_populations import served_population

if TYPE_CHECKING:
    from tradewind.ledger.champions import ChampionChange
    from tradewind.ledger.journal import Entry, Ledger
    from tradewind.planning.population_history import PopulationHistory, ScoringEvent

NO = "not to train"
_ROUTINE = frozenset({"started", "complete", "materialised"})
_ROUTINE_NOTES = frozenset({"alerted", "aliased", "carded"})
_SHADOW = {
    "began": "version {subject} stands as shadow: {reason}",
    "failed": "shadow {subject} predicted nothing of this population: {reason}",
    "replaced": "shadow {subject} replaced: {reason}",
    "withdrawn": "shadow {subject} withdrawn: {reason}",
}
_NOTES = {
    "edited": "alias edited in MLflow and put back: {reason}",
    "foreign": "{reason}",
    "kept": "{reason}",
    "repaired": "alias repaired: {reason}",
}
_WORDS = {
    "started": "{subject} began",
    "complete": "{subject} is complete{served}",
    "materialised": "features materialised, {reason}",
    "trained": "version {subject} {outcome}: {reason}",
    "refit": "{reason}",
    "verdict": "version {subject} {outcome}: {reason}",
    "early": "candidate not worth continuing: {reason}",
    "approval": "promotion of {about} {outcome} by {actor}: {reason}",
    "promotion": "version {subject} not promoted, {outcome}: {reason}",
    "pin": "version {subject} pinned by {actor}: {reason}",
    "unpin": "version {subject} pinned no more, by {actor}: {reason}",
    "archived": "version {subject} archived, its evidence stays: {reason}",
    "restored": "version {subject} brought back from the archive: {reason}",
    "reproduced": "version {subject} reproduced, {outcome}: {reason}",
    "incident": "incident {subject}: {reason}",
    "incident_closed": "incident {subject} closed: {reason}",
    "note": "{subject} {outcome}: {reason}",
    "left_out": "left out, {subject}: {reason}",
    "skip": "{outcome} by {actor}: {reason}",
    "hold": "held by {actor}: {reason}",
    "resume": "resumed by {actor}: {reason}",
    "rescore": "a fallback may replace what is published of population {subject}, accepted by {actor}: {reason}",
    "release": "{subject} released {outcome} by {actor}: {reason}",
    "erased": "erasure by {actor}, {subject} {outcome}: {reason}",
    "decommissioned": "decommissioned by {actor}: {reason}",
}


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of the history.

    :param at: when, in UTC
    :param text: what, in words
    """

    at: datetime
    partition: str | None
    kind: str
    text: str
    actor: str


@click.command("history", short_help="The journal of a pipeline, in words.")
@click.argument("name")
@click.option(
    "--at",
    "until",
    metavar="TIME",
    help="As it was known then, by the clock on the wall: ISO date or time, in UTC where it names no zone.",
)
@click.option(
    "--population",
    metavar="KEY",
    help="Who served the population of this partition, by partition time: also of a replay.",
)
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N lines.")
@click.option("--all", "everything", is_flag=True, help="Include routine stage events: stages that began and ended.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show_history(
    name: str, until: str | None, population: str | None, last: int | None, everything: bool, as_json: bool
) -> None:
    """Tell what happened to the pipeline NAME and why, newest last.

    Two clocks: --at is the time at which things were written down, --population the partition that they are about. A
    replay writes down today what it decides for a year ago. Decisions in a row not to train for the same reason are one
    line; in the JSON each is there. The pipeline need not be in dags/ any more: the journal outlives it.
    """
    from tradewind.ledger.journal import Ledger

    if population is not None:
        if until or last or everything:
            raise click.UsageError("--population goes with --json only: it is about one population, whenever")
        _print_population(Ledger(deployments.find_runtime().ledger), name, population, as_json=as_json)
        return
    ledger, at = Ledger(deployments.find_runtime().ledger), _parse_time(until)
    entries = ledger.entries(name, at=at)
    champions = [one for one in ledger.champions(name) if at is None or one.at <= at]
    if not entries and not champions:
        if name not in ledger.pipelines():
            deployments.find_pipeline_file(name)  # says the nearest, if no pipeline has this name
        if not as_json:
            click.echo(f"{name}: nothing had happened" if at else f"{name}: nothing has happened yet")
            return
    text = collect_history(entries, champions, everything=everything)
    if as_json:
        answer: dict[str, object] = {"pipeline": name, "history": [_plain(one) for one in text[-(last or 0) :]]}
        if at:
            answer["then"] = dict(_model_lines(entries, champions))
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    lines = [_line(one) for one in _fold_decisions(text)][-(last or 0) :]
    click.echo("\n".join([*lines, *(_state_lines(entries, champions, at) if at else ())]))


def collect_history(
    entries: Sequence[Entry], champions: Sequence[ChampionChange], *, everything: bool
) -> list[HistoryLine]:
    """Journal and changes of champion as one story, oldest first.

    :param everything: include routine stage events
    """
    found = [
        HistoryLine(entry.at, entry.partition, entry.kind, _entry_text(entry), entry.actor)
        for entry in entries
        if everything or not (entry.kind in _ROUTINE or (entry.kind == "note" and entry.outcome in _ROUTINE_NOTES))
    ]
    return sorted([*found, *map(_champion_line, champions)], key=lambda one: one.at)


def _fold_decisions(lines: Sequence[HistoryLine]) -> Iterator[HistoryLine]:
    """The story with decisions in a row not to train, for one reason, as one line: how many, of which partitions."""
    for _, group in groupby(lines, key=_fold_key):
        some = list(group)
        if len(some) == 1 or _fold_key(some[0]) is some[0]:
            yield from some
            continue
        keys, newest = sorted(str(one.partition) for one in some), some[-1]
        span = f"{NO}, {len(some)} times ({keys[0]} … {keys[-1]})"
        yield replace(newest, text=newest.text.replace(NO, span, 1))


def _fold_key(one: HistoryLine) -> object:
    """What lines have in common that are one; the line itself if it is like no other. Distance and number may grow."""
    if one.kind != "decision" or not one.text.startswith(f"{NO}: "):
        return one
    # Until the rule's n partitions have been judged, each decision looks at one more.
    return re.sub(r"(?:the last )?\d+ partitions?(?: ago)?", "some partitions", one.text)


def _entry_text(entry: Entry) -> str:
    if entry.kind == "decision":
        verbs = {"train": "to train", "judge": "to judge the shadow"}
        return f"{verbs.get(entry.outcome, NO)}: {entry.reason}"
    words = _WORDS.get(entry.kind, "{kind} {subject} {outcome}: {reason}")
    if entry.kind == "shadow":
        words = _SHADOW.get(entry.outcome, "shadow {subject} {outcome}: {reason}")
    if entry.kind == "incident_closed" and entry.outcome == BY_HAND:
        words = "incident {subject} closed by {actor}: {reason}"
    if entry.kind == "note":
        words = _NOTES.get(entry.outcome, words)
    about = entry.evidence.get("version")
    text = words.format(
        kind=entry.kind, subject=entry.subject, outcome=entry.outcome, reason=entry.reason, actor=entry.actor,
        about=f"version {about}" if about else "the candidate", served=_served_text(entry),
    )  # fmt: skip
    return text.strip().removesuffix(":").removesuffix(",")


def _served_text(entry: Entry) -> str:
    served = served_population(entry) if entry.kind == "complete" else None
    return f": {served}" if served is not None else ""


def _champion_line(champion: ChampionChange) -> HistoryLine:
    text = f"version {champion.model_version} is champion from population {champion.effective_from} on"
    why = f", by {champion.actor}: {champion.reason}".removesuffix(": ")
    return HistoryLine(champion.at, champion.decided_at, "champion", text + why, champion.actor)


def _line(one: HistoryLine) -> str:
    head = f"{one.at:%Y-%m-%d %H:%M}  {one.partition or '':13}  "
    return wrap_paragraph(" ".join(one.text.split()), first=head, indent=len(head))


def _state_lines(entries: Sequence[Entry], champions: Sequence[ChampionChange], at: datetime) -> Iterator[str]:
    """What held at that time."""
    held = [entry for entry in entries if entry.kind in ("hold", "resume", "decommissioned")][-1:]
    yield ""
    yield f"At {at:%Y-%m-%d %H:%M} UTC:"
    yield from (wrap_paragraph(text, first=f"  {title}", indent=12) for title, text in _model_lines(entries, champions))
    stopped = held[0] if held and held[0].kind != "resume" else None
    yield wrap_paragraph(_entry_text(stopped) if stopped else "runs", first="  pipeline", indent=12)


def _model_lines(entries: Sequence[Entry], champions: Sequence[ChampionChange]) -> Iterator[tuple[str, str]]:
    """Who was champion, put there by which person, on which verdict, whether pinned; who stood as shadow."""
    if not champions:
        yield "champion", "none"
        return
    newest = champions[-1]
    since = f"version {newest.model_version}, from population {newest.effective_from} on, since {newest.at:%Y-%m-%d}"
    yield "champion", f"{since}, by {newest.actor}: {newest.reason}".removesuffix(": ")
    key = newest.evidence.get("verdict_key")
    verdict = next((one for one in reversed(entries) if one.kind == "verdict" and one.key == key), None)
    if verdict is not None:
        yield "verdict", _verdict_text(verdict, serving=newest.model_version)
    over = {one.key for one in entries if one.kind == "unpin"}
    pins = [one for one in entries if one.kind == "pin"][-1:]
    yield from (("pinned", f"by {one.actor}: {one.reason}") for one in pins if one.key not in over)
    shadow = shadows.newest_shadow([one for one in entries if one.kind == "shadow"])
    if shadow is not None:
        yield "shadow", f"version {shadow.subject}: {shadow.reason}"


def _verdict_text(verdict: Entry, *, serving: str) -> str:
    on = "on what it predicted as shadow" if verdict.evidence.get("basis") == "shadow" else "on test rows"
    refitted = "" if verdict.subject == serving else f", by version {verdict.subject}, of which {serving} is the refit"
    return f"{verdict.outcome} at {verdict.partition}{refitted}, {on}: {verdict.reason}"


def _print_population(ledger: Ledger, name: str, key: str, *, as_json: bool) -> None:
    from tradewind.planning.population_history import read_population_history

    if name not in ledger.pipelines():
        deployments.find_pipeline_file(name)  # says the nearest, if no pipeline has this name
    _require_key(name, key)
    found = read_population_history(ledger, name, key)
    if as_json:
        answer = {"pipeline": name, "by_champion": found.by_champion, **asdict(found)}
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False, default=_json_text))
    else:
        click.echo("\n".join([f"{name}, population {key}:", *_population_lines(name, found)]))


def _require_key(name: str, key: str) -> None:
    """Refuse a key that is none of the pipeline's, as far as its YAML is still there to say."""
    try:
        spec = deployments.find_pipeline(name)
    except TradewindError:
        return
    spec.partitioning.bounds(key)


def _population_lines(name: str, found: PopulationHistory) -> Iterator[str]:
    champion = found.champion
    if champion is None:
        yield _titled_paragraph("champion", "none holds for it")
    else:
        yield _titled_paragraph(
            "champion", f"version {champion.model_version}, from population {champion.effective_from} on"
        )
        decided = f"decided at partition {champion.decided_at}, " if champion.decided_at else ""
        why = f": {champion.reason}" if champion.reason else ""
        yield _titled_paragraph("promoted", f"{decided}by {champion.actor}, written {_time_text(champion.at)}{why}")
    if found.verdict is not None and champion is not None:
        yield _titled_paragraph("verdict", _verdict_text(found.verdict, serving=champion.model_version))
    if found.approval is not None:
        yield _titled_paragraph(
            "approval", f"{found.approval.outcome} by {found.approval.actor}: {found.approval.reason}"
        )
    for number, one in enumerate(reversed(found.scorings)):
        yield _titled_paragraph("before that" if number else "served by", _scoring_text(name, one))
    if not found.scorings:
        yield _titled_paragraph("served by", "nobody: it has not been scored")
    for reason in found.fallbacks:
        yield _titled_paragraph("fallback", reason)
    if found.scorings and not found.by_champion and champion is not None:
        yield _titled_paragraph("", "it was not served by the champion that holds for it now")


def _scoring_text(name: str, one: ScoringEvent) -> str:
    run = f"run {one.run_id} of {name}__score for {one.partition}, {_time_text(one.at)}"
    if one.skipped:
        return f"nobody: {one.skipped}; {run}"
    stays = " stays, since only a fallback could score it" if one.kept else ""
    return (
        f"version {one.version} ({one.served_by.replace('_', ' ')}){stays}, {format_quantity(one.rows, 'row')}; {run}"
    )


def _titled_paragraph(title: str, text: str) -> str:
    return wrap_paragraph(text, first=f"  {title}", indent=16)


def _time_text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _json_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _parse_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise click.UsageError(f"--at {text}: expected a date or time like 2013-03-04 or 2013-03-04T05:00Z") from exc


def _plain(one: HistoryLine) -> dict[str, object]:
    return {**asdict(one), "at": one.at.isoformat()}
