"""Places in the user's Python files."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tradewind.spec.problems import Problem
from tradewind.validation.user_code import Answer
from tradewind.validation.validated_pipeline import NamedFile


def problem_in(
    file: NamedFile, call: str, word: str, message: str, *, expected: str | None = None, suggestion: str | None = None
) -> Problem:
    """Something wrong with the text ``word`` inside the call that names ``call``, like ``FeatureView(name="…")``.

    :param call: first argument or `name` of the call; the place is the whole call if ``word`` is not in it
    """
    place = _find_word(file.text, call, word)
    offset = file.offset(*place[:2]) if place else 0
    width = place[2] if place else 1
    return file.problem(offset, message, width=width, expected=expected, suggestion=suggestion)


def problem_at_function(file: NamedFile, name: str, message: str) -> Problem:
    """Something wrong with what a function returns."""
    for node in _walk_nodes(file.text):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            offset = file.text.find(name, file.offset(node.lineno))
            return file.problem(offset, message, width=len(name))
    return file.problem(0, message)


def list_defined_names(file: NamedFile) -> list[str]:
    """Names of what is defined at the top of the file."""
    defined = (ast.FunctionDef, ast.ClassDef)
    body = next((node.body for node in _walk_nodes(file.text) if isinstance(node, ast.Module)), [])
    return [node.name for node in body if isinstance(node, defined)]


def problem_at_failure(file: NamedFile, error: Answer, shown: str | None) -> Problem:
    """The code does not run: the last line of the project that it went through.

    :param shown: what problems call the file of that line; None if it is not known
    """
    line = int(error.get("line") or 0)
    where = str(error.get("file") or "")
    message = str(error["message"]).strip()
    if line and where == str(file.path):
        source = (file.text.splitlines() or [""])[min(line, file.text.count("\n") + 1) - 1]
        indent = len(source) - len(source.lstrip())
        return file.problem(file.offset(line, indent + 1), message, width=max(1, len(source.strip())))
    return file.problem(0, f"{message} ({shown}:{line})" if shown and line else message)


def _walk_nodes(text: str) -> Iterator[ast.AST]:
    try:
        yield from ast.walk(ast.parse(text))
    except SyntaxError:
        return


def _find_word(text: str, call: str, word: str) -> tuple[int, int, int] | None:
    """Line and column of ``word``, from 1, and its width."""
    for node in _walk_nodes(text):
        if isinstance(node, ast.Call) and call in _name_values(node):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Constant) and inner.value == word and word:
                    return inner.lineno, inner.col_offset + 1, (inner.end_col_offset or 0) - inner.col_offset
            return node.lineno, node.col_offset + 1, len(ast.unparse(node.func))
    return None


def _name_values(call: ast.Call) -> list[object]:
    values = [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
    return [value.value for value in values if isinstance(value, ast.Constant)]
