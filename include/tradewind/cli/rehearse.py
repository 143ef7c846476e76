"""``tradewind rehearse``: all stages of a pipeline in this process, without Airflow."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tradewind.cli import deployments
from tradewind.cli.text_layout import align_columns, format_quantity, join_partition_spans, wrap_paragraph
from tradewind.deployment import Deployment

if TYPE_CHECKING:
    from tradewind.local_airflow.demo_progress import DemoProgressBars
    from tradewind.local_airflow.home import Home
    from tradewind.scaffold.rehearsal import Rehearsal, StageOutcome

_LINE = 300  # characters of a reason while it works; the whole text stands in the summary
_DECISIONS = 5


@click.command("rehearse", short_help="Run all stages here, without Airflow, in a home of their own.")
@click.argument("name")
@click.option("--from", "first", metavar="KEY", help="First partition; the pipeline's start if not given.")
@click.option("--to", "last", metavar="KEY", help="Last partition; the newest that is over if not given.")
@click.option(
    "--home",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where everything is written; .tradewind/rehearsal if not given, or the rehearsal that TRADEWIND_HOME names.",
)
@click.option("--landing", metavar="PLACE", help="Landing zone, a folder or s3://…; the project's if not given.")
@click.option(
    "--approve",
    type=click.Choice(["all", "none"]),
    default="all",
    show_default=True,
    help="The answer where the YAML says `promotion.mode: approval`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rehearse_pipeline(
    name: str,
    first: str | None,
    last: str | None,
    folder: Path | None,
    landing: str | None,
    approve: str,
    as_json: bool,
) -> None:
    """Run the pipeline NAME through all its stages, one partition after another, in this process.

    No Airflow is started. Connections are those of AIRFLOW_CONN_… in the environment. What fails ends what depends on
    it, as under Airflow; later partitions go on. Exit code 1 if something failed.
    """
    from tradewind.local_airflow.home import Home
    from tradewind.local_airflow.settings import adopt_home_settings

    path = deployments.find_pipeline_file(name)
    own = Home.at(Path.cwd())
    read = landing or deployments.exported_landing() or own.places()["landing"]
    if folder is None:
        own.make_private()
    # A command in a rehearsal's home (`TRADEWIND_HOME` names it) goes on with it, and begins none inside it.
    root = folder or (own.root if own.is_of_rehearsal else own.root / "rehearsal")
    home = Home(root=root.resolve(), project=own.project)
    home.lay_out()
    # Before anything is imported that reads them: threads of the numeric libraries, caches, telemetry.
    adopt_home_settings(home)
    try:
        found = _run_rehearsal(path, home, landing=read, first=first, last=last, approve=approve == "all")
    except KeyboardInterrupt:
        click.echo("stopped; what was done stays. Run this again to go on from there", err=True)
        sys.exit(130)
    click.echo(
        json.dumps(found, indent=2, ensure_ascii=False, default=str) if as_json else "\n".join(rehearsal_lines(found))
    )
    if found["failed"]:
        sys.exit(1)


def _run_rehearsal(
    path: Path, home: Home, *, landing: str, first: str | None, last: str | None, approve: bool
) -> dict[str, Any]:
    from rich.console import Console

    from tradewind.local_airflow.demo_progress import DemoProgressBars
    from tradewind.scaffold.rehearsal import Rehearsal

    began, worked = time.monotonic(), list[Any]()
    with Rehearsal(path, home.root, landing=landing, approve=approve) as rehearsal:
        keys = rehearsal.partitions(first, last)
        with DemoProgressBars(Console(stderr=True)) as progress:
            progress.expect(rehearsal.spec.stages, len(keys))
            progress.say(
                f"rehearsing {rehearsal.spec.pipeline}, {format_quantity(len(keys), 'partition')}, in {home.root}"
            )
            for key in keys:
                worked += _watch_rehearsal(rehearsal, key, progress)
        return _summary(rehearsal, keys, worked, seconds=time.monotonic() - began)


def _watch_rehearsal(rehearsal: Rehearsal, key: str, progress: DemoProgressBars) -> Iterator[StageOutcome]:
    done: dict[str, str] = {}
    for one in rehearsal.work_through(key):
        if one.outcome == "failed" or (one.outcome == "skipped" and one.stage == "etl"):
            progress.say(f"{key} {one.stage} {one.outcome}: {first_line(one.reason)}")
        # A bar counts what is over, whatever came of it.
        done[one.stage] = one.outcome
        progress.progress(key, frozenset(done), said=_stages_by_outcome(done))
        yield one


def first_line(reason: str) -> str:
    """The first line of a reason; a long one is cut, and shows it."""
    line = next(iter(reason.splitlines()), "")
    return line if len(line) <= _LINE else f"{line[:_LINE]} …"


def _stages_by_outcome(done: Mapping[str, str]) -> str:
    """Stages by what came of them: ``etl, features; failed: score; not reached: monitor, train``."""
    named = {outcome: ", ".join(name for name in done if done[name] == outcome) for outcome in done.values()}
    others = (f"{outcome}: {names}" for outcome, names in named.items() if outcome != "done")
    return "; ".join([*([named["done"]] if "done" in named else []), *others])


def _summary(
    rehearsal: Rehearsal, keys: Sequence[str], worked: Sequence[StageOutcome], *, seconds: float
) -> dict[str, Any]:
    from tradewind.local_airflow.demo_summary import summarise_pipeline

    stages = rehearsal.spec.stages
    return {
        **summarise_pipeline(Deployment(rehearsal.spec, rehearsal.runtime)),
        "home": str(rehearsal.home.root),
        "landing": rehearsal.runtime.landing,
        "partitions": list(keys),
        "seconds": {name: round(sum(one.seconds for one in worked if one.stage == name), 2) for name in stages},
        "total_seconds": round(seconds, 1),
        "stages": {name: dict(Counter(one.outcome for one in worked if one.stage == name)) for name in stages},
        "failed": _outcomes_named(worked, "failed"),
        "skipped": _outcomes_named(worked, "skipped"),
    }


def _outcomes_named(worked: Sequence[StageOutcome], outcome: str) -> list[dict[str, str]]:
    return [
        {"partition": one.partition, "stage": one.stage, "reason": one.reason}
        for one in worked
        if one.outcome == outcome
    ]


def rehearsal_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The summary for people."""
    keys = found["partitions"]
    yield (
        f"{found['pipeline']}: {format_quantity(len(keys), 'partition')}, {join_partition_spans(keys, keys)}, in "
        f"{found['total_seconds']:g} s"
    )
    yield f"home    {found['home']}"
    yield f"landing {found['landing']}"
    yield ""
    yield align_columns([("stage", "seconds", "outcome"), *_stages(found)])
    yield ""
    datasets = [(name, f"{about['rows']:,}", f"{about['partitions']}") for name, about in found["datasets"].items()]
    yield align_columns([("dataset", "rows", "partitions"), *datasets])
    yield from _model_lines(found)
    for title, which in (("failed", found["failed"]), ("skipped", found["skipped"])):
        yield from _reasons(title, which, keys)
    if found["incidents"]:
        yield f"\n{format_quantity(len(found['incidents']), 'open incident')}"
        for one in found["incidents"]:
            # A state, like drift, is of no single partition.
            of = f" ({', '.join(one['partitions'])})" if one["partitions"] else ""
            yield wrap_paragraph(f"{one['fingerprint']}{of}: {one['message']}", indent=2)
    yield ""
    yield (
        f"To look around: TRADEWIND_HOME={_short_path(found['home'])} tradewind plan {found['pipeline']} (show, "
        "history)"
    )


