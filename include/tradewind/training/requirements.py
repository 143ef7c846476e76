"""What a model needs in an empty environment: exact versions of the libraries that it and its code use."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.errors import ModelError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from tradewind.isolation.project_code import ProjectCode

_ALWAYS = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")
_ALWAYS_IMPORTED = frozenset({"mlflow", "numpy", "pandas", "sklearn", "scipy", "skops"})


def exact_requirements(code: ProjectCode) -> list[str]:
    """Lines of ``requirements.txt``, each an exact version that is installed here.

    They are what every model needs, what the project's imported modules import, and what a ``requirements.txt`` beside
    them names. To be asked while the package is imported: modules that the model did not load ask for nothing.

    :raises ModelError: a library is not installed, or in a version that ``requirements.txt`` does not allow
    """
    from packaging.utils import canonicalize_name

    named = dict(_project_requirements(code.folder / "requirements.txt"))
    found: dict[str, str] = {name: f"{name}=={version(name)}" for name in _ALWAYS}
    for name in sorted(_imported_distributions(code)):
        found.setdefault(canonicalize_name(name), f"{name}=={version(name)}")
    return [*{**found, **named}.values()]


def _project_requirements(own: Path) -> Iterator[tuple[str, str]]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    lines = own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    for line in (line.partition(" #")[0].strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        try:
            asked = Requirement(line)
        except InvalidRequirement:
            # An option of pip, or an address: exact or not, it is what the project wants.
            yield line, line
            continue
        if asked.marker is not None and not asked.marker.evaluate():
            continue
        yield canonicalize_name(asked.name), line if asked.url else _pin_requirement(asked, own)


def _pin_requirement(asked: Requirement, own: Path) -> str:
    try:
        installed = version(asked.name)
    except PackageNotFoundError:
        raise ModelError(f"{own} names {asked.name}, which is not installed here; install it or take it out") from None
    if not asked.specifier.contains(installed, prereleases=True):
        raise ModelError(f"{own} asks for {asked}, and {installed} is installed here; make them agree")
    extras = f"[{','.join(sorted(asked.extras))}]" if asked.extras else ""
    return f"{asked.name}{extras}=={installed}"


def _imported_distributions(code: ProjectCode) -> set[str]:
    """Distributions of the libraries that the loaded modules of the package import."""
    own = (code.package, f"{code.package}.")
    loaded = [module for name, module in list(sys.modules.items()) if name == own[0] or name.startswith(own[1])]
    files = {Path(file) for module in loaded if (file := getattr(module, "__file__", None))}
    libraries = {name for file in files for name in _imported_libraries(file)}
    libraries -= {code.package, *_ALWAYS_IMPORTED, *sys.stdlib_module_names}
    if not libraries:
        return set()
    homes = packages_distributions()
    # Several distributions share the name of a namespace; which of them is meant, only requirements.txt can say.
    return {home for name in libraries for home in set(homes.get(name, ())) if len(set(homes[name])) == 1}


def _imported_libraries(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
