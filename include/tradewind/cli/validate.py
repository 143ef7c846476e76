"""``tradewind validate``: everything that is wrong with pipeline YAML, for people and for editors."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tradewind.cli.deployments import find_pipeline_files
from tradewind.errors import TradewindError
from tradewind.spec.problems import Problem

if TYPE_CHECKING:
    from tradewind.ledger.journal import Entry


@click.command("validate")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all problems.")
@click.pass_context
def validate_files(ctx: click.Context, *, paths: tuple[Path, ...], as_json: bool) -> None:
    """Check pipelines deeply, without running them: YAML, SQL, expectations, features and model.

    PATH is a YAML file, the name of a pipeline below `dags`, or a folder whose YAML files are all checked; `dags` if
    none is given. No data and no service is needed. A note says what could not be checked, and why, or how large
    a gain the test partitions can show. Exits with 1 if
    anything is wrong.
    """
    from tradewind.validation.pipeline import validate_pipelines as validated
    from tradewind.validation.resolution_notes import resolution_notes

    files = find_pipeline_files(paths or (Path("dags"),))
    found = [*validated(files), *resolution_notes(files, _verdicts)]
    click.echo(_as_json(files, found) if as_json else _as_text(files, found))
    ctx.exit(1 if any(problem.severity == "error" for problem in found) else 0)


def _verdicts(pipeline: str) -> list[Entry]:
    """Recorded verdicts; none where no ledger is there or it does not answer: validation needs no service."""
    from tradewind.cli import deployments
    from tradewind.ledger.journal import Ledger
    from tradewind.local_airflow.home import Home

    home = Home.of(Path.cwd()).root
    if not (home / "ledger.db").is_file() and not os.environ.get(deployments.CONNECTION):
        return []
    try:
        return Ledger(deployments.find_runtime().ledger).find(pipeline, "verdict")
    except TradewindError:
        return []


def _as_text(files: Sequence[Path], found: Sequence[Problem]) -> str:
    wrong = [problem for problem in found if problem.severity == "error"]
    blocks = [problem.text() for problem in found]
    count, pipelines_ = len(wrong), f"{len(files)} pipeline{'s' * (len(files) != 1)}"
    total = f"{count} problem{'s' * (count != 1)} in {pipelines_}" if wrong else f"{pipelines_}: fine"
    return "\n".join([*blocks, total])


def _as_json(files: Sequence[Path], found: Sequence[Problem]) -> str:
    return json.dumps(
        {"checked": [str(file) for file in files], "problems": [_plain(problem) for problem in found]}, indent=2
    )


def _plain(problem: Problem) -> dict[str, object]:
    return asdict(problem) | {"end_column": problem.end_column}
