"""Hashes of parts of a configuration: what must change for work to be done again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

# In these the order says something: a CSV file has its columns in it.
_ORDERED = frozenset({"columns"})
# These say what is refused, and nothing about the rows of what is not.
_NO_CAUSE = frozenset({"limits"})


def config_hash(*parts: Any) -> str:
    """SHA-256 of parts of a pipeline, single values of it, and files that it names.

    Limits do not count. A value that is the default counts as not given: whether it is spelled out makes no difference,
    nor does a new option of a later version. Names in mappings may be in any order.

    :param parts: in a fixed order: parts of the spec, values that JSON can hold, contents of SQL or code files
    :return: 64 hexadecimal digits
    """
    canonical = json.dumps(_plain(parts), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _plain(value: Any, *, ordered: bool = False) -> Any:
    if isinstance(value, BaseModel):
        fields = {name: field for name, field in type(value).model_fields.items() if name not in _NO_CAUSE}
        given = {name: getattr(value, name) for name in fields if getattr(value, name) != fields[name].default}
        return {name: _plain(item, ordered=name in _ORDERED) for name, item in given.items()}
    if isinstance(value, Mapping):
        pairs = [[str(key), _plain(item)] for key, item in value.items()]
        return pairs if ordered else dict(pairs)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)
