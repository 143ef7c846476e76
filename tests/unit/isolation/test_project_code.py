"""The project's model code is found by path and leaves nothing behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tradewind.errors import ModelError
from tradewind.isolation.project_code import import_project_code, locate_project_code


def write(project: Path, name: str, text: str) -> None:
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_folder_below_include_is_the_package(tmp_path: Path) -> None:
    write(tmp_path, "include/delays_a/deep/model.py", "def build(params): return params")
    code = locate_project_code("include/delays_a/deep/model.py:build", tmp_path)
    assert (code.folder, code.module, code.package) == (
        tmp_path / "include/delays_a",
        "delays_a.deep.model",
        "delays_a",
    )


def test_a_sibling_is_imported_by_the_folders_name(tmp_path: Path) -> None:
    write(tmp_path, "include/delays_b/parts.py", "ANSWER = 42")
    write(tmp_path, "include/delays_b/model.py", "from delays_b.parts import ANSWER\ndef build(params): return ANSWER")
    with import_project_code(locate_project_code("include/delays_b/model.py:build", tmp_path)) as build:
        assert build({}) == 42
    assert not [name for name in sys.modules if name.startswith("delays_b")]


def test_two_projects_with_the_same_folder_name_each_get_their_own_code(tmp_path: Path) -> None:
    for project, answer in (("one", 1), ("two", 2)):
        write(tmp_path / project, "include/delays_c/model.py", f"def build(params): return {answer}")
    answers = []
    for project in ("one", "two", "one"):
        with import_project_code(locate_project_code("include/delays_c/model.py:build", tmp_path / project)) as build:
            answers.append(build({}))
    assert answers == [1, 2, 1]


def test_a_package_with_an_init_runs_it(tmp_path: Path) -> None:
    write(tmp_path, "include/delays_d/__init__.py", "FACTOR = 3")
    write(tmp_path, "include/delays_d/model.py", "from delays_d import FACTOR\ndef build(params): return FACTOR")
    with import_project_code(locate_project_code("include/delays_d/model.py:build", tmp_path)) as build:
        assert build({}) == 3


def test_a_folder_named_like_a_library_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "include/json/model.py", "def build(params): return 1")
    with (
        pytest.raises(ModelError, match="give it another name"),
        import_project_code(locate_project_code("include/json/model.py:build", tmp_path)),
    ):
        pass


def test_a_folder_named_like_an_installed_package_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "include/numpy/model.py", "def build(params): return 1")
    with (
        pytest.raises(ModelError, match="library numpy"),
        import_project_code(locate_project_code("include/numpy/model.py:build", tmp_path)),
    ):
        pass


def test_modules_of_the_same_name_are_set_aside_and_come_back(tmp_path: Path) -> None:
    for project, answer in (("one", 1), ("two", 2)):
        write(tmp_path / project, "include/delays_h/model.py", f"def build(params): return {answer}")
    with import_project_code(locate_project_code("include/delays_h/model.py:build", tmp_path / "one")):
        before = sys.modules["delays_h.model"]
        with import_project_code(locate_project_code("include/delays_h/model.py:build", tmp_path / "two")) as build:
            assert build({}) == 2
        assert sys.modules["delays_h.model"] is before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no file include/x/model.py"):
        locate_project_code("include/x/model.py:build", tmp_path)


def test_a_file_directly_in_include_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "include/model.py", "")
    with pytest.raises(ModelError, match="folder of its own"):
        locate_project_code("include/model.py:build", tmp_path)


def test_a_missing_function_is_named(tmp_path: Path) -> None:
    write(tmp_path, "include/delays_e/model.py", "")
    with (
        pytest.raises(ModelError, match="no function build"),
        import_project_code(locate_project_code("include/delays_e/model.py:build", tmp_path)),
    ):
        pass


def test_code_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    write(tmp_path, "include/delays_f/model.py", "import no_such_library")
    with (
        pytest.raises(ModelError, match="No module named 'no_such_library'"),
        import_project_code(locate_project_code("include/delays_f/model.py:build", tmp_path)),
    ):
        pass


def test_the_digest_follows_the_text_and_not_the_place(tmp_path: Path) -> None:
    for project, text in (("one", "A = 1"), ("two", "A = 1"), ("three", "A = 2")):
        write(tmp_path / project, "include/delays_g/model.py", text)
    digests = [
        locate_project_code("include/delays_g/model.py:build", tmp_path / p).digest() for p in ("one", "two", "three")
    ]
    assert digests[0] == digests[1] != digests[2]
