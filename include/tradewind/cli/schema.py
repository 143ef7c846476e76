"""``tradewind schema``: the JSON Schema of the pipeline YAML."""

from __future__ import annotations

import json

import click

from tradewind.spec.schema import json_schema, overlay_schema


@click.command("schema")
@click.option("--overlay", is_flag=True, help="The schema of `_defaults.yaml` and of overlays like NAME.prod.yaml.")
def print_schema(*, overlay: bool) -> None:
    """Print the JSON Schema of the pipeline YAML, for editors."""
    click.echo(json.dumps(overlay_schema() if overlay else json_schema(), indent=2, ensure_ascii=False))
