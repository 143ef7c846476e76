"""Hashes of parts of a configuration: what must change for work to be done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

# In these the order says something: a CSV file has its columns in it.
_ORDERED = frozenset({"columns"})


def config_hash(part: BaseModel, *texts: str) -> str:
    """SHA-256 of a part of a pipeline and of files that it names.

    A value that is the default counts as not given: whether it is spelled out makes no difference, nor does a new
    option of a later version. Names in mappings may be in any order.

    :param part: any part of the spec
    :param texts: contents of SQL, expectation or code files, in a fixed order
    :return: 64 hexadecimal digits
    """
    canonical = json.dumps([_plain(part), *texts], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _plain(value: Any, *, ordered: bool = False) -> Any:
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        given = {name: getattr(value, name) for name in fields if getattr(value, name) != fields[name].default}
        return {name: _plain(item, ordered=name in _ORDERED) for name, item in given.items()}
    if isinstance(value, Mapping):
        pairs = [[str(key), _plain(item)] for key, item in value.items()]
        return pairs if ordered else dict(pairs)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)
