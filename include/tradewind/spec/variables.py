"""``${VAR}`` and ``{{ var.value.x }}`` in the YAML: the few fields that take them, and what they become.

Environment variables are filled in when the YAML is read. Airflow's Variables lie in its database, which must not be
asked whenever a DAG file is parsed: they stay as they are written until a task looks a connection up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tradewind.spec.document import Document
from tradewind.spec.problems import Finding, Path, join_words
from tradewind.spec.source_kinds import SOURCE_KINDS

FIELDS = ("owner", "runbook", "promotion.approvers", "alerts.channels")
"""Where ``${VAR}`` may stand, beside :data:`SOURCE_FIELDS`."""
SOURCE_FIELDS = (*(field for kind in SOURCE_KINDS for field in kind.variable_fields), "connection")
"""Where ``${VAR}`` may stand in a source."""
_WHERE = "`${VAR}` may stand in `owner`, `runbook`, `promotion.approvers`, `alerts.channels` and, of a source, in "
_WHERE += join_words((f"`{field}`" for field in SOURCE_FIELDS), "and")
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^{}]*))?\}")
_AIRFLOW = re.compile(r"\{\{\s*var\.value\.(\w+)\s*\}\}")


def fill_variables(document: Document, environ: Mapping[str, str]) -> tuple[Document, list[Finding]]:
    """Put the values of environment variables in place of ``${VAR}`` and ``${VAR:-default}``.

    :param environ: the environment variables
    :return: the document, and what is wrong with its variables: not set, or in a field that takes none
    """
    if not any("${" in line or "{{" in line for lines in document.lines.values() for line in lines):
        return document, []
    findings: list[Finding] = []
    data = _filled(document.data, (), environ, findings, {})
    return replace(document, data=data), findings


def with_airflow_variables(text: str, lookup: Callable[[str], str]) -> str:
    """Put the values of Airflow's Variables in place of ``{{ var.value.x }}``.

    :param text: a field that takes them
    :param lookup: gives the value of a Variable by its name
    """
    return _AIRFLOW.sub(lambda match: lookup(match[1]), text)


def variable_names(text: str) -> list[str]:
    """The environment variables that a text names."""
    return [match[1] for match in _VARIABLE.finditer(text)]


def _filled(value: Any, place: Path, environ: Mapping[str, str], findings: list[Finding], done: dict[int, Any]) -> Any:
    """A copy of the data; what an alias leads to again is copied once."""
    if isinstance(value, str):
        return _text(value, place, environ, findings) if "${" in value or "{{" in value else value
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, dict):
        made: Any = {k: _filled(item, (*place, str(k)), environ, findings, done) for k, item in value.items()}
    elif isinstance(value, list):
        made = [_filled(item, (*place, n), environ, findings, done) for n, item in enumerate(value)]
    else:
        return value
    done[id(value)] = made
    return made


def _text(text: str, place: Path, environ: Mapping[str, str], findings: list[Finding]) -> str:
    field, in_source = _field(place)
    if "{{" in text and not (in_source and field == "connection" and _AIRFLOW.fullmatch(text)):
        message = "`{{ … }}` cannot stand here"
        findings.append(Finding(place, message, expected="`{{ var.value.NAME }}` alone, in a source's `connection`"))
        return text
    if "${" not in text:
        return text
    if field not in (SOURCE_FIELDS if in_source else FIELDS):
        findings.append(Finding(place, "no environment variable can stand here", expected=_WHERE))
        return text
    if "${" in _VARIABLE.sub("", text):
        findings.append(Finding(place, "a `${` that names no variable", expected="`${NAME}` or `${NAME:-default}`"))
        return text
    for match in _VARIABLE.finditer(text):
        if match[2] is None and not environ.get(match[1]):
            state = "empty" if match[1] in environ else "not set"
            message = f"the environment variable {match[1]} is {state}"
            expected = f"it to be set wherever Airflow parses DAGs or runs tasks, or `${{{match[1]}:-default}}`"
            findings.append(Finding(place, message, expected=expected))
    return _VARIABLE.sub(lambda match: environ.get(match[1]) or match[2] or "", text)


def _field(place: Path) -> tuple[str, bool]:
    """The field that a text is in, and whether it is one of a source."""
    parts = [str(part) for part in place if not isinstance(part, int)]
    inner = parts[2:] if parts[:1] == ["datasets"] or parts[:2] == ["score", "population"] else []
    if parts[0] == "datasets" and inner[:1] == ["source"]:
        inner = inner[1:]
    elif inner[:1] == ["references"]:
        inner = inner[2:]
    elif parts[0] == "datasets":
        inner = []
    if not inner:
        return ".".join(parts), False
    return ("parameters" if inner[0] == "parameters" and len(inner) == 2 else ".".join(inner)), True
