"""`${VAR}` and `{{ var.value.x }}`: where they may stand, and what is said where they may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.spec.load import list_problems, load_pipeline
from tradewind.spec.variables import with_airflow_variables

Write = Callable[[str], Path]
SOURCE = '{files: "{landing}/{day}.csv", nulls: ["NA"]}'


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "/mnt/prod")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)


def test_a_variable_is_filled_in_wherever_it_may_stand(flights: str, write: Write) -> None:
    text = flights.replace("owner: data@example.com", 'owner: "${BUCKET}"\nrunbook: "${BUCKET}/${BUCKET}"')
    text = text.replace(SOURCE, '{files: "{landing}${BUCKET}/{day}.csv", connection: "${UNSET:-aws_lake}"}')
    text = text.replace("{mode: automatic}", '{mode: approval, approvers: ["${EMPTY:-ana}"]}')
    text = text.replace('files: "{landing}/s/', 'references: {r: {files: "${BUCKET}/r"}}, files: "${BUCKET}/s/')
    text = text.replace(
        "    inputs: {flights:",
        '    references: {h: {http: "${UNSET:-v1}/x", connection: c, parameters: {p: "a-${BUCKET}"}}}\n'
        "    inputs: {flights:",
    )

    spec = load_pipeline(write(text))

    source = spec.datasets["flights"].source
    http = spec.datasets["carriers"].references["h"]
    assert spec.score is not None
    assert (spec.owner, spec.runbook, spec.promotion.approvers) == ("/mnt/prod", "/mnt/prod//mnt/prod", ("ana",))
    assert (source.files, source.connection) == ("{landing}/mnt/prod/{day}.csv", "aws_lake")  # type: ignore[union-attr]
    assert (http.http, http.parameters) == ("v1/x", {"p": "a-/mnt/prod"})  # type: ignore[union-attr]
    assert spec.score.population.files == "/mnt/prod/s/{day}.csv"
    assert spec.score.population.references["r"].files == "/mnt/prod/r"  # type: ignore[union-attr]


WRONG = {
    "not set": ("data@example.com", '"a ${UNSET}"', "owner", "the environment variable UNSET is not set"),
    "empty": ("data@example.com", '"${EMPTY}"', "owner", "the environment variable EMPTY is empty"),
    "not closed": ("data@example.com", '"${BUCKET"', "owner", "a `${` that names no variable"),
    "no name": ("data@example.com", '"${a b}"', "owner", "a `${` that names no variable"),
    "in a description": ("Late or not?", "Late in ${BUCKET}?", "description", "no environment variable can stand here"),
    "in a path of the project": ("include/flights.sql", '"${BUCKET}"', "datasets.flights.sql", "no environment var"),
    "in a list": ("[flight_id]", '["${BUCKET}"]', "datasets.flights.keys[0]", "no environment variable"),
    "in a parameter of the model": ("  test: 2", '  test: 2\n  params: {a: "${BUCKET}"}', "train.params.a", "no env"),
    "a template in a path": ("{landing}/{day}", "{{ var.value.x }}/{day}", "datasets.flights.source.files", "{{ … }}"),
    "a template of another kind": (
        SOURCE,
        "{files: 's3://b/a', connection: '{{ ds }}'}",
        "datasets.flights.source.connection",
        "",
    ),
}


@pytest.mark.parametrize(("old", "new", "field", "words"), WRONG.values(), ids=WRONG)
def test_everywhere_else_it_is_an_error_with_its_place(
    old: str, new: str, field: str, words: str, flights: str, write: Write
) -> None:
    assert old in flights
    path = write(flights.replace(old, new, 1))

    (problem,) = list_problems(path)

    assert problem.field == field
    assert words in problem.message
    assert problem.source_line in path.read_text().splitlines()


def test_what_is_wrong_with_a_filled_in_value_is_shown_where_the_variable_stands(flights: str, write: Write) -> None:
    (problem,) = list_problems(write(flights.replace("{landing}/{day}", "${BUCKET}/{dya}")))

    assert (problem.line, problem.suggestion) == (11, "{day}")


def test_an_airflow_variable_stays_as_it_is_until_a_task_runs(flights: str, write: Write) -> None:
    path = write(flights.replace(SOURCE, "{files: 's3://a/{day}', connection: '{{ var.value.lake_conn }}'}"))

    connection = load_pipeline(path).datasets["flights"].source.connection  # type: ignore[union-attr]

    assert connection == "{{ var.value.lake_conn }}"
    assert with_airflow_variables(connection, {"lake_conn": "aws"}.__getitem__) == "aws"


def test_many_aliases_of_aliases_are_filled_in_once(flights: str, write: Write) -> None:
    lines = ['  a0: &a0 ["${BUCKET}", x]', *(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 5))]
    text = flights.replace("  test: 2\n", "  test: 2\n  params:\n" + "".join(f"  {line}\n" for line in lines))

    assert [problem.field for problem in list_problems(write(text))] == ["train.params.a0[0]"]
