from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.spec.document import Unreadable, parse_yaml, read_yaml
from tradewind.spec.problems import Finding

UNREADABLE = {
    "a tab": ("a: 1\nb:\n\tc: 2\n", 3, 1, "a tab cannot indent YAML; use spaces"),
    "a colon in a value": ("a: b: c\n", 1, 5, "put a value with a colon in quotes"),
    "a wrong indentation": ("a: 1\n  b: 2\n", 2, 4, "indent the line like its neighbours"),
    "a bracket left open": ("a: [1, 2\nb: 3\n", 2, 2, "is the `[` closed?"),
    "a quote left open": ("a: 'x\nb: 1\n", 2, 1, "are not closed"),
    "an at sign": ("a: @daily\n", 1, 4, "put the value in quotes"),
    "a star": ("a: * * * * *\n", 1, 5, "in quotes"),
    "an unknown anchor": ("a: *x\n", 1, 4, "does not exist"),
    "a tag": ("a: !env X\n", 1, 4, "tags like `!name`"),
    "a loop": ("a: &x [*x]\n", 1, 4, "an alias inside its own anchor"),
    "a control character": ("a: 1\nb: \x07\n", 2, 1, "control character"),
    "a second document": ("a: 1\n---\nb: 2\n", 2, 1, "one pipeline"),
    "a thousand brackets": ("a: " + "[" * 2000 + "]" * 2000, 1, 103, "nested far too deeply"),
    "brackets that would end the process": ("a: " + "[" * 100_000, 1, 103, "nested far too deeply"),
    "braces that would end the process": ("{a: " * 100_000, 1, 401, "nested far too deeply"),
    "dashes that would end the process": ("a:\n" + "- " * 100_000, 2, 199, "nested far too deeply"),
    "questions that would end the process": ("? " * 100_000, 1, 201, "nested far too deeply"),
    "merges that double": (
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 26)),
        16,
        16,
        "more than 100,000 values",
    ),
    "aliases that double": (
        "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
        17,
        6,
        "do not nest `*` and `<<`",
    ),
    "nothing": ("", 1, 1, "the file is empty"),
    "only comments": ("# a\n# b\n", 1, 1, "the file is empty"),
    "a list": ("- a\n", 1, 1, "this is not a mapping"),
}


@pytest.mark.parametrize(("text", "line", "column", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_yaml_is_a_problem_with_a_position(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(Unreadable) as caught:
        parse_yaml(text, file="a.yaml")

    problem = caught.value.problem
    assert (problem.line, problem.column) == (line, column)
    assert words in problem.message
    assert problem.text().startswith(f"a.yaml:{line}:{column}: ")


def test_the_caret_stands_under_what_is_wrong_also_after_a_tab() -> None:
    with pytest.raises(Unreadable) as caught:
        parse_yaml("a: 1\n \tb: 2\n", file="a.yaml")

    *_, source, caret = caught.value.problem.text().splitlines()
    assert source == "    2 |   b: 2"
    assert caret == "      |  ^"


def test_columns_count_characters() -> None:
    document = parse_yaml("größe: {naïve: x}\n", file="a.yaml")

    problem = document.problem(Finding(("größe", "naïve"), "no"))

    assert problem.text().splitlines()[-2:] == ["    1 | größe: {naïve: x}", "      |                ^"]


def test_each_key_that_occurs_twice_is_found() -> None:
    document = parse_yaml("a: 1\nb: [{c: 1, c: 2}]\na: 3\n", file="a.yaml")

    assert [finding.path for finding in document.findings] == [("b", 0, "c"), ("a",)]


def test_an_alias_used_twice_is_no_duplicate_and_no_loop() -> None:
    document = parse_yaml("a: &x {b: 1}\nc: *x\nd: {<<: *x, b: 2}\n", file="a.yaml")

    assert document.findings == ()
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 2}}


def test_many_aliases_of_aliases_are_looked_at_once() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 5))]

    assert parse_yaml("\n".join(lines), file="a.yaml").findings == ()


def test_many_brackets_beside_each_other_or_in_quotes_are_fine() -> None:
    text = "a: [" + "[], " * 5000 + "]\nb: '" + "[" * 5000 + "'\n"

    assert len(parse_yaml(text, file="a.yaml").data["a"]) == 5000


def test_what_does_not_exist_is_shown_at_what_would_hold_it() -> None:
    document = parse_yaml("a:\n  b: {c: 1}\n", file="a.yaml")

    assert document.problem(Finding(("a", "b", "d"), "is missing")).column == 3
    assert document.problem(Finding(("x",), "is missing")).line == 1


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffa: 1\r\nb: 2\r\n".encode())

    assert read_yaml(path).data == {"a": 1, "b": 2}


def test_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("a: 1\nb: größe\n".encode("latin-1"))

    with pytest.raises(Unreadable, match=r"a\.yaml:2:6: is not UTF-8; save the file as UTF-8"):
        read_yaml(path)
