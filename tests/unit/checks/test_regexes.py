from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.checks.regexes import InvalidRegex, check_regexes, re2_pattern, translate_regex

LAST = 0x30000  # there is nothing behind
PATTERNS = [
    "^[0-9A-Z]{2}$", "a", "", "^$", "a|b|", r"^\d+$", r"\w\s\w", "[^a-c]", ".", "a.b", r"\.", "(ab)+?c", "(?:a|é){2,}$",
    r"\Aab\Z", "[]^-]", r"[\d\-x]", r"\x41", "ab?c*", r"^N[0-9]{1,5}[A-Z]{0,2}$",
]  # fmt: skip
NOT_THE_SAME = [r"(a)\1", "(?=a)b", r"\bword", "(?i)a", "(?m)^a", "a$b", "(?<!a)b", "a{2000}", "(", r"[\D]", "(?i:a)"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PATTERNS), st.text("abcé١AN01 \n\\.-^]x\u2003", max_size=6))
def test_the_translation_finds_what_python_finds(pattern: str, text: str) -> None:
    translated = translate_regex(pattern)
    assert translated is not None
    [(found,)] = duckdb.execute("SELECT regexp_matches(?, ?)", [text, translated]).fetchall()
    assert found == bool(re.search(pattern, text)), (pattern, translated)


@pytest.mark.parametrize("pattern", NOT_THE_SAME)
def test_what_is_not_known_to_be_the_same_is_not_translated(pattern: str) -> None:
    assert translate_regex(pattern) is None


@pytest.mark.parametrize("pattern", [r"\bword", "(?i)a", "(?m)^a", "a$b", r"[\D]", "(?i:a)", "(a+)+$"])
def test_it_means_what_it_means_to_re2_then(pattern: str) -> None:
    assert re2_pattern(pattern)
    check_regexes({"regex": pattern, "regex_list": [pattern]})


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)b", "(?<!a)b", "a{2000}", "(", "((a{500}){500}){500}"])
@pytest.mark.parametrize("argument", ["regex", "regex_list"])
def test_what_re2_does_not_know_is_refused(argument: str, pattern: str) -> None:
    with pytest.raises(InvalidRegex, match="is not a regular expression of RE2") as caught:
        check_regexes({argument: pattern if argument == "regex" else ["a", pattern]})
    assert caught.value.errors()[0]["loc"] == (argument,)


@pytest.mark.parametrize("schema", [{"pattern": "(a+)+$"}, {"items": [{"$ref": "http://elsewhere/x"}]}])
def test_a_schema_that_python_would_evaluate_is_refused(schema: dict[str, object]) -> None:
    with pytest.raises(InvalidRegex, match="would be evaluated by Python"):
        check_regexes({"column": "s", "json_schema": schema})


@pytest.mark.parametrize("kind", [r"\d", r"\s", r"\w"])
def test_a_class_has_exactly_pythons_characters(kind: str) -> None:
    query = f"SELECT list(code) FROM range(1, {LAST}) t(code) WHERE code NOT BETWEEN 55296 AND 57343 AND "
    [(found,)] = duckdb.execute(query + "regexp_matches(chr(code::INT), ?)", [translate_regex(kind)]).fetchall()
    known = [code for code in range(1, LAST) if not 0xD800 <= code <= 0xDFFF and re.match(kind, chr(code))]
    assert found == known
