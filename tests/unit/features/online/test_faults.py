"""The online store is away, full or killed in the middle: nothing is half done for ever."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.features.conftest import online, publish_rows

from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.errors import MissingExtra, Unavailable
from tradewind.features.feast_apply import apply_definitions
from tradewind.features.online import store_config
from tradewind.features.stage import materialise_features
from tradewind.ledger import completion
from tradewind.ledger.journal import Ledger
from tradewind.spec.pipeline import Pipeline

W1 = "2013-01-07"
CARRIERS = 3000


@pytest.fixture
def many(runtime: Runtime, spec: Pipeline, etl) -> None:
    etl(W1, 10.0)
    rows = [{"carrier": f"C{n}", "carrier_late": n * 1.0, "carrier_flights": n} for n in range(CARRIERS)]
    publish_rows(runtime, spec, "carrier_week", W1, rows)


def unfinished(runtime: Runtime) -> bool:
    ledger = Ledger(runtime.ledger)
    done = completion.is_complete(ledger, "flights", "features", W1) or ledger.find("flights", "materialised")
    return not done


@pytest.mark.parametrize(
    ("place", "said"),
    [
        pytest.param(
            {"type": "redis", "connection_string": "127.0.0.1:1,password=secret"}, "redis at 127.0.0.1:1 ", id="redis"
        ),
        pytest.param(
            {"type": "postgres", "host": "127.0.0.1", "port": 1, "database": "d", "user": "u", "password": "secret"},
            "postgres at 127.0.0.1:1/d ",
            id="postgres",
        ),
        pytest.param({"type": "sqlite", "path": "{folder}"}, "sqlite at /", id="sqlite"),
    ],
)
def test_a_store_that_is_away_is_named(
    runtime: Runtime, spec: Pipeline, etl, tmp_path: Path, place: dict[str, str], said: str
) -> None:
    etl(W1, 10.0)
    given = {name: value.format(folder=tmp_path) if name == "path" else value for name, value in place.items()}
    with pytest.raises(Unavailable, match=f"flights: the online store {said}") as caught:
        materialise_features(Deployment(spec, replace(runtime, feast_online=given)), W1)
    assert "secret" not in str(caught.value)
    assert unfinished(runtime)
    assert materialise_features(Deployment(spec, runtime), W1).changed


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 200 kB: to SQLite that is a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.usefixtures("many")
def test_a_full_disk_leaves_the_partition_to_be_done(
    runtime: Runtime, spec: Pipeline, request: pytest.FixtureRequest
) -> None:
    apply_definitions(Deployment(spec, runtime))
    request.getfixturevalue("small_files")
    with pytest.raises(Unavailable, match=r"online store sqlite at .*online\.db: the disk of .* fails"):
        materialise_features(Deployment(spec, runtime), W1)
    assert unfinished(runtime)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert materialise_features(Deployment(spec, runtime), W1).rows["carrier_week"] == CARRIERS
    assert online(runtime, spec, "carrier_week:carrier_late", carrier="C2999") == [2999.0]


KILLED = """
import json, os, signal, sys
from pathlib import Path
from tradewind.core.runtime import Runtime
from tradewind.deployment import Deployment
from tradewind.features.online import encoded_rows, view_write
from tradewind.features.stage import materialise_features
from tradewind.spec.pipeline import Pipeline

given = json.load(sys.stdin)
encoded_rows.CHUNK_ROWS = 1024
whole = view_write.read_encoded_chunks

def torn(*args, **kwargs):
    for number, chunk in enumerate(whole(*args, **kwargs)):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield chunk

view_write.read_encoded_chunks = torn
spec = Pipeline.model_validate(given["spec"])
runtime = Runtime(**{**given["runtime"], "project": Path(given["runtime"]["project"])})
materialise_features(Deployment(spec, runtime), "2013-01-07")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("many")
def test_what_was_killed_in_the_middle_is_made_good_and_holds_no_lock(
    runtime: Runtime, spec: Pipeline, project: Path
) -> None:
    places = {name: str(getattr(runtime, name)) for name in ("project", "lake", "landing", "ledger", "mlflow")}
    places |= {"feast_registry": runtime.feast_registry, "reports": str(runtime.reports)}
    given = {"spec": spec.model_dump(mode="json", exclude_unset=True), "runtime": places}
    given["runtime"]["feast_online"] = dict(runtime.feast_online)  # type: ignore[index]
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(project / "include")},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert unfinished(runtime)
    asked = [online(runtime, spec, "carrier_week:carrier_late", carrier=f"C{n}")[0] for n in (5, 2999)]
    assert None in asked or asked == [5.0, 2999.0]
    assert materialise_features(Deployment(spec, runtime), W1).rows["carrier_week"] == CARRIERS
    assert online(runtime, spec, "carrier_week:carrier_late", carrier="C2999") == [2999.0]


def test_an_online_store_that_was_emptied_is_filled_again(runtime: Runtime, spec: Pipeline, etl) -> None:
    etl(W1, 10.0)
    materialise_features(Deployment(spec, runtime), W1)
    Path(runtime.feast_online["path"]).unlink()
    etl(W1, 11.0)
    materialise_features(Deployment(spec, runtime), W1)
    assert online(runtime, spec, "origin_week:origin_late", origin="JFK") == [11.0]


@pytest.mark.parametrize(("kind", "module"), [("redis", "redis"), ("postgres", "psycopg")])
def test_a_driver_that_is_missing_is_named_with_the_line_that_installs_it(
    runtime: Runtime, spec: Pipeline, etl, monkeypatch: pytest.MonkeyPatch, kind: str, module: str
) -> None:
    etl(W1, 10.0)
    found = store_config.find_spec
    monkeypatch.setattr(store_config, "find_spec", lambda name: None if name == module else found(name))
    line = rf"the online store {kind} needs {module}: pip install 'airflow-provider-tradewind\[{kind}\]'"
    with pytest.raises(MissingExtra, match=line):
        materialise_features(Deployment(spec, replace(runtime, feast_online={"type": kind})), W1)
