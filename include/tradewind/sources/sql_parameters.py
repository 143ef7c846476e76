"""`$name` in a database's SQL, handed to its driver as a bound parameter: never pasted into the text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tradewind.errors import TransformError

# What is not code, so that a `$` in it names nothing; then what may name something. Block comments nest in PostgreSQL:
# the inner ones are counted in `_comment_end`.
_PIECES = re.compile(
    r"""(?P<comment>/\*)
      | --[^\n]*
      | (?:\b[eE](?P<escaped>'(?:[^'\\]|\\.|'')*'))
      | '(?:[^']|'')*'
      | "(?:[^"]|"")*"
      | `[^`]*`
      | (?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag)
      | (?<![\w$])\$(?P<name>[A-Za-z_]\w*)""",
    re.VERBOSE | re.DOTALL,
)
_MARKS = {"qmark": "?", "format": "%s", "pyformat": "%({name})s", "numeric": ":{number}", "named": ":{name}"}


def bind_parameters(
    sql: str, values: Mapping[str, object], *, paramstyle: str, what: str
) -> tuple[str, dict[str, Any] | list[Any] | None]:
    """Spell the parameters of a query as its driver wants them.

    Only what the query names is handed over, and ``$name`` in text, names and comments stays as it is.

    :param values: what ``$name`` may stand for
    :param paramstyle: of PEP 249
    :param what: the ``.sql`` file, for messages
    :returns: the query and what the driver's ``execute`` takes beside it; None for nothing
    :raises TransformError: it names a parameter that there is none of; the message has the line
    """
    mark, out, used, at = _MARKS[paramstyle], [], list[str](), 0
    while piece := _PIECES.search(sql, at):
        out.append(sql[at : piece.start()])
        name, end = piece["name"], piece.end()
        if name is None:
            end = _comment_end(sql, piece.start()) if piece["comment"] else end
            out.append(sql[piece.start() : end])
        else:
            if name not in values:
                line = sql.count("\n", 0, piece.start()) + 1
                known = ", ".join(f"${known}" for known in values)
                raise TransformError(f"{what}, line {line}: there is no parameter ${name}; there are: {known}")
            used.append(name)
            out.append("\0" + mark.format(name=name, number=len(used)))
        at = end
    text = "".join([*out, sql[at:]])
    if not used:
        return text, None
    if paramstyle in ("format", "pyformat"):
        # With parameters the driver reads every other % as a mark too, also in text and comments.
        text = re.sub(r"(?<!\0)%", "%%", text)
    text = text.replace("\0", "")
    if paramstyle in ("pyformat", "named"):
        return text, {name: values[name] for name in used}
    return text, [values[name] for name in used]


def _comment_end(sql: str, start: int) -> int:
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(sql, start):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(sql)
