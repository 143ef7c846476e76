"""The project that a pipeline's YAML belongs to, and the files in it that the YAML names."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tradewind.spec.problems import nearest_word

_LONGEST = 255  # characters of a name; more than this no file system takes


def project_root(path: Path) -> Path:
    """The folder above the ``dags`` folder that holds ``path``; without one, the folder of ``path``.

    :param path: a pipeline's YAML
    """
    own = _folder(path)
    depth = _depth(own)
    return own if depth is None else own.parents[depth]


def configuration_folders(path: Path) -> list[Path]:
    """The folders from the project's ``dags`` down to that of ``path``; without a ``dags`` above it, only that.

    :param path: a pipeline's YAML
    """
    own = _folder(path)
    depth = _depth(own)
    if not depth:
        return [path.parent]
    # Spelled as the caller spells it, where that is possible.
    spelled = path.parent if len(path.parent.parts) > depth and ".." not in path.parts else own
    return [spelled, *spelled.parents][depth::-1]


def _folder(path: Path) -> Path:
    return Path(os.path.abspath(path)).parent  # noqa: PTH100 - a link to a project stays where it is


def _depth(folder: Path) -> int | None:
    """How many folders a folder is below the nearest ``dags``, itself included; None without one."""
    return folder.parts[::-1].index("dags") if "dags" in folder.parts else None


def file_name_error(root: Path, name: str, *, plain: set[str] | None = None) -> tuple[str, str | None] | None:
    """What is wrong with a file name of the YAML, and the nearest right one; None if it is a file of the project.

    :param root: the project root
    :param name: path as it is written, from the project root
    :param plain: folders that are known to be no links, to which those are added that turn out to be none
    """
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts:
        return "must be a path inside the project, from its root, without `..`", None
    if max(map(len, parts), default=0) > _LONGEST:
        return "has a name that is too long for a file", None
    path = root.joinpath(*parts)
    if _is_plain(root, parts, set() if plain is None else plain):
        return None
    if not path.is_file():
        if path.exists():
            return f"{name} is not a file", None
        return f"there is no file {name} in the project {root}", _neighbour(root, PurePosixPath(name))
    if not path.resolve().is_relative_to(root.resolve()):
        return f"{name} is a link that leaves the project", None
    return None


def _is_plain(root: Path, parts: Sequence[str], plain: set[str]) -> bool:
    """Whether it is a file, and neither it nor a folder of the project above it is a link: asked with few calls.

    DAG files are parsed every few seconds, on file systems that may be slow.
    """
    place = str(root)
    for number, part in enumerate(parts, 1):
        place = f"{place}/{part}"
        if number < len(parts) and place in plain:
            continue
        try:
            mode = os.lstat(place).st_mode
        except (OSError, ValueError):
            return False
        if number == len(parts):
            return stat.S_ISREG(mode)
        if not stat.S_ISDIR(mode):
            return False
        plain.add(place)
    return False


def _neighbour(root: Path, name: PurePosixPath) -> str | None:
    folder = root / name.parent
    if not folder.is_dir():
        return None
    found = nearest_word(name.name, sorted(entry.name for entry in folder.iterdir() if entry.is_file()))
    return str(name.parent / found) if found else None
