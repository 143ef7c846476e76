"""``tradewind new``: a pipeline that runs as it is."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from tradewind.cli.text_layout import shorten_list, wrap_paragraph
from tradewind.spec.partitions import Kind


class _CsvFile(click.Path):
    """A file that exists; a pattern is told what to name in its place."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        if any(letter in str(value) for letter in "*?[") and not Path(value).exists():
            self.fail(f"'{value}' is a pattern: {_ONE_FILE}", param, ctx)
        return super().convert(value, param, ctx)


_ONE_FILE = "name one of the files; those beside it that differ in their hour, day, week or month belong to it"


@click.command("new", short_help="Write a new pipeline that runs as it is.")
@click.argument("name")
@click.argument("more", nargs=-1, metavar="")
@click.option(
    "--from",
    "own",
    multiple=True,
    type=_CsvFile(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Your own CSV file; may be given several times. With an hour, day, week or month in its name, like 2024-01-31 "
    "or 2024-W05, the files beside it that differ in it belong to it.",
)
@click.option(
    "--partition",
    "kind",
    type=click.Choice(["hour", "day", "week", "month"]),
    help="Length of a partition.  [default: what the names of your files say, else day]",
)
@click.option("--label", metavar="COLUMN", help="Column of your files that a model predicts; goes with --from.")
@click.option("--timezone", default="UTC", show_default=True, help="Time zone of the pipeline; goes with --from.")
def write_new_pipeline(
    name: str, more: tuple[str, ...], own: tuple[Path, ...], kind: Kind | None, label: str | None, timezone: str
) -> None:  # fmt: skip
    """Write a new pipeline called NAME into this folder: YAML, SQL, expectations, features, a model and a test.

    Without your own files it comes with made-up data to run on. From your own files, types, keys, checks and features
    are proposed as far as their rows tell; with --label a model is trained and serves, without it that part of the YAML
    is a comment. The folder becomes a project if it is none yet. Never overwrites files; never prompts.
    """
    from tradewind.local_airflow.home import Home
    from tradewind.scaffold.new_pipeline import create_pipeline

    if more:
        hint = f"; if the shell made them from a pattern behind --from, {_ONE_FILE}" if own else ""
        raise click.UsageError(f"unexpected: {shorten_list(more)}{hint}")
    root = Path.cwd()
    home = Home.at(root)
    created = create_pipeline(root, name, landing=home.landing, own=own, timezone=timezone, kind=kind, label=label)
    if home.root.exists():
        home.make_private()
    click.echo("\n".join(f"wrote {file}" for file in created.files))
    if created.sampled:
        click.echo(f"wrote made-up data to {created.sampled}")
    click.echo(f"its partitions start with {created.start}" + (f" and end with {created.last}" if created.last else ""))
    elsewhere = [str(path) for path in own if not path.resolve().is_relative_to(home.landing)]
    if elsewhere:
        click.echo(
            wrap_paragraph(
                f"the YAML names {shorten_list(elsewhere)} by whole paths of this machine; for other machines, let "
                f"them lie in the landing zone ({home.landing} here) and write `{{landing}}/` for its path"
            )
        )
    steps = [
        ("tradewind validate", "is everything right?"),
        (
            f"python -m pytest tests/test_{name}.py",
            "run it here, without Airflow" + ("" if find_spec("pytest") else " (first: pip install pytest)"),
        ),
        (f"tradewind rehearse {name}", "all partitions and stages, without Airflow, in a home of their own"),
        ("tradewind up", "start a local Airflow with this project"),
        (f"tradewind backfill {name} --missing --unpause", "let its DAGs run what there is data for, oldest first"),
    ]
    click.echo("\nNext:")
    for command, why in steps:
        click.echo(f"  {command}\n      {why}")
