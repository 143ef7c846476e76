"""A model version runs in its own process, with its own code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tradewind.errors import ModelError
from tradewind.models.code import imported, locate
from tradewind.models.host import ModelHost

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
    with imported(locate("include/scales/model.py:build_model", folder / "project")) as build_model:
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


def test_a_forked_host_answers_as_a_fresh_interpreter_does(versions: dict[int, tuple[Path, np.ndarray]]) -> None:
    folder, expected = versions[10]
    script = (
        "import sys, warnings; import numpy, pandas, pyarrow, sklearn.linear_model, skops.io\n"
        "from pathlib import Path; from tradewind.models.host import ModelHost\n"
        "with ModelHost(Path(sys.argv[1]), name='m', warm=True) as host:\n"
        "    import pyarrow as pa\n"
        "    print(host.predict(pa.table({'a': [0.1, -0.4, 0.8], 'b': [1.0, 2.0, 3.0]}))[:, 1].tobytes().hex())\n"
    )
    import subprocess

    import tradewind

    root = str(Path(tradewind.__path__[0]).parent)
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.strip() == expected[:, 1].tobytes().hex()


def test_plain_mlflow_gives_identical_numbers(versions: dict[int, tuple[Path, np.ndarray]]) -> None:
    folder, expected = versions[10]
    script = (
        "import sys, numpy, pandas, mlflow.pyfunc\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "frame = pandas.DataFrame({'a': [0.1, -0.4, 0.8], 'b': [1.0, 2.0, 3.0]})\n"
        "print(numpy.ascontiguousarray(model.predict(frame)).tobytes().hex())\n"
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(folder)], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.strip() == expected.tobytes().hex()


def test_no_rows_give_no_probabilities(versions: dict[int, tuple[Path, np.ndarray]]) -> None:
    with ModelHost(versions[1][0], name="one", warm=False) as host:
        assert host.predict(ROWS.slice(0, 0)).shape == (0, 2)


def test_a_missing_column_is_named(versions: dict[int, tuple[Path, np.ndarray]]) -> None:
    with (
        ModelHost(versions[1][0], name="delays version 4", warm=False) as host,
        pytest.raises(ModelError, match=r"delays version 4 needs the columns b"),
    ):
        host.predict(ROWS.select(["a"]))


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with (
        ModelHost(tmp_path, name="delays version 4", warm=False) as host,
        pytest.raises(ModelError, match=r"delays version 4 .* cannot be loaded: FileNotFoundError"),
    ):
        host.predict(ROWS)


def test_a_crash_shows_what_the_process_wrote(versions: dict[int, tuple[Path, np.ndarray]], tmp_path: Path) -> None:
    import shutil

    broken = shutil.copytree(versions[1][0], tmp_path / "model")
    (broken / "code" / "scales" / "transformers.py").write_text("import os\nos.write(2, b'out of luck')\nos._exit(3)\n")
    with (
        ModelHost(broken, name="delays version 4", warm=False) as host,
        pytest.raises(ModelError, match=r"(?s)delays version 4 .* died.*out of luck"),
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
