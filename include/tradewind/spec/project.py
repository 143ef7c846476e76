"""The project that a pipeline's YAML belongs to, and the files in it that the YAML names."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from tradewind.spec.problems import nearest


def project_root(path: Path) -> Path:
    """The folder above the ``dags`` folder that holds ``path``; without one, the folder of ``path``.

    :param path: a pipeline's YAML
    """
    dags = _dags(path)
    return dags.parent if dags else _folder(path)


def folders(path: Path) -> list[Path]:
    """The folders from the project's ``dags`` down to that of ``path``; without a ``dags`` above it, only that.

    :param path: a pipeline's YAML
    """
    own = _folder(path)
    dags = _dags(path) or own
    found = [folder for folder in (own, *own.parents) if folder.is_relative_to(dags)]
    # Spelled as the caller spells it, where that is possible.
    spelled = [] if ".." in path.parts else [path.parent, *path.parent.parents]
    return [*spelled[: len(found)], *found[len(spelled) :]][::-1]


def _dags(path: Path) -> Path | None:
    own = _folder(path)
    return next((folder for folder in (own, *own.parents) if folder.name == "dags"), None)


def _folder(path: Path) -> Path:
    return Path(os.path.abspath(path)).parent  # noqa: PTH100 - a link to a project stays where it is


def flaw(root: Path, name: str) -> tuple[str, str | None] | None:
    """What is wrong with a file name of the YAML, and the nearest right one; None if it is a file of the project.

    :param root: the project root
    :param name: path as it is written, from the project root
    """
    parts = PurePosixPath(name).parts
    if PurePosixPath(name).is_absolute() or ".." in parts:
        return "must be a path inside the project, from its root, without `..`", None
    path = root.joinpath(*parts)
    if not path.exists():
        return f"there is no file {name} in the project {root}", _neighbour(root, PurePosixPath(name))
    if not path.is_file():
        return f"{name} is no file", None
    if not path.resolve().is_relative_to(root.resolve()):
        return f"{name} is a link that leaves the project", None
    return None


def _neighbour(root: Path, name: PurePosixPath) -> str | None:
    folder = root / name.parent
    if not folder.is_dir():
        return None
    found = nearest(name.name, sorted(entry.name for entry in folder.iterdir() if entry.is_file()))
    return str(name.parent / found) if found else None
