"""A model version runs in its own process, with its own code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tradewind.errors import ModelError
from tradewind.isolation.model_client import ModelHost
from tradewind.isolation.project_code import import_project_code, locate_project_code

TRANSFORMER = """
from sklearn.base import BaseEstimator, TransformerMixin
class Scale(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self
    def transform(self, X):
        return X.to_numpy() * {factor}
"""
MODEL = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from scales.transformers import Scale
def build_model(params):
    return make_pipeline(Scale(), LogisticRegression(**params))
"""
ROWS = pa.table({"a": [0.1, -0.4, 0.8], "b": [1.0, 2.0, 3.0], "unused": ["x", "y", None]})


def save(folder: Path, *, factor: int, trusted: list[str]) -> tuple[Path, np.ndarray]:
    """Save a model whose transformer multiplies by ``factor``; return its folder and its predictions of ROWS."""
    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    code = folder / "project" / "include" / "scales"
    code.mkdir(parents=True)
    (code / "transformers.py").write_text(TRANSFORMER.format(factor=factor))
    (code / "model.py").write_text(MODEL)
    frame = pd.DataFrame({"a": [-2.0, -1.0, 1.0, 2.0], "b": [0.0, 1.0, 0.0, 1.0]})
    with import_project_code(
        locate_project_code("include/scales/model.py:build_model", folder / "project")
    ) as build_model:
        model = build_model({}).fit(frame, [0, 0, 1, 1])
        mlflow.sklearn.save_model(
            model,
            str(folder / "model"),
            code_paths=[str(code)],
            serialization_format="skops",
            skops_trusted_types=trusted,
            signature=ModelSignature(Schema([ColSpec("double", "a"), ColSpec("double", "b")])),
            pip_requirements=["scikit-learn"],
            pyfunc_predict_fn="predict_proba",
        )
        # The fitted weights stay; only the code that runs at prediction differs.
        return folder / "model", model.predict_proba(ROWS.select(["a", "b"]).to_pandas())


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, np.ndarray]]:
    trusted = ["scales.transformers.Scale"]
    return {factor: save(tmp_path_factory.mktemp(f"by{factor}"), factor=factor, trusted=trusted) for factor in (1, 10)}


def test_two_versions_with_different_code_give_their_own_predictions_in_one_process(
    versions: dict[int, tuple[Path, np.ndarray]],
) -> None:
    (one, one_expected), (ten, ten_expected) = versions[1], versions[10]
    with ModelHost(one, name="one", warm=False) as first, ModelHost(ten, name="ten", warm=False) as second:
        assert np.array_equal(first.predict(ROWS), one_expected)
        assert np.array_equal(second.predict(ROWS), ten_expected)
    assert not np.allclose(one_expected, ten_expected)
    assert "scales" not in sys.modules


