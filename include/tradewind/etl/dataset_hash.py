"""What of the YAML and of the files that it names determines one dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tradewind.deployment import Deployment
from tradewind.engine.sql_text import canonical_text
from tradewind.errors import SpecError
from tradewind.spec.digest import config_hash


@dataclass(frozen=True, slots=True)
class DatasetHash:
    """A dataset's part of the YAML and the files that it names, and how the pipeline slices time.

    :param hash: changes with any of them; part of the partition's cause
    :param parts: hashes of the single parts by their names: ``YAML`` and the path of each file
    """

    hash: str
    parts: Mapping[str, str]


def hash_dataset_config(deployment: Deployment, name: str) -> DatasetHash:
    """The configuration of the dataset ``name`` as the project has it now.

    :raises SpecError: a file that the YAML names cannot be read
    """
    spec = deployment.spec
    part = spec.datasets[name]
    sources = [*([part.source] if part.source else []), *part.references.values()]
    queries = [file for source in sources for file in source.sql_files().values()]
    texts = {path: _text(deployment.runtime.project / path) for path in (part.sql, part.expectations, *queries) if path}
    # A comment or a line break changes nothing that is computed; a database may read hints in comments.
    texts[part.sql] = canonical_text(texts[part.sql])
    parts = {"YAML": config_hash(part, spec.partition, spec.timezone)[:32]}
    parts |= {path: hashlib.sha256(text.encode()).hexdigest()[:32] for path, text in texts.items()}
    return DatasetHash(config_hash(part, spec.partition, spec.timezone, *texts.values()), parts)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise SpecError(f"{path}: the pipeline names this file, but it cannot be read: {exc}") from exc
