"""``{name}`` in a text of the YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tradewind.spec.problems import Finding, Path, join_words, nearest_word


def placeholder_findings(text: str, path: Path, known: tuple[str, ...]) -> Iterator[Finding]:
    """What is wrong with the placeholders of a text.

    :param known: names that may stand in braces
    """
    for name in re.findall(r"\{(\w*)\}", text):
        if name not in known:
            near = nearest_word(name, known)
            yield Finding(
                path,
                f"unknown placeholder {{{name}}}",
                expected=join_words(f"{{{one}}}" for one in known),
                suggestion=f"{{{near}}}" if near else None,
            )
    rest = re.sub(r"\{(\w*)\}", "", text)
    if "{" in rest or "}" in rest:
        yield Finding(path, "a `{` or `}` stands alone")
