"""User code in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.validation.user_code import request_model
from tradewind.validation.user_code_process import UserCodeProcess

MODEL = """\
class Classifier:
    def fit(self, X, y): ...
    def predict_proba(self, X): ...

def build(params):
    {body}
    return Classifier()
"""


def request(root: Path, name: str, body: str) -> dict[str, object]:
    folder = root / "include" / name
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(MODEL.format(body=body))
    return request_model(root, f"include/{name}/model.py:build", {"depth": 3})


def test_what_the_code_prints_does_not_come_between_the_answers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    requests = [request(tmp_path, "loud", "print('hello')"), request(tmp_path, "other", "pass")]
    answers = UserCodeProcess(requests).answers()
    assert answers == [{"returns": "Classifier", "lacks": [], "instead": ""}] * 2
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.rglob("__pycache__"))


def test_code_that_ends_its_process_is_blamed_and_the_others_are_still_looked_at(tmp_path: Path) -> None:
    requests = [request(tmp_path, "fatal", "import os; os._exit(7)"), request(tmp_path, "other", "pass")]
    first, second = UserCodeProcess(requests).answers()
    assert first["error"]["message"] == "the code ended its process with exit code 7"
    assert second["returns"] == "Classifier"


def test_what_lies_in_the_working_directory_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside.py").touch()
    monkeypatch.chdir(tmp_path)
    (answer,) = UserCodeProcess([request(tmp_path, "near", "import beside")]).answers()
    assert "No module named 'beside'" in answer["error"]["message"]


def test_nothing_is_started_for_nothing() -> None:
    assert UserCodeProcess([]).answers() == []


@pytest.mark.slow
def test_the_example_is_right_and_leaves_nothing_behind(project: Path) -> None:
    command = [sys.executable, "-m", "tradewind.cli.main", "validate"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.stdout.endswith("1 pipeline: fine\n")
    assert [line for line in result.stdout.splitlines() if line.startswith("dags/")] == [
        line for line in result.stdout.splitlines() if "note: gates[1]: `test: 2` holds about 14 blocks" in line
    ]
    assert result.returncode == 0
