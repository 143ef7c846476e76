"""``tradewind up``, ``down``, ``status``: the local Airflow of a project."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from tradewind.cli import deployments
from tradewind.local_airflow import processes, running_airflow, supervisor
from tradewind.local_airflow.home import Home
from tradewind.local_airflow.ports import PORTS
from tradewind.local_airflow.settings import (
    MLFLOW_DEFAULT,
    TRADEWIND_DEFAULT,
    airflow_environment,
    exported_extra,
    exported_names,
    home_connections,
)


@click.command("up", short_help="Start the local Airflow of this project.")
@click.option("--mlflow/--no-mlflow", default=True, help="Also show MLflow's pages.")
def start_local_airflow(mlflow: bool) -> None:
    """Start Airflow (and MLflow's pages) for the pipelines in dags/, in the background."""
    home = Home.of(Path.cwd())
    if (found := _status(home))["healthy"]:
        click.echo("\n".join(["it is up already", *_lines(found)]))
        return
    # Refused here, and not in a log, if what is exported cannot be taken.
    home_connections(home)
    with running_airflow.RunningAirflow(home, mlflow=mlflow, attached=False) as started:
        state = started.wait_until_ready()
    for name, port in state["moved"].items():
        click.echo(f"the usual port of {name} is busy: it listens at {port}")
    user, password = running_airflow.read_login(home)
    click.echo(f"Airflow {state['airflow']} (user {user}, password {password})")
    if state["mlflow"]:
        click.echo(f"MLflow  {state['mlflow']}")
    for line in _exported(state):
        click.echo(line)
    click.echo(f"logs    {home.logs}\nIt goes on until: tradewind down")


@click.command("down", short_help="Stop the local Airflow of this project.")
def stop_local_airflow() -> None:
    """Stop every process of the local Airflow."""
    home = Home.of(Path.cwd())
    click.echo("stopped" if running_airflow.stop_airflow(home) else f"nothing was running in {home.root}")


@click.command("status", short_help="Show what of the local Airflow is running.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def show_airflow_status(context: click.Context, as_json: bool) -> None:
    """Show processes, addresses, login and open incidents; exit code 1 unless all of Airflow is up."""
    home = Home.of(Path.cwd())
    found = _status(home)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo("\n".join(_lines(found)))
    context.exit(0 if found["healthy"] else 1)


@click.command(
    "airflow",
    short_help="Airflow's own command line, for the local Airflow.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run_airflow_command(arguments: tuple[str, ...]) -> None:
    """Run ``airflow ARGUMENTS`` with the settings of the local Airflow, for example a backfill."""
    home = Home.of(Path.cwd())
    home.lay_out()
    state = supervisor.read_state(home)
    ports = {name: urlsplit(state.get(name) or "").port or port for name, port in PORTS.items()}
    settings = airflow_environment(home, port=ports["airflow"], mlflow_port=ports["mlflow"], exported=True)
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *arguments], settings)


def _exported(state: Mapping[str, Any]) -> list[str]:
    """Which exported connections hold, and which places are the home's no more."""
    names = state.get("exported") or []
    if not names:
        return []
    places = [name for name in exported_extra() if name != "project"] if TRADEWIND_DEFAULT in names else []
    text = [f"its extra says {', '.join(places)}"] if places else []
    text += ["the tracking server is not the home's"] if MLFLOW_DEFAULT in names else []
    return [
        f"as {' and '.join(names)} {'say' if len(names) > 1 else 'says'}: {'; '.join(text)}; all else is the home's"
    ]


def _status(home: Home) -> dict[str, Any]:
    state = supervisor.read_state(home)
    alive = running_airflow.is_airflow_running(home)
    living = (
        {process.pid for process in processes.find_session_processes(state.get("session", -1), home=home.root)}
        if alive
        else set()
    )
    names = {name: pid in living for name, pid in state.get("processes", {}).items()} if alive else {}
    return {
        "home": str(home.root),
        "running": alive,
        "healthy": alive and state.get("phase") == "ready" and all(names.values()),
        "phase": state.get("phase") if alive else "stopped",
        "reason": state.get("reason"),
        "airflow": state.get("airflow") if alive else None,
        "mlflow": state.get("mlflow") if alive else None,
        "login": dict(zip(("user", "password"), running_airflow.read_login(home), strict=True)) if alive else None,
        "processes": names,
        "incidents": _incidents(home, exported=state.get("exported") or []),
    }


def _incidents(home: Home, *, exported: Sequence[str]) -> list[dict[str, Any]]:
    """What the ledger has open; nothing where only another shell knows which ledger that is."""
    if not set(exported) <= set(exported_names()) or not (exported or (home.root / "ledger.db").exists()):
        return []
    from tradewind.alerting.channels import describe_next_step
    from tradewind.alerting.incidents import open_incidents
    from tradewind.ledger.journal import Ledger

    ledger = Ledger((deployments.find_runtime() if exported else home.runtime()).ledger)
    return [
        {
            "fingerprint": one.fingerprint,
            "partitions": list(one.partitions),
            "message": one.message,
            "by_partition": {
                key: {"message": each.message, "link": each.link} for key, each in one.by_partition.items()
            },
            "do": describe_next_step(one),
            "link": one.link,
        }
        for pipeline in ledger.pipelines()
        for one in open_incidents(ledger, pipeline)
    ]


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [f"{found['home']}: {found['phase']}"]
    if found["reason"]:
        lines.append(found["reason"])
    lines += [f"  {name}: {'runs' if alive else 'does not run'}" for name, alive in found["processes"].items()]
    if found["running"]:
        login = found["login"]
        lines.append(f"Airflow {found['airflow']} (user {login['user']}, password {login['password']})")
        lines += [f"MLflow  {found['mlflow']}"] if found["mlflow"] else []
    count = len(found["incidents"])
    lines.append(f"{count or 'no'} open incident{'' if count == 1 else 's'}")
    for one in found["incidents"]:
        keys = f" ({', '.join(one['partitions'])})" if one["partitions"] else ""
        lines.append(f"  {one['fingerprint']}{keys}:")
        lines += [f"    {line}" for line in one["message"].splitlines()]
        lines.append(f"    to do: {one['do']}")
    return lines
