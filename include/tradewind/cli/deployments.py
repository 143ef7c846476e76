"""What commands about a pipeline share: the deployment they work with, the pipeline by its name, who asks."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tradewind.deployment import Deployment
from tradewind.errors import UsageError

if TYPE_CHECKING:
    from tradewind.core.runtime import Runtime
    from tradewind.local_airflow.home import Home
    from tradewind.spec.pipeline import Pipeline

CONNECTION = "AIRFLOW_CONN_TRADEWIND_DEFAULT"

_NO_DEPLOYMENT = (
    "there is no deployment to work with: {home} is not there (tradewind up makes it), TRADEWIND_HOME names no other "
    f"one, and Airflow has no connection tradewind_default (in the environment: {CONNECTION})"
)


def find_runtime(*, actor: str = "local") -> Runtime:
    """The deployment: what ``TRADEWIND_HOME`` or the connection in the environment names, else this project's home.

    Without any of these, the connection is looked for wherever this Airflow keeps its connections.

    :param actor: who asks; goes into the ledger with whatever the command writes
    :raises UsageError: there is no deployment
    """
    from tradewind.local_airflow.home import Home

    exported, shared = os.environ.get(CONNECTION), _exported_at_start(Home.at(Path.cwd()))
    if exported and (shared or not os.environ.get("TRADEWIND_HOME")):
        return _exported_runtime(actor)
    home = Home.of(Path.cwd())
    if shared:
        raise UsageError(
            f"the local Airflow in {home.root} was started with {', '.join(shared)} in its environment, and this shell "
            "lacks it: export the same here"
        )
    if home.root.is_dir():
        return replace(home.runtime(), actor=actor)
    if os.environ.get("TRADEWIND_HOME"):
        raise UsageError(f"TRADEWIND_HOME names {home.root}, which is not there; tradewind up makes it")
    return _airflow_runtime(actor, home=home.root)


def exported_landing() -> str | None:
    """The landing zone of the exported connection; None if none is exported, or it names none."""
    from tradewind.local_airflow.settings import exported_extra

    place = exported_extra().get("landing")
    return None if place is None else str(place)


def find_deployment(name: str, *, actor: str = "local") -> Deployment:
    """The pipeline of that name and the deployment to work with; raises what the two below raise.

    :param actor: who asks; goes into the ledger with whatever the command writes
    """
    return Deployment(find_pipeline(name), find_runtime(actor=actor))


def find_pipeline(name: str) -> Pipeline:
    """The pipeline of that name below ``dags``, as the working tree has it now.

    :raises UsageError: there is none; says the nearest
    :raises SpecError: its YAML is wrong
    """
    from tradewind.spec.load import load_pipeline

    return load_pipeline(find_pipeline_file(name))


def find_pipeline_file(name: str) -> Path:
    """The YAML of the pipeline of that name below ``dags``.

    :raises UsageError: there is none; says the nearest
    """
    from tradewind.spec.problems import nearest_word

    files = _files_by_pipeline(Path("dags"))
    if name in files:
        return files[name]
    close = nearest_word(name, list(files))
    hint = f"; did you mean {close}?" if close else f"; there are: {', '.join(files)}" if files else ""
    raise UsageError(f"there is no pipeline {name} below {Path('dags').resolve()}{hint}")


def by_option(command: click.decorators.FC) -> click.decorators.FC:
    """The option ``--by``: in whose name the command writes into the ledger."""
    return click.option(
        "--by",
        default=current_user,
        show_default="the user of this machine",
        help="In whose name this is written into the ledger.",
    )(command)


def current_user() -> str:
    """The operating system's name for who runs the command."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _files_by_pipeline(folder: Path) -> dict[str, Path]:
    """Files of pipelines by name; where two have one name, the first."""
    from tradewind.spec.document import Unreadable, read_yaml

    found: dict[str, Path] = {}
    if not folder.is_dir():
        return found
    for path in find_pipeline_files([folder]):
        try:
            named = str(read_yaml(path).data.get("pipeline", path.stem))
        except Unreadable:
            named = path.stem  # loading it says what is wrong with it
        found.setdefault(named, path)
    return found


def _exported_at_start(home: Home) -> list[str]:
    """The variables with connections that the newest local Airflow of a home was started with."""
    from tradewind.local_airflow.supervisor import read_state

    return list(read_state(home).get("exported") or [])


def _exported_runtime(actor: str) -> Runtime:
    """What the exported connections name; of this project what they leave out is the home's."""
    from tradewind.local_airflow.home import Home
    from tradewind.local_airflow.settings import home_connections, names_this_project

    home = Home.at(Path.cwd())
    if home.root.is_dir() and names_this_project(home):
        os.environ.update(home_connections(home))
    return _airflow_runtime(actor)


def _airflow_runtime(actor: str, *, home: Path | None = None) -> Runtime:
    from tradewind.hooks.process_logging import keep_process_logging

    with keep_process_logging():
        from airflow.sdk.exceptions import AirflowNotFoundException

        from tradewind.hooks.tradewind import TradewindHook

    try:
        return TradewindHook().runtime(run_id="local", actor=actor)
    except AirflowNotFoundException as exc:
        if home is None:
            raise UsageError(f"Airflow lacks a connection: {exc}") from exc
        raise UsageError(_NO_DEPLOYMENT.format(home=home)) from exc


def find_pipeline_files(paths: Iterable[Path]) -> list[Path]:
    """The pipeline files at ``paths``; a folder stands for those in it and below.

    :raises click.UsageError: a path does not exist, or a folder holds no pipeline
    """
    files: list[Path] = []
    for given in paths:
        named = Path("dags") / f"{given}.yaml"
        path = named if not given.exists() and named.exists() else given
        if not path.exists():
            raise click.UsageError(f"there is no {path} here; name the pipeline, the YAML file or its folder")
        inside = _in_folder(path) if path.is_dir() else [path]
        if not inside:
            raise click.UsageError(f"{path} holds no pipeline (*.yaml)")
        files += inside
    return list(dict.fromkeys(files))


def _in_folder(folder: Path) -> list[Path]:
    # `_defaults.yaml` and overlays like `flight_delay.prod.yaml` are no pipelines by themselves.
    found = (path for ending in ("yaml", "yml") for path in folder.rglob(f"*.{ending}"))
    return sorted(path for path in found if not path.name.startswith(("_", ".")) and "." not in path.stem)
