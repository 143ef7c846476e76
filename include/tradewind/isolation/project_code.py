"""The project's own model code: found by path, imported under its folder's name, and gone again afterwards.

``include/flight_delay/model.py:build_model`` is imported as ``flight_delay.model``: the folder below ``include/`` is
the package, whether or not it has an ``__init__.py``, and its modules may import each other by that name. The same name
holds wherever a logged model is loaded, since MLflow puts a copy of the folder on the path there.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tradewind.errors import ModelError


@dataclass(frozen=True, slots=True)
class ProjectCode:
    """A function of the project and the package that it lives in.

    :param folder: the folder that is the package; all of it is logged with a model
    :param module: full name of the module, for example ``flight_delay.model``
    :param function: name of the function in that module
    """

    folder: Path
    module: str
    function: str

    @property
    def package(self) -> str:
        """Name of the package: the first part of the module's name."""
        return self.module.partition(".")[0]

    def files(self) -> dict[str, str]:
        """Content hash of each Python file of the package, by its path below the folder that the package lies in."""
        paths = sorted(self.folder.rglob("*.py"))
        return {
            path.relative_to(self.folder.parent).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }

    def digest(self) -> str:
        """Content hash of all Python files of the package, the same wherever the project lies."""
        sha = hashlib.sha256()
        for path in sorted(self.folder.rglob("*.py")):
            sha.update(f"{path.relative_to(self.folder).as_posix()}\0{path.stat().st_size}\0".encode())
            sha.update(path.read_bytes())
        return sha.hexdigest()


def locate_project_code(reference: str, project: Path) -> ProjectCode:
    """Find the package of a ``file.py:function`` reference.

    :param reference: path from the project root, a colon, and the name of a function
    :param project: the project root
    :raises ModelError: there is no such file, or it lies in no folder of its own
    """
    name, _, function = reference.partition(":")
    path = project / name
    if not path.is_file():
        raise ModelError(f"model {reference}: there is no file {name} in the project; correct `train.model`")
    folder = find_package_folder(reference)
    module = ".".join([folder.name, *Path(name).relative_to(folder).with_suffix("").parts])
    return ProjectCode(project / folder, module, function)


def find_package_folder(reference: str) -> Path:
    """The folder, from the project root, that is the package of a ``file.py:function`` reference.

    :raises ModelError: the file lies in no folder of its own
    """
    parts = Path(reference.partition(":")[0]).parts
    depth = 2 if parts[0] == "include" else max(len(parts) - 1, 1)
    if len(parts) <= depth:
        raise ModelError(
            f"model {reference}: the file must lie in a folder of its own, for example include/my_pipeline/model.py"
        )
    return Path(*parts[:depth])


@contextmanager
def import_project_code(code: ProjectCode) -> Iterator[Callable[..., Any]]:
    """Import the function; when the block ends no module of the package stays behind.

    :raises ModelError: the module cannot be imported, has no such function, or its package has the name of a library
    """
    with mount_package(code.package, code.folder):
        try:
            module = importlib.import_module(code.module)
        except Exception as exc:
            raise ModelError(
                f"model code {code.module} in {code.folder} cannot be imported: {type(exc).__name__}: {exc}"
            ) from exc
        function = getattr(module, code.function, None)
        if not callable(function):
            raise ModelError(
                f"model code {code.module} in {code.folder} has no function {code.function}; correct `train.model`"
            )
        yield function


@contextmanager
def mount_package(name: str, folder: Path) -> Iterator[None]:
    """Make ``folder`` the one package called ``name`` while the block runs.

    No search path is involved: a folder of the same name elsewhere (the project's present code, when an older version
    is loaded) can neither be found nor mixed in. Modules of it that are loaded already are set aside and come back.

    :raises ModelError: the name is a library's
    """
    if name in sys.stdlib_module_names or name == "tradewind" or _is_library_module(sys.modules.get(name)):
        raise ModelError(f"the folder {folder} has the name of the library {name}; give it another name")
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    importlib.invalidate_caches()
    aside = _unload_package(name)
    try:
        _load_package(name, folder)
        yield
    finally:
        _unload_package(name)
        sys.modules.update(aside)
        sys.dont_write_bytecode = written


def _is_library_module(module: ModuleType | None) -> bool:
    places = [*getattr(module, "__path__", ()), getattr(module, "__file__", None) or ""]
    return any(part in ("site-packages", "dist-packages") for place in places for part in Path(place).parts)


def _unload_package(name: str) -> dict[str, ModuleType]:
    loaded = [module for module in sys.modules if module == name or module.startswith(f"{name}.")]
    return {module: sys.modules.pop(module) for module in loaded}


def _load_package(name: str, folder: Path) -> None:
    init = folder / "__init__.py"
    if init.is_file():
        spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(folder)])
    else:
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    if spec is None:
        raise ModelError(f"the folder {folder} cannot be imported as the package {name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if spec.loader is not None:
        try:
            spec.loader.exec_module(module)
        except Exception as exc:
            raise ModelError(f"{init} cannot be imported: {type(exc).__name__}: {exc}") from exc
