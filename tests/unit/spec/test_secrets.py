"""Secrets in the YAML are refused and never repeated; what only resembles one is let through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.spec.load import list_problems

Write = Callable[[str], Path]
PARAMS = "  test: 2\n"

# Put together here, so that no scanner of repositories takes this file for a leak.
AWS = "AKIA" + "IOSFODNN7" + "EXAMPLE"
SECRETS = {
    "a password": "password: hunter2",
    "a token": "token: abcdef",
    "an API key in camel case": "apiKey: abcdef",
    "an access key with dashes": "aws-secret-access-key: abcdef",
    "a client's secret": "client_secret: x y z",
    "a password from the environment": 'db_password: "${HOME}"',
    "a URL with a password": "url: postgresql://ana:hunter2@db/prod",
    "a URL with a password and no user": "url: redis://:hunter2@cache:6379/0",
    "an AWS key": f"x: see {AWS}",
    "a private key": 'x: "-----BEGIN RSA ' + 'PRIVATE KEY-----\\nMIIE"',
    "a web token": "x: eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "abc",
    "a token of GitHub": "x: ghp_" + "a1B2" * 9,
    "a webhook of Slack": "x: https://hooks.slack.com/" + "services/T0/B0/x",
    "a key in a query": "x: https://api.example.com/v1?api_key=" + "0123456789abcdef",
    "a DSN": "x: host=db password=hunter2",
    "a number": "access_token: 123456789",
    "one of a list": "passwd: [hunter2]",
    "a parameter of a web service": "parameters: {key: 0123456789abcdef}",
    "a bearer": "x: Bearer " + "abcdefghijklmnopqrstuvwxyz",
}
HARMLESS = {
    "numbers of tokens": "max_tokens: 512",
    "special tokens of a language model": "pad_token: <pad>",
    "a switch": "token: true",
    "a small number": "secret: 7",
    "a parameter that sorts": "parameters: {sort_key: at, key: '{partition}'}",
    "nothing": "password: null",
    "keys of rows": "sort_key: updated_at, primary_key: id, key: token",
    "a tokenizer": "tokenizer: bert",
    "words of it": "secretary: ana, passworded: x, monkey: x, author: bo",
    "a URL with a port": "url: https://db.example.com:8443/a@b",
    "an address": "owner: mailto:data@example.com",
    "a path with a colon": "x: s3://bucket/a:b@c",
    "a page's cursor": "x: https://api.example.com/v1?page=2&size=500",
    "a hash": "x: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "a placeholder in a query": "x: '/v1?token={token}'",
}


@pytest.mark.parametrize("given", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_refused_with_the_hint_to_use_a_connection(given: str, flights: str, write: Write) -> None:
    (problem,) = {
        one.field: one for one in list_problems(write(flights.replace(PARAMS, f"{PARAMS}  params: {{{given}}}\n")))
    }.values()

    assert problem.field.startswith("train.params.")
    assert "looks like a secret" in problem.message
    assert "an Airflow connection" in problem.text()


@pytest.mark.parametrize("given", HARMLESS.values(), ids=HARMLESS)
def test_what_only_resembles_one_is_let_through(given: str, flights: str, write: Write) -> None:
    assert list_problems(write(flights.replace(PARAMS, f"{PARAMS}  params: {{{given}}}\n"))) == []


def test_columns_may_be_called_anything(flights: str, write: Write) -> None:
    text = flights.replace('nulls: ["NA"]', "columns: {token: VARCHAR, password: VARCHAR}")
    text = text.replace("keys: [flight_id]", "keys: [token, password]")

    assert list_problems(write(text)) == []


def test_a_secret_in_an_unknown_field_is_told_as_a_secret(flights: str, write: Write) -> None:
    (problem,) = list_problems(write(flights.replace("owner:", "password: hunter2\nowner:")))

    assert (problem.line, problem.column) == (2, 11)
    assert "looks like a secret" in problem.message


@pytest.mark.parametrize("spelled", ["hunter2", '"hunter2"', '"hunter\\x32"', "{a: hunter2, colour: [hunter2]}"])
def test_a_secret_is_never_repeated(spelled: str, flights: str, write: Write) -> None:
    spelled = spelled if spelled.startswith("{") else f"{{password: {spelled}, colour: red}}"
    text = flights.replace("    keys: [flight_id]", f"    keys: {spelled.replace('{a:', '{password:')}")

    found = list_problems(write(text))

    assert any("looks like a secret" in one.message for one in found)
    told = "\n".join(one.text() for one in found)
    assert "hunter" not in told


def test_a_secret_that_an_environment_variable_brings_is_refused(
    flights: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE", "https://ana:hunter2@files.example.com")

    (problem,) = list_problems(write(flights.replace("{landing}", "${SOURCE}", 1)))

    assert problem.field == "datasets.flights.source.files"
    assert "hunter2" not in problem.text()


@pytest.mark.parametrize("name", ["_defaults.yaml", "flights.prod.yaml"])
def test_a_secret_in_a_layer_is_found_also_where_another_layer_replaces_it(
    name: str, flights: str, write: Write
) -> None:
    path = write(flights.replace("owner:", "runbook: https://example.com\nowner:"))
    path.with_name("_defaults.yaml").touch()
    path.with_name("flights.prod.yaml").touch()
    path.with_name(name).write_text("runbook: https://ana:hunter2@example.com\n")
    overlay = path.with_name("flights.prod.yaml")

    (problem,) = list_problems(overlay)

    assert (Path(problem.file).name, problem.line, problem.column) == (name, 1, 10)
    assert "hunter2" not in problem.text()
