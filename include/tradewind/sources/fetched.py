"""What a source gave for one partition: files on this machine."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tradewind.spec.sources import Limits

if TYPE_CHECKING:
    from tradewind.deployment import Deployment
    from tradewind.spec.sources import Source


@dataclass(frozen=True, slots=True)
class Fetched:
    """Files of one format, in order; ``.gz`` and ``.zst`` in their names say that they are compressed.

    :param paths: where they are: delivered files themselves, or copies in the stage's scratch folder
    :param names: what messages call each of them: a path, an ``s3://`` URI, a query, a URL
    :param delimiter: of CSV: what stands between two values
    :param nulls: of CSV: spellings of a missing value, beside the empty field
    :param limits: how large it may be
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    format: Literal["csv", "jsonl", "parquet"]
    delimiter: str = ","
    nulls: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


def fetch_source(source: Source, partition: str, *, deployment: Deployment, scratch: Path) -> Fetched:
    """Fetch what a source gives for one partition, by the function that its kind names.

    :param scratch: folder for what is copied
    :raises InputError: it is not there, or cannot be used
    :raises Unavailable: it is away for the moment
    """
    fetch: Callable[..., Fetched] = pkgutil.resolve_name(source.fetcher)
    return fetch(source, partition, deployment=deployment, scratch=scratch)
