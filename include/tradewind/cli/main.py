"""The command ``tradewind``: a table of subcommands, each imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass

import click

from tradewind import __version__
from tradewind.errors import TradewindError, UsageError


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a subcommand lives, as ``module:attribute``, and its line in the help."""

    target: str
    help: str


COMMANDS = {
    "demo": Lazy("tradewind.cli.demo:demo", "Run the example pipeline on real data under a local Airflow."),
    "up": Lazy("tradewind.cli.home:up", "Start the local Airflow of this project."),
    "down": Lazy("tradewind.cli.home:down", "Stop the local Airflow of this project."),
    "status": Lazy("tradewind.cli.home:status", "Show what of the local Airflow is running."),
    "airflow": Lazy("tradewind.cli.home:airflow", "Airflow's own command line, for the local Airflow."),
    "new": Lazy("tradewind.cli.new:new", "Write a new pipeline that runs as it is."),
    "validate": Lazy(
        "tradewind.cli.validate:validate", "Check pipelines deeply; every problem with file, line, column."
    ),
    "rehearse": Lazy(
        "tradewind.cli.rehearse:rehearse", "Run all stages here, without Airflow, in a home of their own."
    ),
    "render": Lazy("tradewind.cli.render:render", "Print what holds for a pipeline, each value with its origin."),
    "plan": Lazy("tradewind.cli.plan:plan", "What is missing or stale, why, and what to run."),
    "backfill": Lazy("tradewind.cli.backfill:backfill", "Start runs for what is stale, missing, or named by key."),
    "train": Lazy("tradewind.cli.train:train", "Train a candidate now, by a person's word."),
    "show": Lazy("tradewind.cli.show:show", "How a pipeline stands: datasets, champion, drift, incidents, holds."),
    "history": Lazy("tradewind.cli.history:history", "The journal of a pipeline, in words."),
    "hold": Lazy("tradewind.cli.holds:hold", "Stop a pipeline until somebody resumes it."),
    "resume": Lazy("tradewind.cli.holds:resume", "Let a held pipeline run again."),
    "skip": Lazy("tradewind.cli.holds:skip", "Keep one partition out, or take that back."),
    "close": Lazy("tradewind.cli.close:close", "Close an incident by a person's word."),
    "rollback": Lazy("tradewind.cli.rollback:rollback", "Make an earlier model version champion, and pin it."),
    "unpin": Lazy("tradewind.cli.rollback:unpin", "Let candidates become champion again after a rollback."),
    "reproduce": Lazy("tradewind.cli.reproduce:reproduce", "Make a model version again from what was recorded of it."),
    "release": Lazy("tradewind.cli.release:release", "Publish a partition that failed its audit, by a person's word."),
    "rescore": Lazy(
        "tradewind.cli.rescore:rescore", "Score one population again; if a person accepts that, by a fallback."
    ),
    "erase": Lazy("tradewind.cli.erase:erase", "Remove one entity's rows everywhere, for good."),
    "decommission": Lazy("tradewind.cli.decommission:decommission", "End a pipeline for good."),
    "schema": Lazy("tradewind.cli.schema:schema", "Print the JSON Schema of the pipeline YAML."),
}


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is called and not to list it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all subcommands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand; None if there is no such one."""
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        module, _, attribute = lazy.target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{lazy.target} is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tradewind")
def cli() -> None:
    """The life of production models on Apache Airflow, from one YAML file per use case.

    Exit codes: 0 fine, 1 a check failed, 2 wrong usage.
    """


def main() -> None:
    """Run the command line; an error of Tradewind is a sentence and an exit code, not a traceback."""
    try:
        cli()
    except TradewindError as exc:
        click.echo(f"Error: {exc}", err=True)
        sys.exit(2 if isinstance(exc, UsageError) else 1)


if __name__ == "__main__":
    main()
