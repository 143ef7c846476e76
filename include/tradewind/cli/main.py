"""The command ``tradewind``: a table of subcommands, each imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass

import click

from tradewind import __version__
from tradewind.errors import TradewindError, UsageError


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a subcommand lives, as ``module:attribute``, and its line in the help."""

    target: str
    help: str


COMMANDS = {
    "demo": LazyCommand("tradewind.cli.demo:run_demo", "Run the example pipeline on real data under a local Airflow."),
    "up": LazyCommand("tradewind.cli.local_airflow:start_local_airflow", "Start the local Airflow of this project."),
    "down": LazyCommand("tradewind.cli.local_airflow:stop_local_airflow", "Stop the local Airflow of this project."),
    "status": LazyCommand(
        "tradewind.cli.local_airflow:show_airflow_status", "Show what of the local Airflow is running."
    ),
    "airflow": LazyCommand(
        "tradewind.cli.local_airflow:run_airflow_command", "Airflow's own command line, for the local Airflow."
    ),
    "new": LazyCommand("tradewind.cli.new:write_new_pipeline", "Write a new pipeline that runs as it is."),
    "validate": LazyCommand(
        "tradewind.cli.validate:validate_files", "Check pipelines deeply; every problem with file, line, column."
    ),
    "rehearse": LazyCommand(
        "tradewind.cli.rehearse:rehearse_pipeline", "Run all stages here, without Airflow, in a home of their own."
    ),
    "render": LazyCommand(
        "tradewind.cli.render:show_configuration", "Print what holds for a pipeline, each value with its origin."
    ),
    "plan": LazyCommand("tradewind.cli.plan:show_plan", "What is missing or stale, why, and what to run."),
    "backfill": LazyCommand(
        "tradewind.cli.backfill:start_backfill", "Start runs for what is stale, missing, or named by key."
    ),
    "train": LazyCommand("tradewind.cli.train:start_training", "Train a candidate now, by a person's word."),
    "show": LazyCommand(
        "tradewind.cli.show:show_pipeline", "How a pipeline stands: datasets, champion, drift, incidents, holds."
    ),
    "history": LazyCommand("tradewind.cli.history:show_history", "The journal of a pipeline, in words."),
    "hold": LazyCommand("tradewind.cli.holds:hold_running_pipeline", "Stop a pipeline until somebody resumes it."),
    "resume": LazyCommand("tradewind.cli.holds:resume_held_pipeline", "Let a held pipeline run again."),
    "skip": LazyCommand("tradewind.cli.holds:keep_partition_out", "Keep one partition out, or take that back."),
    "close": LazyCommand("tradewind.cli.close:close_open_incident", "Close an incident by a person's word."),
    "rollback": LazyCommand(
        "tradewind.cli.rollback:roll_back_champion", "Make an earlier model version champion, and pin it."
    ),
    "unpin": LazyCommand(
        "tradewind.cli.rollback:unpin_champion", "Let candidates become champion again after a rollback."
    ),
    "reproduce": LazyCommand(
        "tradewind.cli.reproduce:reproduce_model", "Make a model version again from what was recorded of it."
    ),
    "release": LazyCommand(
        "tradewind.cli.release:release_quarantined", "Publish a partition that failed its audit, by a person's word."
    ),
    "rescore": LazyCommand(
        "tradewind.cli.rescore:rescore_population",
        "Score one population again; if a person accepts that, by a fallback.",
    ),
    "erase": LazyCommand("tradewind.cli.erase:run_erasure", "Remove one entity's rows everywhere, for good."),
    "decommission": LazyCommand("tradewind.cli.decommission:decommission_pipeline", "End a pipeline for good."),
    "schema": LazyCommand("tradewind.cli.schema:print_schema", "Print the JSON Schema of the pipeline YAML."),
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
            raise TypeError(f"{lazy.target} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in COMMANDS.items()])


@click.group("tradewind", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tradewind")
def command_line() -> None:
    """The life of production models on Apache Airflow, from one YAML file per use case.

    Exit codes: 0 fine, 1 a check failed, 2 wrong usage.
    """


def main() -> None:
    """Run the command line; an error of Tradewind is a sentence and an exit code, not a traceback."""
    try:
        command_line()
    except TradewindError as exc:
        click.echo(f"Error: {exc}", err=True)
        sys.exit(2 if isinstance(exc, UsageError) else 1)


if __name__ == "__main__":
    main()
