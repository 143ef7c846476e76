"""A model's requirements are exact, and are those of the code that it loads."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from tradewind.errors import ModelError
from tradewind.isolation.project_code import import_project_code, locate_project_code
from tradewind.training.requirements import exact_requirements


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("numpy>=1", None),
        ("numpy<1", "asks for numpy<1, and .* is installed here"),
        ("no-such-library==1", "names no-such-library, which is not installed here"),
    ],
    ids=["pinned", "other-version", "missing"],
)
def test_the_projects_own_requirements_are_pinned_to_what_is_installed(tmp_path: Path, line, words) -> None:
    folder = tmp_path / "include" / "own"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text("def build(params): ...")
    (folder / "requirements.txt").write_text(f"# ours\n{line}\n--prefer-binary\n")
    code = locate_project_code("include/own/model.py:build", tmp_path)
    if words:
        with pytest.raises(ModelError, match=words):
            exact_requirements(code)
    else:
        found = exact_requirements(code)
        assert f"numpy=={version('numpy')}" in found
        assert [one for one in found if "==" not in one] == ["--prefer-binary"]


def test_what_the_loaded_modules_import_is_required_and_what_nobody_loads_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "include" / "own"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text("import json, yaml\nfrom own.parts import A\ndef build(params): ...")
    (folder / "parts.py").write_text("A = 1\ndef late():\n    from duckdb.typing import VARCHAR")
    (folder / "features.py").write_text("import feast")
    with import_project_code(locate_project_code("include/own/model.py:build", tmp_path)):
        found = exact_requirements(locate_project_code("include/own/model.py:build", tmp_path))
    assert {f"PyYAML=={version('pyyaml')}", f"duckdb=={version('duckdb')}"} <= set(found)
    assert not [line for line in found if line.startswith(("feast", "own", "json"))]
