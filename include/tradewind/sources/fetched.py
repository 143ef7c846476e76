"""What a source gave for one partition: files on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fetched:
    """Files of one format and of the same columns, in order.

    :param paths: where they are: delivered files themselves, or copies in the stage's scratch folder
    :param names: what messages call each of them: a path, an ``s3://`` URI, a query, a URL
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    format: Literal["csv", "jsonl", "parquet"]
