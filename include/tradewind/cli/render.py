"""``tradewind render``: what holds for a pipeline in the end, and where each value comes from."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from tradewind.cli.deployments import find_pipeline_file
from tradewind.errors import UsageError
from tradewind.spec.effective import as_json, as_yaml
from tradewind.spec.layers import ENVIRONMENT
from tradewind.spec.load import examine_pipeline


@click.command("render", short_help="Print what holds for a pipeline, each value with where it comes from.")
@click.argument("name")
@click.option(
    "--env", envvar=ENVIRONMENT, default="", help=f"Whose overlays are laid upon it; {ENVIRONMENT} if left out."
)
@click.option("--json", "as_json_", is_flag=True, help="Print one JSON object: {place: {value, from}}.")
def show_configuration(name: str, *, env: str, as_json_: bool) -> None:
    """Print the configuration of a pipeline after defaults, overlay and environment variables.

    NAME is the pipeline's name, or the path of its YAML. Behind each value stands the file and line that it comes
    from, or `default`.
    """
    is_path = os.sep in name or name.endswith((".yaml", ".yml"))
    path = Path(name) if is_path else find_pipeline_file(name)
    if not path.exists():
        raise UsageError(f"there is no {path} here; name the pipeline or its YAML")
    found = examine_pipeline(path, environment=env)
    spec = found.checked()
    assert found.document is not None
    if as_json_:
        click.echo(json.dumps(as_json(spec, found.document), indent=2, ensure_ascii=False))
        return
    chosen = f"{ENVIRONMENT}={env}" if env else f"without {ENVIRONMENT}"
    click.echo(f"# {chosen}: {' < '.join(map(str, found.files))}\n{as_yaml(spec, found.document)}", nl=False)
