"""Passwords, tokens and keys that stand in the YAML, where everybody reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tradewind.spec.document import Document
from tradewind.spec.problems import Finding, Path, Problem

_MESSAGE = "looks like a secret, and everybody can read this file"
_HINT = "the name of an Airflow connection that holds it, as `connection` of the source (Admin → Connections, or "
_HINT += "`airflow connections add`)"
_NAMES = re.compile(
    r"password|passwd|passphrase|pwd|(\w+_)?(client|app|shared|consumer)?_?secrets?(_\w+)?|credentials?|authorization|"
    r"((access|api|auth|bearer|id|private|refresh|secret|security|session|sas)_?)?token|"
    r"(x_)?(access|account|api|app|auth|encryption|license|private|secret|shared|storage|subscription)_?key(_id)?|"
    r"aws_\w*_key(_id)?|\w+_(password|passwd|passphrase|api_?key|access_?key|secret_?key|private_?key)"
)
# What any of them has in it, in small letters, or what may be spelled with an escape: most texts have nothing of it.
_SUSPECT = (
    *("passw", "passphrase", "pwd", "secret", "token", "credential", "authorization", "bearer", "slack", "://"),
    *("akia", "asia", "-----begin", "eyj", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat", "glpat-", "xox"),
    *("aiza", "sk_live", "dapi", "\\", "${", "key=", "auth=", "sig=", "signature=", "parameters"),
)
# A shorter number is no secret, and to hide it would hide others too.
_LONG = 1000
_SUSPECT_KEY = re.compile(r"[a-z_.-] ?key(?!s\b)")
_VALUES = re.compile(
    r"""
    [a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@                                   # a URL with user and password
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b                                           # AWS
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY                                         # PEM
    | \beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.                                        # JSON Web Token
    | \bgh[pousr]_[A-Za-z0-9]{30,} | \bgithub_pat_\w{30,} | \bglpat-[\w-]{20,} # GitHub, GitLab
    | \bxox[abeprs]-[A-Za-z0-9-]{10,} | hooks\.slack\.com/(?:services|workflows)/\w  # Slack
    | \bAIza[\w-]{35} | \bsk_live_\w{16,} | \bdapi[0-9a-f]{32}\b               # Google, Stripe, Databricks
    | [?&](?:access_?token|api_?key|apikey|auth|key|password|secret|sig|signature|token|X-Amz-Signature)=[^&\s{$]{8,}
    | \b(?:password|passwd|pwd)\s*=\s*[^\s;]+                                 # a DSN
    | \b(?:AccountKey|SharedAccessKey)=\S+                                    # Azure
    | \b[Bb]earer\ [\w.~+/-]{16,}
    """,
    re.VERBOSE,
)


def find_secrets(document: Document) -> tuple[list[Finding], set[str]]:
    """A finding for each value that looks like a secret, or whose name does; and these values, to be hidden."""
    findings, words = list[Finding](), set[str]()
    text = "\n".join(line for lines in document.lines.values() for line in lines).lower()
    if not any(part in text for part in _SUSPECT) and not _SUSPECT_KEY.search(text):
        return findings, words
    for place, value in _texts(document.data, (), set()):
        # A parameter is part of an address, where some names tell more than elsewhere.
        spelled = f"?{place[-1]}={value}" if place[-2:-1] == ("parameters",) else value
        if _VALUES.search(spelled) or _is_secret_name(place):
            findings.append(Finding(place, _MESSAGE, expected=_HINT))
            words |= {value, document.raw(place, quoted=True) or value}
    return findings, words


def mask_secrets(problems: list[Problem], words: set[str]) -> list[Problem]:
    """Leave secrets out of what is told: problems end up in logs and on screens.

    :param words: the secrets, as `find` found them
    """
    lines = {(problem.file, problem.line) for problem in problems if problem.message == _MESSAGE}
    hidden = []
    for problem in problems:
        source, message = problem.source_line, problem.message
        for word in sorted(words, key=len, reverse=True):
            source, message = source.replace(word, "*" * len(word)), message.replace(word, "***")
        if (problem.file, problem.line) in lines and source == problem.source_line:
            source = source[: problem.column - 1]  # it is spelled in another way there
        hidden.append(replace(problem, source_line=source, message=message))
    return hidden


def _is_secret_name(place: Path) -> bool:
    names = [part for part in place if isinstance(part, str)]
    # Under `columns` stand names of columns, with their types.
    if not names or names[-2:-1] == ["columns"]:
        return False
    spelled = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-. ]", "_", names[-1]).lower()
    return _NAMES.fullmatch(spelled) is not None


def _texts(value: Any, place: Path, seen: set[int]) -> Iterator[tuple[Path, str]]:
    """Every text of the data, and every long number, with its place; what an alias leads to once."""
    if isinstance(value, str):
        if value:
            yield place, value
    elif isinstance(value, int) and value >= _LONG:
        yield place, str(value)
    elif isinstance(value, dict | list) and id(value) not in seen:
        seen.add(id(value))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from _texts(item, (*place, name if isinstance(name, int) else str(name)), seen)
