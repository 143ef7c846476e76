"""The files that a model version consists of, as they were when it was logged: names, sizes and hashes.

What else lies beside them was put there by others: MLflow writes ``registered_model_meta`` into the folder of a
model that is loaded by its registered name, and Python its caches. None of it is ever copied, so none of it is loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

NAME = "model_files.json"
"""The file with a manifest among the evidence of a version."""

ADDED_BY_MLFLOW = frozenset({"registered_model_meta"})
"""Files that MLflow adds to a logged model's folder afterwards; all that is ignored where there is no manifest."""

_CACHE = "__pycache__"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FileState:
    """One file.

    :param size: in bytes
    :param sha256: of its content, in hex
    """

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of a model version.

    :param files: by their path below the version's folder, with ``/``
    """

    files: Mapping[str, FileState]

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """What the folder holds now, but for caches of Python."""
        return cls({name: FileState(*_hash_file(folder / name)) for name in _list_files(folder)})

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> Self:
        """What :meth:`as_json` gave."""
        return cls({name: FileState(int(size), str(sha)) for name, (size, sha) in recorded.items()})

    def as_json(self) -> dict[str, list[int | str]]:
        """Size and SHA-256 of each file by its name."""
        return {name: [state.size, state.sha256] for name, state in sorted(self.files.items())}

    @property
    def digest(self) -> str:
        """SHA-256 over names, sizes and hashes."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()


def copy_files(source: Path, target: Path, manifest: Manifest) -> list[str]:
    """Copy the files of a manifest, and nothing else; what is hashed are the bytes that are copied.

    :param target: an empty folder that no other process writes to
    :return: which of them are missing or changed, in words; the copy is of no use unless this is empty
    """
    found = []
    for name, state in sorted(manifest.files.items()):
        if not (source / name).is_file():
            found.append(f"{name} is missing")
        elif (now := _copy_file(source / name, target / name)) != (state.size, state.sha256):
            size = f" ({state.size} bytes then, {now[0]} now)" if now[0] != state.size else ""
            found.append(f"{name} has changed{size}")
    return found


def copy_folder(source: Path, target: Path) -> str:
    """Copy a folder of which only the digest of the whole is known, without what MLflow is known to add.

    :param target: an empty folder that no other process writes to
    :return: digest of the copy, as :func:`model_folder_digest` gives it
    """
    for name in _list_files(source):
        if name not in ADDED_BY_MLFLOW:
            _copy_file(source / name, target / name)
    return model_folder_digest(target)


def foreign_files(folder: Path, manifest: Manifest | None) -> list[str]:
    """What lies beside a version's own files; a cache of Python is named as one.

    :param manifest: None where only the digest of the whole is known
    """
    known = manifest.files if manifest else None
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    found = {
        _displayed_name(name)
        for name in names
        if _CACHE in name.parts or (name.as_posix() not in known if known is not None else str(name) in ADDED_BY_MLFLOW)
    }
    return sorted(found)


def model_folder_digest(folder: Path) -> str:
    """SHA-256 over names and content of a folder's files: what versions have that were logged without a manifest."""
    sha = hashlib.sha256()
    for name in _list_files(folder):
        sha.update(f"{name}\0{(folder / name).stat().st_size}\0".encode())
        sha.update((folder / name).read_bytes())
    return sha.hexdigest()


def _list_files(folder: Path) -> list[str]:
    """Files by their path below the folder; the caches of Python are none of them."""
    found = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [name.as_posix() for name in found if _CACHE not in name.parts]


def _displayed_name(name: Path) -> str:
    if _CACHE not in name.parts:
        return name.as_posix()
    return Path(*name.parts[: name.parts.index(_CACHE) + 1]).as_posix() + "/"


def _hash_file(path: Path) -> tuple[int, str]:
    size, sha = 0, hashlib.sha256()
    for chunk in _read_chunks(path):
        size += len(chunk)
        sha.update(chunk)
    return size, sha.hexdigest()


def _copy_file(source: Path, target: Path) -> tuple[int, str]:
    """Size and SHA-256 of exactly what was written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    size, sha = 0, hashlib.sha256()
    with target.open("wb") as sink:
        for chunk in _read_chunks(source):
            size += len(chunk)
            sha.update(chunk)
            sink.write(chunk)
    return size, sha.hexdigest()


def _read_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
