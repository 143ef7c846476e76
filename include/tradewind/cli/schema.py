"""``tradewind schema``: the JSON Schema of the pipeline YAML."""

from __future__ import annotations

import json

import click

from tradewind.spec.schema import json_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema of the pipeline YAML, for editors."""
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