def _stages(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (name, f"{found['seconds'][name]:.1f}", ", ".join(f"{number} {word}" for word, number in outcomes.items()))
        for name, outcomes in found["stages"].items()
    ]


def _model_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Versions with their verdicts, champions, decisions."""
    if found["versions"]:
        yield "\nversions"
    for one in found["versions"]:
        yield wrap_paragraph(f"{one['version']} of {one['partition']}: {_verdict_words(one)}", indent=2)
    if found["champions"]:
        yield "\nchampions"
    for one in found["champions"]:
        yield wrap_paragraph(f"version {one['version']} from {one['effective_from']} on, by {one['actor']}", indent=2)
    trained = [one for one in found["decisions"] if one["outcome"] != "skip"]
    if found["decisions"]:
        counted = Counter(one["outcome"] for one in found["decisions"])
        last = f"; the last {_DECISIONS} to train:" if len(trained) > _DECISIONS else ""
        yield f"\ndecisions: {', '.join(f'{number} {word}' for word, number in counted.items())}{last}"
    for one in trained[-_DECISIONS:]:
        yield wrap_paragraph(f"{one['partition']} {one['outcome']}: {one['reason']}", indent=2)


def _verdict_words(version: Mapping[str, Any]) -> str:
    if version["refit_of"] is not None:
        return f"version {version['refit_of']} fitted once more, on the whole window"
    return f"{version['verdict'] or 'no verdict'}: {version['reason']}"


def _reasons(title: str, found: Sequence[Mapping[str, str]], keys: Sequence[str]) -> Iterator[str]:
    """One paragraph for each stage, with the reason of its first partition."""
    if found:
        yield f"\n{title}"
    for stage in dict.fromkeys(one["stage"] for one in found):
        those = [one for one in found if one["stage"] == stage]
        text = f"{stage} of {join_partition_spans((one['partition'] for one in those), keys)}: {those[0]['reason']}"
        yield wrap_paragraph(text, indent=2)


def _short_path(home: str) -> str:
    relative = os.path.relpath(home)
    return home if relative.startswith("..") else relative
