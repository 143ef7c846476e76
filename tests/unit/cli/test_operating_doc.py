"""Every command that the documentation shows is one, with the options that it has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tradewind.cli.main import command_line


def commands(project: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (project / "docs" / "operating.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_every_command_in_the_documentation_can_be_read(project: Path) -> None:
    shown = commands(project)
    assert len(shown) > 10
    for line in shown:
        program, name, *arguments = shlex.split(line)
        assert program == "tradewind"
        command = command_line.get_command(click.Context(command_line), name)
        assert command is not None, line
        command.make_context(name, list(arguments))


@pytest.mark.parametrize(
    "name",
    [
        "plan",
        "rehearse",
        "backfill",
        "hold",
        "resume",
        "skip",
        "release",
        "show",
        "history",
        "decommission",
        "rollback",
        "unpin",
        "close",
    ],
)
def test_every_command_of_a_person_is_documented(project: Path, name: str) -> None:
    assert any(line.startswith(f"tradewind {name} ") for line in commands(project))
