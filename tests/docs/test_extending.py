"""`docs/extending.md`: each section is carried out in a copy of the project, and what it adds is used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
_BLOCK = re.compile(r"^```(?P<kind>\w+)(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

# Threads of the native libraries that are still there when the interpreter is taken down have been seen to abort it.
_ENTER = "import sys; sys.path.insert(0, 'include')"  # the copy, wherever this project is installed
_LEAVE = "import os, sys; sys.stdout.flush(); os._exit(0)"


@dataclass(frozen=True)
class Block:
    """A fenced block that says what it is for.

    :param file: the file that it is, or changes, below the project; None for code that is run
    """

    kind: str
    file: str | None
    text: str


@dataclass(frozen=True)
class Extension:
    """One section of the page."""

    title: str
    blocks: Sequence[Block]


def read_extensions(page: str) -> list[Extension]:
    """The sections that have an example; a block without `file=` and `test` only shows something."""
    found = []
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        blocks = []
        for block in _BLOCK.finditer(section):
            named = re.search(r"\bfile=(\S+)", block["info"])
            if named or block["info"].split() == ["test"]:
                blocks.append(Block(block["kind"], named[1] if named else None, block["text"]))
        if blocks:
            found.append(Extension(section.partition("\n")[0], blocks))
    return found


def carry_out(block: Block, project: Path) -> None:
    """Write a new file, or make the change to a list: an entry and its import, parted by a line of ``@@``."""
    assert block.file is not None
    path = project / block.file
    if block.kind != "diff":
        assert not path.exists(), f"{block.file} is there already: an extension is a file of its own"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        return
    for hunk in re.split(r"^@@.*\n", block.text, flags=re.MULTILINE):
        lines = hunk.splitlines()
        old = "\n".join(line[1:] for line in lines if line[:1] in (" ", "-"))
        new = "\n".join(line[1:] for line in lines if line[:1] in (" ", "+"))
        before = path.read_text(encoding="utf-8")
        assert before.count(old) == 1, f"{block.file} holds these lines {before.count(old)} times:\n{old}"
        path.write_text(before.replace(old, new), encoding="utf-8")


def copy_project(project: Path, target: Path) -> Path:
    """What an extension may touch: the package, and a project of its own."""
    shutil.copytree(
        project / "include" / "tradewind",
        target / "include" / "tradewind",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return target


EXTENSIONS = read_extensions(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("extension", EXTENSIONS, ids=[one.title for one in EXTENSIONS])
def test_an_extension_is_one_file_and_one_entry_in_one_list(
    extension: Extension, project: Path, tmp_path: Path
) -> None:
    copy = copy_project(project, tmp_path)
    package = [one for one in extension.blocks if one.file and one.file.startswith("include/tradewind/")]
    assert len([one for one in package if one.kind == "diff"]) <= 1
    for block in extension.blocks:
        if block.file is not None:
            carry_out(block, copy)
    environment = {**os.environ, "PYTHONPATH": str(copy / "include"), "TRADEWIND_HOME": str(copy / "home")}
    used = [block.text for block in extension.blocks if block.file is None]
    assert used, "the section does not use what it adds"
    for code in used:
        command = [sys.executable, "-W", "error::DeprecationWarning:tradewind", "-c", f"{_ENTER}\n{code}\n{_LEAVE}"]
        done = subprocess.run(command, cwd=copy, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_a_change_that_does_not_fit_is_found(tmp_path: Path) -> None:
    (tmp_path / "kinds.py").write_text("KINDS = (\n    A,\n)\n", encoding="utf-8")
    carry_out(Block("diff", "kinds.py", "     A,\n+    B,\n"), tmp_path)
    assert (tmp_path / "kinds.py").read_text(encoding="utf-8") == "KINDS = (\n    A,\n    B,\n)\n"
    with pytest.raises(AssertionError, match="0 times"):
        carry_out(Block("diff", "kinds.py", "     C,\n+    D,\n"), tmp_path)
