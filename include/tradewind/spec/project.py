"""The project that a pipeline's YAML belongs to, and the files in it that the YAML names."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from tradewind.spec.problems import nearest


def project_root(path: Path) -> Path:
    """The folder above the ``dags`` folder that holds ``path``; without one, the folder of ``path``.

    :param path: a pipeline's YAML
    """
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - a link to a project stays where it is
    dags = next((parent for parent in (folder, *folder.parents) if parent.name == "dags"), None)
    return dags.parent if dags else folder


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