ODD = """
import os, signal
import numpy as np
import pandas as pd

class Odd:
    classes_ = np.array(["late", "on time"])
    def predict_proba(self, X):
        fine = np.full((len(X), 2), 0.5)
        match int(X["a"].iloc[0]):
            case 1:
                os.write(2, b"out of luck")
                os._exit(3)
            case 2:
                signal.pause()
            case 3:
                print("noise", flush=True)
                os.write(1, b"more of it")
            case 4:
                fine[-1] = np.nan
            case 5:
                return pd.DataFrame(fine)
            case 6:
                return fine.tolist()
            case 7:
                return fine[1:]
            case 8:
                raise LookupError("no such thing")
            case 9:
                raise SystemExit(1)
        return fine
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pickled model whose answer depends on the first number that it gets."""
    import pickle

    import yaml

    folder = tmp_path_factory.mktemp("odd")
    project = folder / "include" / "odd"
    project.mkdir(parents=True)
    (project / "model.py").write_text(ODD + "\n\ndef build(params):\n    return Odd()\n")
    with import_project_code(locate_project_code("include/odd/model.py:build", folder)) as build:
        (folder / "model.pkl").write_bytes(pickle.dumps(build({})))
    described = {
        "flavors": {
            "sklearn": {"code": "include", "pickled_model": "model.pkl", "serialization_format": "pickle"},
            "python_function": {"predict_fn": "predict_proba"},
        },
        "signature": {"inputs": '[{"name": "a", "type": "double"}]'},
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    return folder


def of(number: int) -> pa.Table:
    return pa.table({"a": [float(number)] * 3})


def test_whatever_a_model_does_it_answers_rightly_or_with_an_error_and_goes_on(odd: Path) -> None:
    with ModelHost(odd, name="odd version 1", warm=False) as host:
        assert host.classes == ["late", "on time"]
        for number, words in {
            4: "answers with .nan, nan. in 1 of 3 rows",
            7: r"shape \(2, 2\)",
            8: "LookupError",
        }.items():
            with pytest.raises(ModelError, match=rf"odd version 1 cannot predict: .*{words}"):
                host.predict(of(number))
        for number in (3, 5, 6, 0):
            assert np.array_equal(host.predict(of(number)), np.full((3, 2), 0.5))


@pytest.mark.parametrize("number", [1, 9], ids=["dies", "exits"])
def test_a_model_that_dies_while_predicting_stays_dead(odd: Path, number: int) -> None:
    with ModelHost(odd, name="odd version 1", warm=False) as host:
        host.predict(of(0))
        for _ in range(2):
            with pytest.raises(ModelError, match=r"odd version 1 (died|takes no rows)"):
                host.predict(of(number))


def test_a_model_that_hangs_while_predicting_is_stopped(odd: Path) -> None:
    with ModelHost(odd, name="odd version 1", warm=False) as host:
        host.predict(of(0))
        host.timeout = 0.01
        with pytest.raises(ModelError, match=r"odd version 1 gave no answer within 0.01 s and was stopped"):
            host.predict(of(2))


def test_a_forked_model_cannot_write_into_what_its_parent_says(odd: Path) -> None:
    script = (
        "import sys; import numpy, pandas, pyarrow as pa, yaml\n"
        "from pathlib import Path; from tradewind.errors import ModelError\n"
        "from tradewind.isolation.model_client import ModelHost\n"
        "with ModelHost(Path(sys.argv[1]), name='odd', warm=True) as host:\n"
        "    for number in (3, 4, 5, 1, 0):\n"
        "        try:\n"
        "            print(host.predict(pa.table({'a': [float(number)]})).tolist())\n"
        "        except ModelError as exc:\n"
        "            print(str(exc).splitlines()[0].partition('model odd')[2].partition(' (')[0])\n"
    )
    assert run(script, odd).splitlines() == [
        "[[0.5, 0.5]]",
        " cannot predict: `predict_proba` answers with [nan, nan] in 1 of 1 rows",
        "[[0.5, 0.5]]",
        " died",
        " takes no rows",
    ]


def test_a_model_without_a_signature_is_not_loaded(odd: Path, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text((odd / "MLmodel").read_text().partition("signature")[0])
    with (
        ModelHost(tmp_path, name="odd version 1", warm=False) as host,
        pytest.raises(ModelError, match="cannot be loaded: its file MLmodel has no signature"),
    ):
        assert host.classes


def run(script: str, folder: Path) -> str:
    """What a fresh interpreter prints that has tradewind on its path."""
    import subprocess

    import tradewind

    environment = {**os.environ, "PYTHONPATH": str(Path(tradewind.__path__[0]).parent)}
    return subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env=environment, capture_output=True, text=True, timeout=300, check=True,
    ).stdout  # fmt: skip


def test_a_forked_host_answers_as_a_fresh_interpreter_does(versions: dict[int, tuple[Path, np.ndarray]]) -> None:
    folder, expected = versions[10]
    script = (
        "import sys, warnings; import numpy, pandas, pyarrow, sklearn.linear_model, skops.io\n"
        "from pathlib import Path; from tradewind.isolation.model_client import ModelHost\n"
        "with ModelHost(Path(sys.argv[1]), name='m', warm=True) as host:\n"
        "    import pyarrow as pa\n"
        "    print(host.predict(pa.table({'a': [0.1, -0.4, 0.8], 'b': [1.0, 2.0, 3.0]}))[:, 1].tobytes().hex())\n"
    )
    assert run(script, folder).strip() == expected[:, 1].tobytes().hex()


def test_no_rows_give_no_probabilities(odd: Path) -> None:
    with ModelHost(odd, name="one", warm=False) as host:
        assert host.predict(of(0).slice(0, 0)).shape == (0, 2)


def test_a_missing_column_is_named(odd: Path) -> None:
    with (
        ModelHost(odd, name="delays version 4", warm=False) as host,
        pytest.raises(ModelError, match=r"delays version 4 needs the columns a"),
    ):
        host.predict(ROWS.select(["b"]))


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with (
        ModelHost(tmp_path, name="delays version 4", warm=False) as host,
        pytest.raises(ModelError, match=r"delays version 4 cannot be loaded: FileNotFoundError"),
    ):
        host.predict(ROWS)


def test_a_crash_shows_what_the_process_wrote(versions: dict[int, tuple[Path, np.ndarray]], tmp_path: Path) -> None:
    import shutil

    broken = shutil.copytree(versions[1][0], tmp_path / "model")
    (broken / "code" / "scales" / "transformers.py").write_text("import os\nos.write(2, b'out of luck')\nos._exit(3)\n")
    with (
        ModelHost(broken, name="delays version 4", warm=False) as host,
        pytest.raises(ModelError, match=r"(?s)delays version 4 died.*out of luck"),
    ):
        host.predict(ROWS)


def test_a_model_that_hangs_is_stopped(versions: dict[int, tuple[Path, np.ndarray]], tmp_path: Path) -> None:
    import shutil

    slow = shutil.copytree(versions[1][0], tmp_path / "model")
    (slow / "code" / "scales" / "transformers.py").write_text("import signal\nsignal.pause()\n")
    with (
        ModelHost(slow, name="delays version 4", warm=False, timeout=0.01) as host,
        pytest.raises(ModelError, match=r"no answer within 0.01 s"),
    ):
        host.predict(ROWS)
