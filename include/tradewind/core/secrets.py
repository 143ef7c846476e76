"""What must not be read in a message, log line, journal entry or report, and how a text loses it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from tradewind.errors import mask_userinfo

MASK = "***"
SHORTEST = 4
"""Characters: a shorter value is part of too many words to be masked without harm."""


class Secrets:
    """Values that a connection holds, found in a text also in base64 and percent-encoded.

    :param values: passwords, tokens and keys; what is shorter than :data:`SHORTEST` is not masked
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {form for value in values if len(value) >= SHORTEST for form in _forms(value)}
        # The longest first: a value may be part of another's encoded form.
        self._forms = sorted(forms, key=len, reverse=True)

    def mask(self, text: str) -> str:
        """The text without any of the values, and without the userinfo of URIs."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return mask_userinfo(text)


def _forms(value: str) -> set[str]:
    encoded = value.encode()
    in_base64 = {base64.b64encode(encoded).decode(), base64.urlsafe_b64encode(encoded).decode()}
    return {value, quote(value, safe=""), quote_plus(value), *in_base64, *(text.rstrip("=") for text in in_base64)}
