from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from tradewind import __version__
from tradewind.cli import main
from tradewind.errors import SpecError, TradewindError, UsageError
from tradewind.spec.schema import json_schema

LIST_WHAT_HELP_LOADS = """
import sys
from click.testing import CliRunner
from tradewind.cli.main import command_line
assert CliRunner().invoke(command_line, ["--help"]).exit_code == 0
print(*sorted({name.split(".")[0] for name in sys.modules}))
print(*sorted(name for name in sys.modules if name.startswith("tradewind.")))
"""


def test_the_help_lists_every_command_in_one_line() -> None:
    output = CliRunner().invoke(main.command_line, ["--help"]).output
    for name, lazy in main.COMMANDS.items():
        assert f"  {name}  ".split() == [name]
        assert lazy.help[:40] in output


def test_the_help_imports_no_command() -> None:
    done = subprocess.run([sys.executable, "-c", LIST_WHAT_HELP_LOADS], capture_output=True, text=True, check=True)
    packages, ours = done.stdout.splitlines()
    assert not {"airflow", "pydantic", "rich", "pandas", "sqlalchemy"} & set(packages.split())
    assert ours.split() == ["tradewind.cli", "tradewind.cli.main", "tradewind.errors"]


@pytest.mark.parametrize("name", ["validate", "schema"])
def test_a_command_of_the_table_is_a_command(name: str) -> None:
    command = main.command_line.get_command(click.Context(main.command_line), name)
    assert isinstance(command, click.Command)
    assert command.name == name


def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(main.command_line, ["validat"])
    assert result.exit_code == 2


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(main.command_line, ["--version"]).output == f"tradewind, version {__version__}\n"


def test_schema_prints_the_json_schema() -> None:
    assert json.loads(CliRunner().invoke(main.command_line, ["schema"]).output) == json_schema()


@pytest.mark.parametrize(
    ("error", "code"), [(TradewindError("x is not there"), 1), (SpecError("wrong"), 1), (UsageError("no"), 2)]
)
def test_an_error_is_a_sentence_and_an_exit_code(
    error: TradewindError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "command_line", fail)
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == code
    assert capsys.readouterr().err == f"Error: {error}\n"
